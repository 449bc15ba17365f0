"""HTTP of corrections: reporting a wrong value, answering, and being told that one was given to you."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
)

from exchange.audit.record import prepare
from exchange.corrections import tables
from exchange.corrections.correction import Correction, State
from exchange.corrections.held import held
from exchange.corrections.report import (
    Report,
    add_to,
    answer,
    answers,
    identities_of,
    report,
    reported,
    withdraw,
)
from exchange.corrections.said import Said, open_reason, open_told
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.registers.schemas import load_registers
from foundation.civil import civil_date
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import CleanText, Code, is_clean
from foundation.workdays import is_past

router = APIRouter(prefix="/v1", tags=["corrections"])

DEPARTMENTS = (Role.DEPARTMENT_SYSTEM, Role.DATA_SOURCE)
_CALLER = ["token-missing", "role-missing", "invalid-request", "malformed-body"]
_ACTING = [*_CALLER, "not-found", "correction-state-wrong"]


def _clean_lines(text: str) -> str:
    if not all(is_clean(line) for line in text.split("\n")):
        raise ValueError("control characters are not allowed")
    return text


Prose = Annotated[str, StringConstraints(min_length=1, max_length=4000), AfterValidator(_clean_lines)]
"""Up to 4,000 characters in lines. It is sealed at rest, so it may name people and values."""


class SaidBody(BaseModel):
    """What is wrong, with evidence: in words, and the SHA-256 of a file; the right value, if it is known."""

    model_config = ConfigDict(extra="forbid")

    what: Prose
    evidence: Prose | None = None
    evidence_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    claimed: CleanText | StrictBool | StrictInt | None = None

    def said(self) -> Said:
        return Said(self.what, self.evidence, self.evidence_sha256, self.claimed)


class ReportBody(SaidBody):
    """A report. People leave out `subject`: they report of themselves. The same `id` again is the same report."""

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    resource: Code
    subject: CleanText | None = None
    field: Code


class CorrectionAnswer(BaseModel):
    """The answer of the department: corrected (it was wrong), confirmed (it is right) or needs-more, and why."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["corrected", "confirmed", "needs-more"]
    reason: Prose


@router.post(
    "/corrections",
    status_code=201,
    openapi_extra=audited("correction-reported"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            "resource-unknown",
            "field-unknown",
            "subject-malformed",
            "correction-invalid",
            "correction-id-taken",
            "not-granted",
            "field-not-granted",
        ],
    ),
    summary="Report a wrong value 数据校核",
)
async def report_wrong(
    body: ReportBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.PERSON))],
) -> dict[str, Any]:
    """Report that a field of somebody is wrong; the reply does not tell what the register shows."""
    exchange: Exchange = request.app.state.exchange
    wanted = Report(body.id, body.resource, body.subject, body.field, body.said())
    return _shown(exchange, await report(exchange, caller, wanted, datetime.now(UTC)))


@router.get(
    "/corrections",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Reports by my department and to it; the sharing authority sees all",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
    state: State | None = None,
    overdue: bool = False,
    before: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List reports, the latest first, without whom they are about and what was said."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.listed(
        exchange.pool,
        department=_department(caller),
        state=None if state is None else state.value,
        overdue_on=civil_date(datetime.now(UTC)) if overdue else None,
        tasks=False,
        before=before,
        limit=limit,
    )
    return {"corrections": [_shown(exchange, each) for each in found]}


@router.get(
    "/corrections/tasks",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Wrong values that a source has still to put right",
)
async def tasks(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List what was found wrong while the register still shows it; a task closes by itself when that changes."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.listed(
        exchange.pool,
        department=_department(caller),
        state=None,
        overdue_on=None,
        tasks=True,
        before=None,
        limit=limit,
    )
    contacts = await exchange.contacts.contacts({each.source for each in found if each.source is not None})
    return {
        "tasks": [
            {
                "correction": str(each.id),
                "resource": each.resource,
                "field": each.field,
                "source": each.source,
                "contact": contacts.get(each.source or ""),
                "since": None if each.answered_at is None else each.answered_at.isoformat(),
            }
            for each in found
        ]
    }


@router.get(
    "/corrections/notices",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Answers that I was given and that showed a value found wrong since",
)
async def notices(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    unacknowledged: bool = False,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List notices in order. They name the records of the answers, which stand in their receipts: nobody else."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.notices(
        exchange.pool, caller.id, unacknowledged=unacknowledged, after=after, limit=limit
    )
    return {
        "notices": [
            {
                "id": each.id,
                "correction": str(each.correction),
                "resource": each.resource,
                "field": each.field,
                "records": [str(record) for record in each.records],
                "created_at": each.created_at.isoformat(),
                "acknowledged_at": None if each.acknowledged_at is None else each.acknowledged_at.isoformat(),
            }
            for each in found
        ]
    }


