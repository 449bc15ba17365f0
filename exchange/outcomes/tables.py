"""SQL of outcomes (schema `exchange`): what was decided in a case, and what it gives a supervising department to do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Date, ForeignKey, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata

outcome = Table(
    "case_outcome",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("department", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("decided_on", Date, nullable=False),
    Column("applicant", BYTEA, nullable=False),
    Column("recorded_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint("department", "matter", "case_ref"),
)
Index(
    "case_outcome_applicant",
    outcome.c.applicant,
    outcome.c.matter,
    postgresql_where=text("result = 'granted'"),
)

supervision_task = Table(
    "supervision_task",
    metadata,
    Column("outcome", UUID, ForeignKey("exchange.case_outcome.id"), primary_key=True),
    Column("department", Text, nullable=False),
    Column("applicant_kind", Text, nullable=False),
    Column("applicant", BYTEA),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("seen_at", TIMESTAMP(timezone=True)),
    Index("supervision_task_department", "department", "made_at"),
)
Index("supervision_task_kept", supervision_task.c.made_at, postgresql_where=text("applicant IS NOT NULL"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided in a case. `applicant` is the blind index."""

    id: uuid.UUID
    department: str
    client_id: str
    matter: str
    case_ref: str
    result: str
    decided_on: date
    applicant: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """A granted outcome that a department supervises; `applicant` is sealed, None once it was forgotten."""

    outcome: uuid.UUID
    department: str
    applicant_kind: str
    applicant: bytes | None
    made_at: datetime
    seen_at: datetime | None


async def on_record(pool: Any, applicant: bytes, matters: Sequence[str]) -> dict[str, bool]:
    """Say for each matter whether it was granted to an applicant."""
    rows = await pool.fetch(
        "SELECT DISTINCT matter FROM exchange.case_outcome"
        " WHERE applicant = $1 AND result = 'granted' AND matter = ANY($2)",
        applicant,
        list(matters),
    )
    there = {row["matter"] for row in rows}
    return {code: code in there for code in matters}


async def find(connection: Any, outcome_id: uuid.UUID) -> Outcome | None:
    """Return an outcome by its id."""
    return _outcome(
        await connection.fetchrow("SELECT * FROM exchange.case_outcome WHERE id = $1", outcome_id)
    )


async def of_case(connection: Any, department: str, matter: str, case_ref: str) -> Outcome | None:
    """Return the outcome of a case, None while it is open."""
    return _outcome(
        await connection.fetchrow(
            "SELECT * FROM exchange.case_outcome WHERE department = $1 AND matter = $2 AND case_ref = $3",
            department,
            matter,
            case_ref,
        )
    )


async def add(connection: Any, new: Outcome) -> None:
    """Store an outcome.

    Raises:
        asyncpg.UniqueViolationError: the id, or the case, has one.
    """
    await connection.execute(
        "INSERT INTO exchange.case_outcome (id, department, client_id, matter, case_ref, result, decided_on,"
        " applicant, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id,
        new.department,
        new.client_id,
        new.matter,
        new.case_ref,
        new.result,
        new.decided_on,
        new.applicant,
        new.recorded_at,
    )


async def add_task(connection: Any, task: Task) -> None:
    """Give a supervising department something to watch over."""
    await connection.execute(
        "INSERT INTO exchange.supervision_task (outcome, department, applicant_kind, applicant, made_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        task.outcome,
        task.department,
        task.applicant_kind,
        task.applicant,
        task.made_at,
    )


async def tasks(pool: Any, department: str, *, unseen: bool, limit: int) -> list[tuple[Task, Outcome]]:
    """Return what a department supervises, the oldest first."""
    rows = await pool.fetch(
        "SELECT t.outcome, t.department AS supervising, t.applicant_kind, t.applicant AS sealed, t.made_at, t.seen_at,"
        " o.* FROM exchange.supervision_task t JOIN exchange.case_outcome o ON o.id = t.outcome"
        " WHERE t.department = $1 AND (NOT $2 OR t.seen_at IS NULL) ORDER BY t.made_at, t.outcome LIMIT $3",
        department,
        unseen,
        limit,
    )
    return [_task(row) for row in rows]


async def find_task(connection: Any, department: str, outcome_id: uuid.UUID) -> tuple[Task, Outcome] | None:
    """Return one thing that a department supervises."""
    row = await connection.fetchrow(
        "SELECT t.outcome, t.department AS supervising, t.applicant_kind, t.applicant AS sealed, t.made_at, t.seen_at,"
        " o.* FROM exchange.supervision_task t JOIN exchange.case_outcome o ON o.id = t.outcome"
        " WHERE t.department = $1 AND t.outcome = $2",
        department,
        outcome_id,
    )
    return None if row is None else _task(row)


async def seen(connection: Any, outcome_id: uuid.UUID, now: datetime) -> None:
    """Note that the supervising department took a task."""
    await connection.execute(
        "UPDATE exchange.supervision_task SET seen_at = coalesce(seen_at, $2) WHERE outcome = $1",
        outcome_id,
        now,
    )


async def supervises(pool: Any, department: str, subject: bytes) -> bool:
    """True when a department supervises what was granted to a subject."""
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM exchange.case_outcome o JOIN exchange.supervision_task t ON t.outcome = o.id"
        " WHERE o.applicant = $2 AND o.result = 'granted' AND t.department = $1)",
        department,
        subject,
    )
    return found


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete the identifiers of those whose supervision began before a moment; return of how many.

    The outcome stays under the blind index: prerequisites, and entries about the subject, go by it.
    """
    rows = await connection.fetch(
        "UPDATE exchange.supervision_task SET applicant = NULL WHERE outcome IN (SELECT outcome"
        " FROM exchange.supervision_task WHERE made_at < $1 AND applicant IS NOT NULL LIMIT $2"
        " FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def entered_by(connection: Any, entry_id: uuid.UUID, department: str, source: str) -> bytes | None:
    """Return the subject of an entry of a source that a department made; None where it made none of this id."""
    found: bytes | None = await connection.fetchval(
        "SELECT subject FROM exchange.entry WHERE id = $1 AND authority = $2 AND source = $3",
        entry_id,
        department,
        source,
    )
    return found


def _task(row: Any) -> tuple[Task, Outcome]:
    task = Task(
        row["outcome"],
        row["supervising"],
        row["applicant_kind"],
        row["sealed"],
        row["made_at"],
        row["seen_at"],
    )
    found = _outcome(row)
    assert found is not None
    return task, found


def _outcome(row: Any) -> Outcome | None:
    if row is None:
        return None
    return Outcome(
        id=row["id"],
        department=row["department"],
        client_id=row["client_id"],
        matter=row["matter"],
        case_ref=row["case_ref"],
        result=row["result"],
        decided_on=row["decided_on"],
        applicant=row["applicant"],
        recorded_at=row["recorded_at"],
    )
