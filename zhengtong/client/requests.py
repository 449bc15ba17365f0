"""The calls of the interface, as values: `Client` and `AsyncClient` make the same."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from foundation.calling.calls import EXCHANGE, REGISTRY, Call, read_json, read_nothing, read_text
from zhengtong.client import results

ClaimValue = str | int | bool | Mapping[str, Any]


def verification(
    resource: str, subject: str, claims: Mapping[str, ClaimValue], matter: str, case: str
) -> Call[results.Verification]:
    """Ask whether claims hold. It changes nothing, so it may be sent again; each time it is recorded."""
    body = {"resource": resource, "subject": subject, "claims": dict(claims), "matter": matter, "case": case}
    return Call("POST", "/exchange/v1/verifications", results.read_verification, json=body, repeatable=True)


def query(resource: str, subject: str, fields: Sequence[str], matter: str, case: str) -> Call[results.Query]:
    """Ask for fields. It changes nothing, so it may be sent again; each time it is recorded."""
    body = {"resource": resource, "subject": subject, "fields": list(fields), "matter": matter, "case": case}
    return Call("POST", "/exchange/v1/queries", results.read_query, json=body, repeatable=True)


def plan(
    matter: str,
    case: str,
    subjects: Mapping[str, str],
    inputs: Mapping[str, str | bool | int],
    brought: Sequence[str],
    idempotency_key: str | None,
) -> Call[results.Plan]:
    """Ask for all that a matter needs; the key makes it safe to send again."""
    return Call(
        "POST",
        f"/exchange/v1/matters/{_part(matter)}/plan",
        results.read_plan,
        json={"case": case, "subjects": dict(subjects), "inputs": dict(inputs), "brought": list(brought)},
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        repeatable=True,
    )


def shown_code(case: str, matter: str, code: str, shown: uuid.UUID | None) -> Call[results.CodeShown]:
    """Hand on a code that the applicant shows; the id makes it safe to send again."""
    return Call(
        "POST",
        f"/exchange/v1/cases/{quote(case, safe='/')}/presented-codes",
        results.read_code_shown,
        json={"id": str(shown or uuid.uuid4()), "matter": matter, "code": code},
        repeatable=True,
    )


def batch(
    question: Mapping[str, Any], subjects: bytes, media_type: str, idempotency_key: str | None
) -> Call[results.Batch]:
    """Send a batch: a form of two parts (RFC 7578); the key makes it safe to send again."""
    boundary = uuid.uuid4().hex
    content = b"".join(
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="question"\r\n'.encode("ascii"),
            b"Content-Type: application/json\r\n\r\n" + orjson.dumps(dict(question)),
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="subjects"; filename="subjects"\r\n'.encode(
                "ascii"
            ),
            f"Content-Type: {media_type}\r\n\r\n".encode("ascii") + subjects,
            f"\r\n--{boundary}--\r\n".encode("ascii"),
        )
    )
    return Call(
        "POST",
        "/exchange/v1/batches",
        results.read_batch,
        content=content,
        content_type=f"multipart/form-data; boundary={boundary}",
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        repeatable=True,
        timeout=600.0,
    )


def batch_progress(batch_id: uuid.UUID | str) -> Call[results.Batch]:
    """See how far a batch is."""
    return Call(
        "GET", f"/exchange/v1/batches/{uuid.UUID(str(batch_id))}", results.read_batch, repeatable=True
    )


def batch_result(batch_id: uuid.UUID | str) -> Call[bytes]:
    """Fetch the sealed result of a batch."""
    return Call(
        "GET",
        f"/exchange/v1/batches/{uuid.UUID(str(batch_id))}/result",
        _content,
        repeatable=True,
        timeout=600.0,
    )


def subscription(
    grant: uuid.UUID | str,
    matter: str,
    kinds: Sequence[str],
    scope: str,
    url: str | None,
    subscription_id: uuid.UUID | None,
) -> Call[results.Subscription]:
    """Subscribe; the id that is made here makes it safe to send again."""
    body = {
        "id": str(subscription_id or uuid.uuid4()),
        "grant": str(grant),
        "matter": matter,
        "kinds": list(kinds),
        "scope": scope,
        "url": url,
    }
    return Call("POST", "/exchange/v1/subscriptions", results.read_subscription, json=body, repeatable=True)


def subjects_named(
    subscription_id: uuid.UUID | str, add: Mapping[str, str], remove: Sequence[str]
) -> Call[int]:
    """Name subjects by reference, and forget others; again without harm."""
    named = [{"subject": subject, "reference": reference} for reference, subject in add.items()]
    return Call(
        "POST",
        f"/exchange/v1/subscriptions/{uuid.UUID(str(subscription_id))}/subjects",
        results.read_count,
        json={"add": named, "remove": list(remove)},
        repeatable=True,
    )


def events(subscription_id: uuid.UUID | str, after: int, wait: float) -> Call[results.Events]:
    """Read a page of the feed."""
    return Call(
        "GET",
        f"/exchange/v1/subscriptions/{uuid.UUID(str(subscription_id))}/events",
        results.read_events,
        params={"after": str(after), "wait": str(wait)},
        repeatable=True,
        timeout=wait + 30.0,
    )


def end_subscription(subscription_id: uuid.UUID | str) -> Call[None]:
    """End a subscription."""
    path = f"/exchange/v1/subscriptions/{uuid.UUID(str(subscription_id))}"
    return Call("DELETE", path, read_nothing, repeatable=True)


def receipt_proof(record: uuid.UUID | str) -> Call[results.InclusionProof]:
    """Fetch the proof that a record is in the log."""
    return Call("GET", f"/exchange/v1/receipts/{uuid.UUID(str(record))}", results.read_proof, repeatable=True)


def own_grants(client_id: str | None) -> Call[tuple[results.Grant, ...]]:
    """List grants."""
    params = {} if client_id is None else {"client_id": client_id}
    return Call("GET", "/exchange/v1/grants", results.read_grants, params=params, repeatable=True)


def give_grant(
    *,
    client_id: str,
    resource: str,
    fields: Sequence[str],
    matters: Sequence[str],
    purpose: str,
    legal_basis: str,
    valid_from: datetime,
    valid_until: datetime,
    grant_id: uuid.UUID | None = None,
    further: Mapping[str, Any] | None = None,
) -> Call[results.Grant]:
    """Give a grant; the id that is made here makes it safe to send again."""
    body = {
        **(further or {}),
        "id": str(grant_id or uuid.uuid4()),
        "client_id": client_id,
        "resource": resource,
        "fields": list(fields),
        "matters": list(matters),
        "purpose": purpose,
        "legal_basis": legal_basis,
        "valid_from": valid_from.isoformat(),
        "valid_until": valid_until.isoformat(),
    }
    return Call("POST", "/exchange/v1/grants", results.read_grant, json=body, repeatable=True)


def end_grant(grant_id: uuid.UUID | str) -> Call[None]:
    """End a grant."""
    return Call("DELETE", f"/exchange/v1/grants/{uuid.UUID(str(grant_id))}", read_nothing, repeatable=True)


def resources() -> Call[tuple[dict[str, Any], ...]]:
    """List the data resources."""
    return Call(
        "GET", "/exchange/v1/catalogue/resources", results.read_resources, audience=None, repeatable=True
    )


def own_licences() -> Call[tuple[dict[str, Any], ...]]:
    """List the licences of the person who calls."""
    return Call("GET", "/registry/v1/me/licences", results.read_licences, audience=REGISTRY, repeatable=True)


def presentation(identifier: str, disclose: Sequence[str], purpose: str, matter: str) -> Call[results.Code]:
    """Make a code that shows a licence once."""
    body = {"identifier": identifier, "disclose": list(disclose), "purpose": purpose, "matter": matter}
    return Call("POST", "/registry/v1/presentations", results.read_code, audience=REGISTRY, json=body)


def presentation_check(code: str, case: str) -> Call[results.LicenceCheck]:
    """Verify a code. A code works once: it is not sent again when nobody knows whether it arrived."""
    return Call(
        "POST",
        "/registry/v1/presentations/verify",
        results.read_check,
        audience=REGISTRY,
        json={"code": code, "case": case},
    )


def number_check(licence_type: str, number: str, holder_name: str) -> Call[results.NumberCheck]:
    """Ask whether a licence of this number is valid. Wrong numbers are counted, so it is not sent twice unasked."""
    body = {"licence_type": licence_type, "number": number, "holder_name": holder_name}
    return Call("POST", "/registry/v1/number-checks", results.read_number, audience=REGISTRY, json=body)


def file_check(data: bytes, case: str) -> Call[results.LicenceCheck]:
    """Verify a file."""
    return Call(
        "POST",
        "/registry/v1/file-verifications",
        results.read_check,
        audience=REGISTRY,
        content=data,
        content_type="application/octet-stream",
        params={"case": case},
        repeatable=True,
    )


def licence_by_grant(identifier: str, matter: str, case: str) -> Call[results.LicenceCheck]:
    """See a licence by grant, without its holder's act."""
    body = {"identifier": identifier, "matter": matter, "case": case}
    return Call(
        "POST",
        "/registry/v1/department/verifications",
        results.read_check,
        audience=REGISTRY,
        json=body,
        repeatable=True,
    )


