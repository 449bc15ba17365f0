"""SQL of automatic entitlement: runs, and whom each found (schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.aliases import decided_identities
from exchange.registers.tables import metadata

run = Table(
    "entitlement_run",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("problem", Text),
    Column("last", BYTEA, nullable=False),
    Column("screened", Integer, nullable=False, server_default="0"),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Index("entitlement_run_department", "department", "made_at"),
)
Index("entitlement_run_open", run.c.made_at, postgresql_where=text("state = 'open'"))

found = Table(
    "entitlement_found",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("run", UUID, ForeignKey("exchange.entitlement_run.id"), nullable=False),
    Column("subject", BYTEA, nullable=False),
    Column("sealed", BYTEA),
    Column("state", Text, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("told_at", TIMESTAMP(timezone=True)),
    Column("answer_until", Date),
    Column("answered_at", TIMESTAMP(timezone=True)),
    Column("due_at", TIMESTAMP(timezone=True)),
    Index("entitlement_found_run", "run", "id"),
    Index("entitlement_found_subject", "subject"),
)
Index("entitlement_found_kept", found.c.changed_at, postgresql_where=text("sealed IS NOT NULL"))


@dataclass(frozen=True, slots=True)
class Run:
    """A run: open, review (all were looked at), or failed with a problem. `last`: subject up to which it came."""

    id: uuid.UUID
    rule: str
    rule_version: int
    client_id: str
    department: str
    state: str
    problem: str | None
    last: bytes
    screened: int
    made_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who is entitled. `sealed` is what the department sees of them, None once that was forgotten.

    Args:
        state: found; declined or told by the department; accepted or refused by the person, or lapsed, where an answer
            is needed and the last day for it has passed.
        answer_until: the last day on which the person can answer; None: no answer is needed.
        due_at: since when the benefit is to be given.
    """

    id: uuid.UUID
    run: uuid.UUID
    subject: bytes
    sealed: bytes | None
    state: str
    told_at: datetime | None = None
    answer_until: date | None = None
    answered_at: datetime | None = None
    due_at: datetime | None = None


_PLAIN = "f.id, f.run, f.subject, f.sealed, f.state, f.told_at, f.answer_until, f.answered_at, f.due_at"


def _state(day: str) -> str:
    """Return SQL of a state on a day: nobody need be there when the last day to answer passes."""
    return f"CASE WHEN f.state = 'told' AND f.answer_until < {day}::date THEN 'lapsed' ELSE f.state END"


def _found(day: str) -> str:
    return _PLAIN.replace("f.state", f"{_state(day)} AS state")


_RUN = "id, rule, rule_version, client_id, department, state, problem, last, screened, made_at, changed_at"


async def add_run(connection: Any, new: Run) -> bool:
    """Store a run; False when one of its id stands already."""
    done = await connection.fetchval(
        f"INSERT INTO exchange.entitlement_run ({_RUN}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"  # noqa: S608 -- ours
        " ON CONFLICT DO NOTHING RETURNING 1",
        new.id,
        new.rule,
        new.rule_version,
        new.client_id,
        new.department,
        new.state,
        new.problem,
        new.last,
        new.screened,
        new.made_at,
        new.changed_at,
    )
    return done is not None


async def find_run(connection: Any, run_id: uuid.UUID) -> Run | None:
    """Return a run by its id."""
    row = await connection.fetchrow(f"SELECT {_RUN} FROM exchange.entitlement_run WHERE id = $1", run_id)  # noqa: S608 -- ours
    return None if row is None else Run(*row)


async def take_open(connection: Any) -> Run | None:
    """Hold an open run until the transaction ends; None where there is none, or others hold all."""
    row = await connection.fetchrow(
        f"SELECT {_RUN} FROM exchange.entitlement_run WHERE state = 'open'"  # noqa: S608 -- ours
        " ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    return None if row is None else Run(*row)


async def persons_after(
    connection: Any, last: bytes, limit: int
) -> list[tuple[bytes, dict[str, Any], bytes | None]]:
    """Return rows of the register of persons in the order of their subjects, still sealed."""
    rows = await connection.fetch(
        "SELECT subject, content, sealed FROM exchange.person WHERE subject > $1 ORDER BY subject LIMIT $2",
        last,
        limit,
    )
    return [(row["subject"], row["content"], row["sealed"]) for row in rows]


async def went_on(connection: Any, run_id: uuid.UUID, last: bytes, screened: int, now: datetime) -> None:
    """Note how far a run came."""
    await connection.execute(
        "UPDATE exchange.entitlement_run SET last = $2, screened = screened + $3, changed_at = $4 WHERE id = $1",
        run_id,
        last,
        screened,
        now,
    )


async def ended(connection: Any, run_id: uuid.UUID, state: str, problem: str | None, now: datetime) -> None:
    """Note that a run is over: in `review`, or `failed` with a problem."""
    await connection.execute(
        "UPDATE exchange.entitlement_run SET state = $2, problem = $3, changed_at = $4 WHERE id = $1",
        run_id,
        state,
        problem,
        now,
    )


async def add_found(connection: Any, new: Sequence[Found], now: datetime) -> None:
    """Store whom a run found."""
    await connection.execute(
        "INSERT INTO exchange.entitlement_found (id, run, subject, sealed, state, changed_at)"
        " SELECT id, run, subject, sealed, state, $6 FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[],"
        " $5::text[]) AS f (id, run, subject, sealed, state)",
        [each.id for each in new],
        [each.run for each in new],
        [each.subject for each in new],
        [each.sealed for each in new],
        [each.state for each in new],
        now,
    )


async def found_by(
    connection: Any, run_id: uuid.UUID, after: uuid.UUID | None, state: str | None, day: date, limit: int
) -> list[Found]:
    """Return a page of whom a run found, as they stand on a day; those in one state only, if it is given."""
    rows = await connection.fetch(
        f"SELECT * FROM (SELECT {_found('$5')} FROM exchange.entitlement_found f"  # noqa: S608 -- ours
        " WHERE run = $1 AND ($2::uuid IS NULL OR id > $2)) AS f WHERE $3::text IS NULL OR state = $3"
        " ORDER BY id LIMIT $4",
        run_id,
        after,
        state,
        limit,
        day,
    )
    return [Found(*row) for row in rows]


async def find(connection: Any, found_id: uuid.UUID, day: date) -> Found | None:
    """Return one of those found, as they stand on a day, held until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_found('$2')} FROM exchange.entitlement_found f WHERE id = $1 FOR UPDATE",  # noqa: S608 -- ours
        found_id,
        day,
    )
    return None if row is None else Found(*row)


async def counts(connection: Any, run_id: uuid.UUID, day: date) -> dict[str, int]:
    """Return state on a day → how many of whom a run found."""
    rows = await connection.fetch(
        f"SELECT {_state('$2')} AS state, count(*) AS number FROM exchange.entitlement_found f"  # noqa: S608 -- ours
        " WHERE run = $1 GROUP BY 1",
        run_id,
        day,
    )
    return {row["state"]: row["number"] for row in rows}


async def due(connection: Any, run_id: uuid.UUID) -> int:
    """Return to how many of whom a run found the benefit is to be given."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM exchange.entitlement_found WHERE run = $1 AND due_at IS NOT NULL", run_id
    )
    return number


