"""HTTP of outcomes and supervision: between the department that decides and the one that watches."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from exchange.entries.entry import Subject
from exchange.outcomes import tables
from exchange.outcomes.decide import Decision, decide, take_task
from exchange.outcomes.replies import EntryShown, OutcomeShown, SupervisedTask, SupervisionTasks
from exchange.outcomes.supervise import enter, lift
from exchange.outcomes.tables import Outcome, Task
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.registers.entries import Entry
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1", tags=["outcomes"])

_CALLER = ("token-missing", "role-missing", "malformed-body", "invalid-request")


class OutcomeRequest(BaseModel):
    """What was decided. The same `id` again gives the same outcome, so a retry is safe."""

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    matter: Code
    result: Literal["granted", "refused", "withdrawn"]
    decided_on: date
    applicant: CleanText


class SubjectNamed(BaseModel):
    """Whom an entry is about."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["citizen-id", "uscc"]
    identifier: CleanText


class EntryRequest(BaseModel):
    """An inspection or a penalty. `until`: the last day on which it counts; absent: until it is lifted."""

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")]
    subject: SubjectNamed
    decided_on: date
    until: date | None = None
    text: Annotated[str, Field(min_length=1, max_length=5000)]


class LiftRequest(BaseModel):
    """From which day an entry counts no longer."""

    model_config = ConfigDict(extra="forbid")

    on: date


@router.post(
    "/cases/{case:path}/outcome",
    openapi_extra=audited("case-outcome"),
    response_model=OutcomeShown,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            "not-found",
            "matter-malformed",
            "matter-of-another-department",
            "subject-malformed",
            "outcome-invalid",
            "outcome-stands",
        ],
    ),
    summary="What was decided in a case 办理结果",
)
async def outcome(
    case: Annotated[FreeText, Path(description="Number of the case")],
    body: OutcomeRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Put the outcome on record; a granted one is pushed to the department that supervises the matter."""
    exchange: Exchange = request.app.state.exchange
    told = Decision(body.id, body.matter, case, body.result, body.decided_on, body.applicant)
    return _decided(await decide(exchange, caller, told, datetime.now(UTC)))


@router.get(
    "/supervision/tasks",
    openapi_extra=audited("none"),
    response_model=SupervisionTasks,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="What my department is to supervise 监管任务",
)
async def supervised(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    unseen: Annotated[bool, Query(description="Only what was not looked at yet")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List granted outcomes that the caller's department supervises, the oldest first; whom they are about is asked
    for one by one."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.tasks(exchange.pool, caller.department, unseen=unseen, limit=limit)
    return {"tasks": [_task(task, decided) for task, decided in found]}


@router.get(
    "/supervision/tasks/{outcome_id}",
    openapi_extra=audited("supervision-task"),
    response_model=SupervisedTask,
    responses=documented(
        EXCHANGE_PROBLEMS,
        ["token-missing", "role-missing", "invalid-request", "not-found", "applicant-forgotten"],
    ),
    summary="Whom a task is about",
)
async def one_supervised(
    outcome_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Tell the applicant of a granted outcome to the department that supervises it, recorded."""
    exchange: Exchange = request.app.state.exchange
    task, decided, applicant = await take_task(exchange, caller, outcome_id, datetime.now(UTC))
    return {**_task(task, decided), "applicant": {"kind": task.applicant_kind, "identifier": applicant}}


@router.post(
    "/supervision/entries",
    status_code=201,
    openapi_extra=audited("supervision-entry"),
    response_model=EntryShown,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [*_CALLER, "subject-malformed", "not-supervised", "entry-invalid", "entry-stands"],
    ),
    summary="An inspection or a penalty 检查、处罚信息回流",
)
async def entered(
    body: EntryRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Put it on record about a supervised subject; the same `id` again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    new = Entry(body.id, b"", body.kind, "", body.decided_on, body.until, body.text, "")
    subject = Subject(body.subject.kind, body.subject.identifier)
    made = await enter(exchange, caller, subject, new, datetime.now(UTC))
    return {
        "id": str(made.id),
        "kind": made.kind,
        "authority": made.authority,
        "decided_on": made.decided_on.isoformat(),
        "until": None if made.until is None else made.until.isoformat(),
        "ended_on": None if made.ended_on is None else made.ended_on.isoformat(),
    }


@router.post(
    "/supervision/entries/{entry}/end",
    status_code=204,
    openapi_extra=audited("supervision-entry"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found"]),
    summary="Lift an entry 解除",
)
async def lifted(
    entry: uuid.UUID,
    body: LiftRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> None:
    """Let an entry of the caller's department count no longer from a day on."""
    exchange: Exchange = request.app.state.exchange
    await lift(exchange, caller, entry, body.on, datetime.now(UTC))


def _decided(each: Outcome) -> dict[str, Any]:
    return {
        "id": str(each.id),
        "department": each.department,
        "matter": each.matter,
        "case": each.case_ref,
        "result": each.result,
        "decided_on": each.decided_on.isoformat(),
    }


def _task(task: Task, decided: Outcome) -> dict[str, Any]:
    return {
        "outcome": _decided(decided),
        "made_at": task.made_at.isoformat(),
        "seen_at": None if task.seen_at is None else task.seen_at.isoformat(),
    }