def history_by_grant(identifier: str, matter: str, case: str) -> Call[dict[str, Any]]:
    """See what befell a licence, by a grant that covers history."""
    return Call(
        "POST",
        "/registry/v1/department/histories",
        read_json,
        audience=REGISTRY,
        json={"identifier": identifier, "matter": matter, "case": case},
        repeatable=True,
    )


def issuance(request: Mapping[str, Any], idempotency_key: str | None) -> Call[dict[str, Any]]:
    """Issue a licence; the key makes it safe to send again."""
    return Call(
        "POST",
        "/registry/v1/licences",
        read_json,
        audience=REGISTRY,
        json=dict(request),
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        repeatable=True,
    )


def key_set() -> Call[dict[str, Any]]:
    """Fetch the public keys (JWK Set)."""
    return Call("GET", "/jwks.json", read_json, audience=None, repeatable=True)


def log_key() -> Call[str]:
    """Fetch the key of the log; whoever can, obtains it another way."""
    return Call("GET", "/ledger/log.vkey", read_text, audience=None, repeatable=True)


def anything(
    method: str,
    path: str,
    json: Any = None,
    params: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[httpx.Response]:
    """Make a call that has no name here. A POST gets an `Idempotency-Key`, but is only repeated if one was given."""
    changing = method.upper() not in {"GET", "HEAD"}
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex} if changing else {}
    return Call(
        method.upper(),
        path,
        _whole,
        audience=REGISTRY if path.startswith("/registry/") else EXCHANGE,
        json=json,
        params=params or {},
        headers=headers,
        repeatable=not changing or idempotency_key is not None,
    )


def _part(text: str) -> str:
    return quote(text, safe="")


def _content(reply: httpx.Response) -> bytes:
    return reply.content


def _whole(reply: httpx.Response) -> httpx.Response:
    return reply