async def decline(
    connection: Any, run_id: uuid.UUID, ids: Sequence[uuid.UUID] | None, now: datetime
) -> list[Found]:
    """Drop those that nobody decided on, and return them; all of them, where no ids are given."""
    rows = await connection.fetch(
        "UPDATE exchange.entitlement_found f SET state = 'declined', changed_at = $3"  # noqa: S608 -- ours
        f" WHERE run = $1 AND state = 'found' AND ($2::uuid[] IS NULL OR id = ANY($2)) RETURNING {_PLAIN}",
        run_id,
        None if ids is None else list(ids),
        now,
    )
    return [Found(*row) for row in rows]


async def told(
    connection: Any, run_id: uuid.UUID, ids: Sequence[uuid.UUID] | None, until: date | None, now: datetime
) -> list[Found]:
    """Bring those that nobody decided on to `told`, and return them; all of them, where no ids are given.

    Args:
        until: the last day on which they can answer; None: no answer is needed, and the benefit is due now.
    """
    rows = await connection.fetch(
        "UPDATE exchange.entitlement_found f SET state = 'told', changed_at = $4, told_at = $4,"  # noqa: S608 -- ours
        " answer_until = $3::date, due_at = CASE WHEN $3::date IS NULL THEN $4::timestamptz END"
        f" WHERE run = $1 AND state = 'found' AND ($2::uuid[] IS NULL OR id = ANY($2)) RETURNING {_PLAIN}",
        run_id,
        None if ids is None else list(ids),
        until,
        now,
    )
    return [Found(*row) for row in rows]


async def answered(connection: Any, found_id: uuid.UUID, now: datetime, *, accepted: bool) -> None:
    """Note what a person answered; the benefit is due from then on, if they accepted."""
    await connection.execute(
        "UPDATE exchange.entitlement_found SET state = $2, changed_at = $3, answered_at = $3,"
        " due_at = CASE WHEN $4 THEN $3::timestamptz END WHERE id = $1",
        found_id,
        "accepted" if accepted else "refused",
        now,
        accepted,
    )


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete what departments see of those with whom nothing has happened since a moment; return of how many.

    Who is still asked for an answer is kept. That somebody was found, and what became of it, stays, and so does whom to
    give a benefit that is due: they are looked up in the register.
    """
    rows = await connection.fetch(
        "UPDATE exchange.entitlement_found SET sealed = NULL WHERE id IN (SELECT id FROM exchange.entitlement_found"
        " WHERE changed_at < $1 AND sealed IS NOT NULL"
        " AND NOT (state = 'told' AND answer_until IS NOT NULL AND answer_until >= $1::date)"
        " LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def told_to(pool: Any, person: bytes, day: date) -> list[dict[str, Any]]:
    """Return what a person was told that they are entitled to, as it stands on a day, the latest first.

    By whichever of their identifiers.
    """
    rows = await pool.fetch(
        f"SELECT f.id, r.rule, r.department, {_state('$2')} AS state, f.told_at, f.answer_until, f.answered_at,"  # noqa: S608 -- ours
        " f.due_at FROM exchange.entitlement_found f JOIN exchange.entitlement_run r ON r.id = f.run"
        " WHERE f.subject = ANY($1) AND f.told_at IS NOT NULL ORDER BY f.told_at DESC, f.id",
        await decided_identities(pool, person),
        day,
    )
    return [dict(row) for row in rows]


async def person_of(connection: Any, subject: bytes) -> tuple[dict[str, Any], bytes | None] | None:
    """Return a person's row in the register, still sealed; None where it is there no longer."""
    row = await connection.fetchrow("SELECT content, sealed FROM exchange.person WHERE subject = $1", subject)
    return None if row is None else (row["content"], row["sealed"])
