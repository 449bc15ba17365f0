"""HTTP of linked changes: tasks of an issuing authority, mergers of holders."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from typing_extensions import TypedDict

from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from foundation.text import FreeText
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.linked_change import tables
from license_registry.linked_change.seeing_to import Outcome, claim, finish
from license_registry.linked_change.standing import merge
from license_registry.linked_change.tables import Task
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1", tags=["linked changes"])

TASK_PROBLEMS = (*CALLER_PROBLEMS, "invalid-request", "not-found", "task-done", "task-claimed")


class Finishing(BaseModel):
    """How a task came out. `unneeded` needs a note; the other two the registry checks."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome
    note: FreeText | None = None


class Merger(BaseModel):
    """A holder that was merged into another, both by codes of one kind: `001` USCC, `111` citizen ID."""

    model_config = ConfigDict(extra="forbid")

    holder_code_type: Literal["001", "111"]
    holder_code: Annotated[str, StringConstraints(min_length=1, max_length=18)]
    survivor_code: Annotated[str, StringConstraints(min_length=1, max_length=18)]
    reason: FreeText


class TaskReply(TypedDict):
    """A task that follows from a change of a licence's holder."""

    id: Uuid
    licence: str
    cause: str
    reaction: str
    raised_at: Moment
    claimed_by: str | None
    claimed_at: Moment | None
    done_at: Moment | None
    outcome: str | None
    note: str | None


class TasksReply(TypedDict):
    """Tasks, the oldest first."""

    tasks: list[TaskReply]


class MergerReply(TypedDict):
    """How many tasks a merger raised."""

    tasks: int


@router.get(
    "/tasks",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request"]),
    summary="Tasks from changes of holders 联动变更待办",
)
async def own_tasks(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
    state: Literal["open", "claimed", "done"] = "open",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TasksReply:
    """List the tasks of the caller's authority, the oldest first."""
    registry: Registry = request.app.state.registry
    found = await tables.tasks(registry.pool, caller.department, state, limit)
    return {"tasks": [shown(each) for each in found]}


@router.post(
    "/tasks/{task}/claim",
    openapi_extra=audited("task-claimed"),
    responses=documented(REGISTRY_PROBLEMS, TASK_PROBLEMS),
    summary="Take a task 认领",
)
async def claim_task(
    task: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> TaskReply:
    """Say that the calling system sees to a task."""
    registry: Registry = request.app.state.registry
    return shown(await claim(registry, caller, task, datetime.now(UTC)))


@router.post(
    "/tasks/{task}/done",
    openapi_extra=audited("task-done"),
    responses=documented(REGISTRY_PROBLEMS, [*TASK_PROBLEMS, "task-outcome-not-so"]),
    summary="Finish a task 办结",
)
async def finish_task(
    task: uuid.UUID,
    body: Finishing,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> TaskReply:
    """Say how a task came out."""
    registry: Registry = request.app.state.registry
    return shown(await finish(registry, caller, task, body.outcome, body.note, datetime.now(UTC)))


@router.post(
    "/holder-mergers",
    status_code=201,
    openapi_extra=audited("holder-merged"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "holder-invalid", "holder-merged-already"]
    ),
    summary="Note that a holder was merged into another 持证主体合并",
)
async def merge_holders(
    body: Merger, request: Request, caller: Annotated[Principal, Depends(requires(Role.OPERATOR))]
) -> MergerReply:
    """Let nothing more be issued to, or presented of, a holder that is another one now."""
    registry: Registry = request.app.state.registry
    raised = await merge(
        registry,
        caller,
        body.holder_code_type,
        body.holder_code,
        body.survivor_code,
        body.reason,
        datetime.now(UTC),
    )
    return {"tasks": raised}


def shown(task: Task) -> TaskReply:
    """Return a task for a reply."""
    return {
        "id": str(task.id),
        "licence": task.identifier,
        "cause": task.cause.value,
        "reaction": task.reaction.value,
        "raised_at": task.raised_at.isoformat(),
        "claimed_by": task.claimed_by,
        "claimed_at": None if task.claimed_at is None else task.claimed_at.isoformat(),
        "done_at": None if task.done_at is None else task.done_at.isoformat(),
        "outcome": task.outcome,
        "note": task.note,
    }
