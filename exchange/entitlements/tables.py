"""SQL of automatic entitlement: runs, and whom each found (schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

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
    Column("sealed", BYTEA, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Index("entitlement_found_run", "run", "id"),
    Index("entitlement_found_subject", "subject"),
)


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
    """Somebody who is entitled: found, told or declined. `sealed` is what the department sees of them."""

    id: uuid.UUID
    run: uuid.UUID
    subject: bytes
    sealed: bytes
    state: str


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
    await connection.executemany(
        "INSERT INTO exchange.entitlement_found (id, run, subject, sealed, state, changed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [(each.id, each.run, each.subject, each.sealed, each.state, now) for each in new],
    )


async def found_by(connection: Any, run_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[Found]:
    """Return a page of whom a run found."""
    rows = await connection.fetch(
        "SELECT id, run, subject, sealed, state FROM exchange.entitlement_found"
        " WHERE run = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3",
        run_id,
        after,
        limit,
    )
    return [Found(*row) for row in rows]


async def counts(connection: Any, run_id: uuid.UUID) -> dict[str, int]:
    """Return state → how many of whom a run found."""
    rows = await connection.fetch(
        "SELECT state, count(*) AS number FROM exchange.entitlement_found WHERE run = $1 GROUP BY state",
        run_id,
    )
    return {row["state"]: row["number"] for row in rows}


async def decide(
    connection: Any, run_id: uuid.UUID, ids: Sequence[uuid.UUID] | None, state: str, now: datetime
) -> list[Found]:
    """Bring those that nobody decided on to a state, and return them; all of them, where no ids are given."""
    rows = await connection.fetch(
        "UPDATE exchange.entitlement_found SET state = $3, changed_at = $4"
        " WHERE run = $1 AND state = 'found' AND ($2::uuid[] IS NULL OR id = ANY($2))"
        " RETURNING id, run, subject, sealed, state",
        run_id,
        None if ids is None else list(ids),
        state,
        now,
    )
    return [Found(*row) for row in rows]


async def told_to(pool: Any, person: bytes) -> list[dict[str, Any]]:
    """Return what a person was told that they are entitled to, the latest first."""
    rows = await pool.fetch(
        "SELECT f.id, r.rule, r.department, f.changed_at AS told_at FROM exchange.entitlement_found f"
        " JOIN exchange.entitlement_run r ON r.id = f.run WHERE f.subject = $1 AND f.state = 'told'"
        " ORDER BY f.changed_at DESC, f.id",
        person,
    )
    return [dict(row) for row in rows]
