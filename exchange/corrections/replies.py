"""The form of replies about wrong values, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from exchange.requests.replies import RequestTerm
from foundation.openapi import Moment, Uuid


class CorrectionReply(RequestTerm):
    """A report of a wrong value, without what was said."""

    id: Uuid
    by: str
    owner: str
    resource: str
    field: str
    state: str
    reported_at: Moment
    overdue: bool
    answered_at: Moment | None
    put_right_at: Moment | None


class CorrectionSaid(TypedDict):
    """What somebody said of the value, and the digest of the evidence."""

    what: str
    evidence: str | None
    evidence_sha256: str | None
    claimed: str | None


class CorrectionOpened(CorrectionReply):
    """A report with what was said and answered, to those whose business it is."""

    subject: NotRequired[str | None]
    said: NotRequired[list[CorrectionSaid]]
    reason: NotRequired[str | None]
    value: NotRequired[Any]
    value_since: NotRequired[Moment | None]


class CorrectionsReply(TypedDict):
    """Reports, the latest first."""

    corrections: list[CorrectionReply]


class OwnCorrectionsReply(TypedDict):
    """Reports about the caller: their own with all that was said, others' without."""

    corrections: list[CorrectionOpened]


class CorrectionTaskReply(TypedDict):
    """A wrong value that a source still has to put right."""

    correction: Uuid
    resource: str
    field: str
    source: str | None
    contact: str | None
    since: Moment | None


class CorrectionTasksReply(TypedDict):
    """What the registers still show wrong."""

    tasks: list[CorrectionTaskReply]


class CorrectionNoticeReply(TypedDict):
    """That answers, by their records, showed a value found wrong since."""

    id: int
    correction: Uuid
    resource: str
    field: str
    records: list[Uuid]
    created_at: Moment
    acknowledged_at: Moment | None


class CorrectionNoticesReply(TypedDict):
    """Notices, in order."""

    notices: list[CorrectionNoticeReply]


class NoticeAddressReply(TypedDict):
    """Where notices are sent; null: they are read only."""

    url: str | None


class DeadNoticeReply(TypedDict):
    """A notice that was given up."""

    id: int
    client_id: str
    correction: Uuid
    attempts: int
    dead_at: Moment
    last_failure: str | None


class DeadNoticesReply(TypedDict):
    """Notices that were given up, the latest first."""

    notices: list[DeadNoticeReply]


REPLIES = {
    **dict.fromkeys(
        (
            "corrections_report_wrong",
            "corrections_answer_report",
            "corrections_add",
            "corrections_take_back",
        ),
        CorrectionReply,
    ),
    "corrections_listed": CorrectionsReply,
    "corrections_tasks": CorrectionTasksReply,
    "corrections_notices": CorrectionNoticesReply,
    **dict.fromkeys(
        ("corrections_notice_address", "corrections_set_notice_address"),
        NoticeAddressReply,
    ),
    "corrections_dead_notices": DeadNoticesReply,
    "corrections_one": CorrectionOpened,
    "corrections_own": OwnCorrectionsReply,
}
