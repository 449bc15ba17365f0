"""The form of replies about share requests, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from exchange.grants.grant import Mode
from exchange.grants.routes import HoursReply
from foundation.openapi import Day, Moment, Uuid


class RequestScope(TypedDict):
    """How much is asked for or granted: subjects a day and a minute, until when, where (none: anywhere), and at what
    time of day (none: always)."""

    fields: list[str]
    matters: list[str]
    modes: list[Mode]
    per_day: int
    until: Moment
    clear_fields: list[str]
    divisions: list[str]
    per_minute: int | None
    hours: HoursReply | None


class RequestAsked(RequestScope):
    """What was asked for; of what the catalogue does not hold, `title` says what it is, `owner` whose."""

    title: str | None
    owner: str | None
    purpose: str
    legal_basis: str


class RequestTerm(TypedDict):
    """A term by its last day; `calendar_until`: as far as public holidays are known, where that is before it."""

    due_on: Day | None
    calendar_until: NotRequired[Day]
    warnings: NotRequired[list[str]]


class ShareRequestReply(RequestTerm):
    """A share request and how far it is."""

    id: Uuid
    client_id: str
    department: str
    owner: str
    resource: str
    sharing_class: str | None
    asked: RequestAsked
    state: str
    submitted_at: Moment
    step: str | None
    overdue: bool
    answer: str | None
    answered_at: Moment | None
    answered_in_time: bool | None
    reason: str | None
    legal_basis: str | None
    granted: RequestScope | None
    grant: Uuid | None


class RequestStepReply(TypedDict):
    """One line of a request's history; `state` after it, `said` with it."""

    number: int
    at: Moment
    client_id: str
    department: str
    actor: str
    action: str
    state: str
    said: dict[str, Any]


class ShareRequestHistory(ShareRequestReply):
    """A share request with its history."""

    history: list[RequestStepReply]


class ShareRequestsReply(TypedDict):
    """Share requests, the latest first."""

    requests: list[ShareRequestReply]


class TermNoticeReply(TypedDict):
    """That a term has passed; `item` names the request or the report."""

    id: int
    kind: str
    item: Uuid
    department: str | None
    step: str
    due_on: Day
    created_at: Moment
    seen_at: Moment | None
    seen_by: str | None


class TermNoticesReply(TypedDict):
    """Notices, the latest first."""

    notices: list[TermNoticeReply]


class RequestFigures(TypedDict):
    """How a department answered the requests of a month."""

    department: str
    month: str
    asked: int
    answered: int
    answered_in_time: int
    refused: int
    disputed: int
    overdue: int
    overdue_at_authority: int
    median_working_days: float | None


class RequestStatistics(TypedDict):
    """Figures per department and month."""

    requests: list[RequestFigures]


_ACTS = ("ask", "check", "resubmit", "answer", "provide", "dispute", "decide", "withdraw", "end")

REPLIES = {
    **{f"requests_{act}": ShareRequestReply for act in _ACTS},
    "requests_listed": ShareRequestsReply,
    "requests_one": ShareRequestHistory,
    "requests_notices": TermNoticesReply,
    "requests_statistics": RequestStatistics,
}
