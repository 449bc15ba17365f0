"""Share requests (docs/requests.md): the calls as values, and what they give.

Every step may be sent again: what was done last, said again by the same system, changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from foundation.calling.calls import Call, read_nothing
from zhengtong.client.results import reading

PATH: Final = "/exchange/v1/requests"

Answer = Literal["grant", "grant-in-part", "refuse"]
Party = Literal["requester", "owner"]


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """A request of one department for data of another, and how far it is.

    Args:
        state: such as `submitted`, `checked`, `granted`, `refused`, `provided`, `disputed`.
        step: what comes next; None: nothing does.
        due_on: last day of the term for that.
        grant: what it brought.
        history: its steps, where one request was asked for; else empty.
        document: the whole reply.
    """

    id: uuid.UUID
    department: str
    owner: str
    resource: str
    state: str
    step: str | None
    due_on: date | None
    overdue: bool
    reason: str | None
    grant: uuid.UUID | None
    history: tuple[Mapping[str, Any], ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TermNotice:
    """That the term of a request or of a report has passed; `item` names which."""

    id: int
    kind: str
    item: uuid.UUID
    step: str
    due_on: date
    seen_at: datetime | None
    document: Mapping[str, Any]


def submission(
    resource: str,
    fields: Sequence[str],
    matters: Sequence[str],
    *,
    per_day: int,
    until: datetime,
    purpose: str,
    legal_basis: str,
    request_id: uuid.UUID | None = None,
    further: Mapping[str, Any] | None = None,
) -> Call[ShareRequest]:
    """Ask for a resource; the id that is made here makes it safe to send again."""
    body = {
        **asked(resource, fields, matters, per_day, until, purpose, legal_basis, further),
        "id": str(request_id or uuid.uuid4()),
    }
    return Call("POST", PATH, read_request, json=body, repeatable=True)


def resubmission(
    request_id: uuid.UUID | str,
    resource: str,
    fields: Sequence[str],
    matters: Sequence[str],
    *,
    per_day: int,
    until: datetime,
    purpose: str,
    legal_basis: str,
    further: Mapping[str, Any] | None = None,
) -> Call[ShareRequest]:
    """Say anew, and completely, what a returned request asks for."""
    body = asked(resource, fields, matters, per_day, until, purpose, legal_basis, further)
    return _step(request_id, "resubmission", body)


def asked(
    resource: str,
    fields: Sequence[str],
    matters: Sequence[str],
    per_day: int,
    until: datetime,
    purpose: str,
    legal_basis: str,
    further: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what a department asks for, as the body has it."""
    return {
        **(further or {}),
        "resource": resource,
        "fields": list(fields),
        "matters": list(matters),
        "per_day": per_day,
        "until": until.isoformat(),
        "purpose": purpose,
        "legal_basis": legal_basis,
    }


def one(request_id: uuid.UUID | str) -> Call[ShareRequest]:
    """See a request with its history."""
    return Call("GET", f"{PATH}/{uuid.UUID(str(request_id))}", read_request, repeatable=True)


def listed(
    state: str | None, overdue: bool, before: datetime | None, limit: int
) -> Call[tuple[ShareRequest, ...]]:
    """List requests, the latest first."""
    params = {"overdue": str(overdue).lower(), "limit": str(limit)}
    if state is not None:
        params["state"] = state
    if before is not None:
        params["before"] = before.isoformat()
    return Call("GET", PATH, read_requests, params=params, repeatable=True)


def check(request_id: uuid.UUID | str, *, complete: bool, reason: str | None) -> Call[ShareRequest]:
    """Find a request complete, or return it."""
    return _step(request_id, "check", {"complete": complete, "reason": reason})


def answer(
    request_id: uuid.UUID | str,
    said: Answer,
    *,
    scope: Mapping[str, Any] | None,
    reason: str | None,
    legal_basis: str | None,
) -> Call[ShareRequest]:
    """Grant all, grant in part, or refuse."""
    body = {"answer": said, "scope": scope, "reason": reason, "legal_basis": legal_basis}
    return _step(request_id, "answer", body)


def provision(request_id: uuid.UUID | str) -> Call[ShareRequest]:
    """Make the grant that was promised."""
    return _step(request_id, "provision", None)


def dispute(request_id: uuid.UUID | str, reason: str) -> Call[ShareRequest]:
    """Take an answer, or that there is none, to the sharing authority."""
    return _step(request_id, "dispute", {"reason": reason})


def decision(
    request_id: uuid.UUID | str, for_: Party, *, reason: str, scope: Mapping[str, Any] | None
) -> Call[ShareRequest]:
    """Decide a dispute."""
    return _step(request_id, "decision", {"for": for_, "reason": reason, "scope": scope})


def withdrawal(request_id: uuid.UUID | str) -> Call[ShareRequest]:
    """Withdraw a request, and end its grant."""
    return _step(request_id, "withdrawal", None)


def ending(request_id: uuid.UUID | str, reason: str) -> Call[ShareRequest]:
    """End a request that was provided, and its grant."""
    return _step(request_id, "end", {"reason": reason})


def notices(unseen: bool, limit: int) -> Call[tuple[TermNotice, ...]]:
    """List terms that have passed, the latest first."""
    params = {"unseen": str(unseen).lower(), "limit": str(limit)}
    return Call("GET", f"{PATH}/notices", read_notices, params=params, repeatable=True)


def notice_seen(number: int) -> Call[None]:
    """Say that a notice was seen."""
    return Call("POST", f"{PATH}/notices/{number}/seen", read_nothing, repeatable=True)


def statistics(begins: date, ends: date) -> Call[tuple[dict[str, Any], ...]]:
    """Fetch how departments answered, by month."""
    params = {"from": begins.isoformat(), "to": ends.isoformat()}
    return Call("GET", "/exchange/v1/statistics/requests", read_figures, params=params, repeatable=True)


def _step(request_id: uuid.UUID | str, step: str, body: Mapping[str, Any] | None) -> Call[ShareRequest]:
    path = f"{PATH}/{uuid.UUID(str(request_id))}/{step}"
    return Call("POST", path, read_request, json=None if body is None else dict(body), repeatable=True)


def _request(body: Mapping[str, Any]) -> ShareRequest:
    return ShareRequest(
        uuid.UUID(body["id"]),
        str(body["department"]),
        str(body["owner"]),
        str(body["resource"]),
        str(body["state"]),
        body["step"],
        None if body["due_on"] is None else date.fromisoformat(body["due_on"]),
        bool(body["overdue"]),
        body["reason"],
        None if body["grant"] is None else uuid.UUID(body["grant"]),
        tuple(dict(each) for each in body.get("history", ())),
        body,
    )


def _notice(body: Mapping[str, Any]) -> TermNotice:
    seen = body["seen_at"]
    return TermNotice(
        int(body["id"]),
        str(body["kind"]),
        uuid.UUID(body["item"]),
        str(body["step"]),
        date.fromisoformat(body["due_on"]),
        None if seen is None else datetime.fromisoformat(seen),
        body,
    )


read_request = reading(_request)
read_requests = reading(lambda body: tuple(_request(each) for each in body["requests"]))
read_notices = reading(lambda body: tuple(_notice(each) for each in body["notices"]))
read_figures = reading(lambda body: tuple(dict(each) for each in body["requests"]))
