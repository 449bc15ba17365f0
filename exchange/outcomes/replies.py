"""What the routes of outcomes and supervision answer, as clients read it."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel


class OutcomeShown(BaseModel):
    """What was decided in a case: granted, refused or withdrawn."""

    id: UUID
    department: str
    matter: str
    case: str
    result: str
    decided_on: date


class SupervisionTask(BaseModel):
    """A granted outcome that a department supervises."""

    outcome: OutcomeShown
    made_at: datetime
    seen_at: datetime | None


class SupervisionTasks(BaseModel):
    """What a department supervises, the oldest first."""

    tasks: list[SupervisionTask]


class SupervisedApplicant(BaseModel):
    """Whom a task is about."""

    kind: str
    identifier: str


class SupervisedTask(SupervisionTask):
    """A task, and whom it is about."""

    applicant: SupervisedApplicant


class EntryShown(BaseModel):
    """An entry that a supervising department made, without what it says."""

    id: UUID
    kind: str
    authority: str
    decided_on: date
    until: date | None
    ended_on: date | None