@router.post(
    "/corrections/notices/{number}/acknowledgement",
    status_code=204,
    openapi_extra=audited("correction-acknowledged"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found"]),
    summary="Say that a notice was taken in",
)
async def acknowledge(
    number: Annotated[int, Path(ge=1, lt=2**63)],
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> None:
    """Note that the calling system has seen a notice; again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    subject = await tables.acknowledge(exchange.pool, number, caller.id, now)
    if subject is None:
        raise NotFound(_("no such notice"))
    await exchange.recorder.record(
        prepare("correction-acknowledged", "acknowledged", caller, now, subject=subject, notice=number)
    )


@router.get(
    "/corrections/{correction_id}",
    openapi_extra=audited("correction-read"),
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="A report with all that was said",
)
async def one(
    correction_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY, Role.PERSON))],
) -> dict[str, Any]:
    """Show a report to who made it and to who answers it; the latter sees whom it is about, and the value itself."""
    exchange: Exchange = request.app.state.exchange
    known = await tables.find(exchange.pool, correction_id)
    to_answer = known is not None and await answers(exchange, known, caller)
    theirs = await identities_of(exchange.pool, caller)
    if known is None or not (to_answer or reported(known, caller, theirs)):
        raise NotFound(_("no such report"))
    await _record_reading(exchange, caller, known)
    shown = _opened(exchange, known)
    if to_answer:
        register = load_registers()[known.register]
        now_held = await held(exchange.pool, exchange.vault, register, known.subject, known.field)
        shown |= {
            "subject": shown["subject"] or next(iter(now_held.identifiers.values()), None),
            "value": now_held.shown,
            "value_since": None if known.value_since is None else known.value_since.isoformat(),
        }
    return shown


@router.post(
    "/corrections/{correction_id}/answer",
    openapi_extra=audited("correction-answered"),
    responses=documented(EXCHANGE_PROBLEMS, _ACTING),
    summary="Answer a report 校核答复",
)
async def answer_report(
    correction_id: uuid.UUID,
    body: CorrectionAnswer,
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Answer; where the value was wrong, all who were given it are told, and its source has a task."""
    exchange: Exchange = request.app.state.exchange
    state = State(body.answer)
    return _shown(
        exchange, await answer(exchange, caller, correction_id, state, body.reason, datetime.now(UTC))
    )


@router.post(
    "/corrections/{correction_id}/addition",
    openapi_extra=audited("correction-added-to"),
    responses=documented(EXCHANGE_PROBLEMS, _ACTING),
    summary="Add what the department asked for",
)
async def add(
    correction_id: uuid.UUID,
    body: SaidBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.PERSON))],
) -> dict[str, Any]:
    """Add to a report of one's own; the term to answer in begins again."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await add_to(exchange, caller, correction_id, body.said(), datetime.now(UTC)))


@router.post(
    "/corrections/{correction_id}/withdrawal",
    openapi_extra=audited("correction-withdrawn"),
    responses=documented(EXCHANGE_PROBLEMS, _ACTING),
    summary="Take a report back",
)
async def take_back(
    correction_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.PERSON))],
) -> dict[str, Any]:
    """Take back a report of one's own that was not answered yet."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await withdraw(exchange, caller, correction_id, datetime.now(UTC)))


@router.get(
    "/me/corrections",
    openapi_extra=audited("own-view"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Reports about me 我的校核",
)
async def own(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """Show a person the reports about them, the latest first: their own with all that was said, others' without."""
    exchange: Exchange = request.app.state.exchange
    assert caller.subject is not None
    await exchange.recorder.record(
        prepare("own-view", "answered", caller, datetime.now(UTC), subject=caller.subject)
    )
    found = await tables.about(exchange.pool, caller.subject, limit)
    theirs = await identities_of(exchange.pool, caller)
    return {
        "corrections": [
            _opened(exchange, each) if reported(each, caller, theirs) else _shown(exchange, each)
            for each in found
        ]
    }


def _department(caller: Principal) -> str | None:
    return None if Role.SHARING_AUTHORITY in caller.roles else caller.department


async def _record_reading(exchange: Exchange, caller: Principal, known: Correction) -> None:
    await exchange.recorder.record(
        prepare(
            "correction-read",
            "read",
            caller,
            datetime.now(UTC),
            subject=known.subject,
            correction=str(known.id),
            resource=known.resource,
            field=known.field,
        )
    )


def _shown(exchange: Exchange, each: Correction) -> dict[str, Any]:
    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "id": str(each.id),
        "by": "person" if each.reporter is not None else each.department,
        "owner": each.owner,
        "resource": each.resource,
        "field": each.field,
        "state": each.state.value,
        "reported_at": told(each.reported_at),
        **exchange.deadlines.told(each.due_on),
        "overdue": each.due_on is not None and is_past(each.due_on, datetime.now(UTC)),
        "answered_at": told(each.answered_at),
        "put_right_at": told(each.task_closed_at),
    }


def _opened(exchange: Exchange, each: Correction) -> dict[str, Any]:
    told = open_told(exchange.vault, each.id, each.sealed)
    reason = None
    if each.answer_sealed is not None:
        reason = open_reason(exchange.vault, each.id, each.answer_sealed)
    return {
        **_shown(exchange, each),
        "subject": told.identifier,
        "said": [
            {
                "what": said.what,
                "evidence": said.evidence,
                "evidence_sha256": said.evidence_sha256,
                "claimed": said.claimed,
            }
            for said in told.said
        ],
        "reason": reason,
    }
