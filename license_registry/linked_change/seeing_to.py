"""Seeing to tasks: an authority claims one, and says how it came out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as registry_tables
from license_registry.audit.event import happened
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.states import State
from license_registry.linked_change import tables
from license_registry.linked_change.tables import Task
from license_registry.ports import Registry


class Outcome(StrEnum):
    """How a task came out: a new version; the licence ended; nothing was to be done, and a note says why."""

    CHANGED = "changed"
    ENDED = "ended"
    UNNEEDED = "unneeded"


class TaskDone(DomainError):
    code = "task-done"


class TaskClaimed(DomainError):
    code = "task-claimed"


class OutcomeNotSo(DomainError):
    code = "task-outcome-not-so"


async def claim(registry: Registry, caller: Principal, task_id: uuid.UUID, now: datetime) -> Task:
    """Take a task of the caller's authority; the system that has it may take it again.

    Raises:
        NotFound, TaskDone, TaskClaimed: as they say.
    """
    async with registry.pool.acquire() as connection, connection.transaction():
        task = await _own(connection, caller, task_id)
        if task.claimed_by == caller.id:
            return task
        if task.claimed_by is not None:
            raise TaskClaimed(_("{system} sees to this task"), system=task.claimed_by)
        await tables.claim_task(connection, task_id, caller.id, now)
        event = happened("task-claimed", task.identifier, caller, now, task=str(task_id))
        await registry_tables.add_event(connection, event)
    return replace(task, claimed_by=caller.id, claimed_at=now)


async def finish(
    registry: Registry,
    caller: Principal,
    task_id: uuid.UUID,
    outcome: Outcome,
    note: str | None,
    now: datetime,
) -> Task:
    """Say how a task came out; what the registry itself can see it checks.

    Raises:
        NotFound, TaskDone, TaskClaimed: as they say.
        OutcomeNotSo: there is no new version, the licence has not ended, or nothing says why it was unneeded.
    """
    async with registry.pool.acquire() as connection, connection.transaction():
        task = await _own(connection, caller, task_id)
        if task.claimed_by not in (None, caller.id):
            raise TaskClaimed(_("{system} sees to this task"), system=task.claimed_by)
        await _require_so(connection, task, outcome, note)
        if task.claimed_by is None:
            await tables.claim_task(connection, task_id, caller.id, now)
            task = replace(task, claimed_by=caller.id, claimed_at=now)
        await tables.finish_task(connection, task_id, outcome.value, note, now)
        event = happened(
            "task-done", task.identifier, caller, now, task=str(task_id), outcome=outcome.value, note=note
        )
        await registry_tables.add_event(connection, event)
    return replace(task, outcome=outcome.value, note=note, done_at=now)


async def _own(connection: Any, caller: Principal, task_id: uuid.UUID) -> Task:
    task = await tables.find_task(connection, task_id)
    if task is None or task.issuer != caller.department:
        raise NotFound(_("no such task"))
    if task.done_at is not None:
        raise TaskDone(_("this task is done: {outcome}"), outcome=task.outcome)
    return task


async def _require_so(connection: Any, task: Task, outcome: Outcome, note: str | None) -> None:
    if outcome is Outcome.UNNEEDED:
        if note is None:
            raise OutcomeNotSo(_("say why nothing was to be done"), pointer="/note")
        return
    life = await life_tables.life_of(connection, task.identifier)
    if outcome is Outcome.CHANGED:
        if life.replaced_by is None:
            raise OutcomeNotSo(_("the licence has no new version"), pointer="/outcome")
        return
    found = await registry_tables.find(connection, task.identifier)
    standing = {State.VALID, State.SUSPENDED, State.OTHER}
    if found is None or found.state in standing or life.replaced_by is not None:
        raise OutcomeNotSo(_("the licence has not ended"), pointer="/outcome")
