"""HTTP of the audit: auditors search and export, clients fetch proofs, people see who looked."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from typing_extensions import TypedDict

from exchange.audit import findings, tables
from exchange.audit.record import prepare
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.registers.aliases import identifiers_of
from foundation.errors import DomainError, NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.ledger import leaf_hash
from foundation.ledger.sequencer import inclusion
from foundation.openapi import Moment, Uuid, media
from foundation.problems import documented
from foundation.text import Code, FreeText

router = APIRouter(prefix="/v1", tags=["audit"])


class ReceiptNotIncluded(DomainError):
    code = "receipt-not-included"


class FindingReply(TypedDict):
    """Something noticed about a client, `count` times from `since` to `last`; `facts` are of the last time."""

    id: Uuid
    kind: str
    client: str
    since: Moment
    last: Moment
    count: int
    facts: dict[str, Any]
    noted: Moment | None
    noted_by: str | None


class FindingsReply(TypedDict):
    """Findings, the latest first."""

    findings: list[FindingReply]


class RecordReply(TypedDict):
    """An access record; `record` is null once it was erased by law. What stands in it depends on its `event`."""

    id: Uuid
    recorded_at: Moment
    record: dict[str, Any] | None


class RecordsReply(TypedDict):
    """Access records, newest first."""

    records: list[RecordReply]


class ProofReply(TypedDict):
    """An inclusion proof (RFC 6962 §2.1.1), hashes in base64, and the signed checkpoint (C2SP) that it is under."""

    leaf_index: int
    leaf_hash: str
    tree_size: int
    proof: list[str]
    checkpoint: str


class AccessesReply(TypedDict):
    """Who looked at the caller's data, newest first; members are left out where an access has none."""

    accesses: list[dict[str, Any]]


@router.get(
    "/audit/records",
    openapi_extra=audited("audit-search"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Search access records 访问记录",
)
async def search(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.AUDITOR))],
    client_id: Code | None = None,
    outcome: Code | None = None,
    before: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RecordsReply:
    """Search records, newest first. The search is recorded itself: auditors are watched too."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await exchange.recorder.record(
        prepare("audit-search", "answered", caller, now, of_client=client_id, of_outcome=outcome)
    )
    found = await tables.search(
        exchange.pool, client_id=client_id, outcome=outcome, before=before, limit=limit
    )
    return {
        "records": [
            {"id": str(r.id), "recorded_at": r.recorded_at.isoformat(), "record": r.content} for r in found
        ]
    }


@router.get(
    "/audit/records.jsonl",
    openapi_extra=audited("audit-export"),
    responses={
        200: media("application/jsonl", "One record a line"),
        **documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    },
    summary="Export all sequenced records with their salts, for the log verifier",
)
async def export(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.AUDITOR))]
) -> StreamingResponse:
    """Stream records in the order of the tree."""
    exchange: Exchange = request.app.state.exchange
    await exchange.recorder.record(prepare("audit-export", "answered", caller, datetime.now(UTC)))
    return StreamingResponse(tables.export(exchange.pool), media_type="application/jsonl")


@router.get(
    "/audit/findings",
    openapi_extra=audited("audit-findings"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="What was noticed about clients 审计发现",
)
async def found(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.AUDITOR))],
    everything: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> FindingsReply:
    """List findings that nobody has looked at, or all of them, the latest first."""
    exchange: Exchange = request.app.state.exchange
    await exchange.recorder.record(prepare("audit-findings", "answered", caller, datetime.now(UTC)))
    listed = await findings.listed(exchange.pool, everything=everything, limit=limit)
    return {
        "findings": [
            {
                "id": str(each.id),
                "kind": each.kind,
                "client": each.client,
                "since": each.since.isoformat(),
                "last": each.last.isoformat(),
                "count": each.count,
                "facts": dict(each.facts),
                "noted": None if each.noted is None else each.noted.isoformat(),
                "noted_by": each.noted_by,
            }
            for each in listed
        ]
    }


@router.put(
    "/audit/findings/{finding_id}/noted",
    status_code=204,
    openapi_extra=audited("audit-finding-noted"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "not-found"]),
    summary="Note that a finding was looked at",
)
async def noted(
    finding_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.AUDITOR))],
) -> Response:
    """Note that an auditor looked: what happens from now on is a new finding."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    if not await findings.look(exchange.pool, finding_id, caller.id, now):
        raise NotFound(_("no such finding"))
    await exchange.recorder.record(
        prepare("audit-finding-noted", "noted", caller, now, finding=str(finding_id))
    )
    return Response(status_code=204)


@router.delete(
    "/audit/records/{record_id}",
    status_code=204,
    openapi_extra=audited("record-erased"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "not-found"]),
    summary="Erase what a record says, by law",
)
async def erase(
    record_id: uuid.UUID,
    legal_basis: FreeText,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> Response:
    """Erase salt and content of a record; the erasure is recorded with its legal basis first."""
    exchange: Exchange = request.app.state.exchange
    if await tables.find_entry(exchange.pool, record_id) is None:
        raise NotFound(_("no such record"))
    await exchange.recorder.record(
        prepare(
            "record-erased",
            "erased",
            caller,
            datetime.now(UTC),
            erased=str(record_id),
            legal_basis=legal_basis,
        )
    )
    await tables.erase(exchange.engine, record_id)
    return Response(status_code=204)


@router.get(
    "/receipts/{record_id}",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "not-found", "receipt-not-included"]),
    summary="Proof that a record is in the log",
)
async def proof(
    record_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.AUDITOR))],
) -> ProofReply:
    """Give the inclusion proof (RFC 6962 §2.1.1) of a receipt's record under the newest checkpoint.

    A department gets proofs of its own records only.
    """
    exchange: Exchange = request.app.state.exchange
    known = await tables.find_entry(exchange.pool, record_id)
    if known is None or (known[0] != caller.id and Role.AUDITOR not in caller.roles):
        raise NotFound(_("no such record"))
    entry = known[1]
    async with exchange.pool.acquire() as connection:
        included = await inclusion(connection, exchange.tiles, entry)
    if included is None:
        raise ReceiptNotIncluded(_("ask again in a second"))
    return {
        "leaf_index": included.leaf_index,
        "leaf_hash": _text(leaf_hash(entry)),
        "tree_size": included.size,
        "proof": [_text(node) for node in included.proof],
        "checkpoint": included.checkpoint,
    }


@router.get(
    "/me/accesses",
    openapi_extra=audited("own-view"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="Who looked at my data 谁看过我的数据",
)
async def own_view(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
    before: AwareDatetime | None = None,
) -> AccessesReply:
    """Show a person who asked about them, for which matter, and whether it was answered.

    Whoever asked by another identifier of theirs asked about them.
    """
    exchange: Exchange = request.app.state.exchange
    assert caller.subject is not None
    await exchange.recorder.record(
        prepare("own-view", "answered", caller, datetime.now(UTC), subject=caller.subject)
    )
    subjects = await identifiers_of(exchange.pool, caller.subject)
    found = await tables.search(exchange.pool, subjects=subjects, before=before, limit=200)
    shown = ("at", "event", "outcome", "client", "department", "resource", "fields", "matter", "purpose")
    return {
        "accesses": [
            {name: record.content[name] for name in shown if name in record.content}
            for record in found
            if record.content is not None
        ]
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
