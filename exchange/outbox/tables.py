"""SQL of the outbox (table `exchange.outbox`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("target", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sealed", BYTEA),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", TIMESTAMP(timezone=True)),
    Column("delivered_at", TIMESTAMP(timezone=True)),
    Column("dead_at", TIMESTAMP(timezone=True)),
    Column("last_failure", Text),
)
Index("outbox_kept", outbox.c.delivered_at, postgresql_where=text("sealed IS NOT NULL"))
Index("outbox_dead", outbox.c.dead_at, postgresql_where=text("dead_at IS NOT NULL AND sealed IS NOT NULL"))
Index("outbox_due", outbox.c.next_attempt_at, postgresql_where=text("next_attempt_at IS NOT NULL"))


@dataclass(frozen=True, slots=True)
class Due:
    """A message to be sent now; `attempts` before this one. `sealed` is its body."""

    id: uuid.UUID
    target: str
    kind: str
    sealed: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Sent:
    """How far a message came."""

    id: uuid.UUID
    target: str
    kind: str
    made_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_failure: str | None


async def add(
    connection: Any, message_id: uuid.UUID, target: str, kind: str, sealed: bytes, now: datetime
) -> None:
    """Let a message wait, in the transaction of what it tells; the same id again changes nothing."""
    await connection.execute(
        "INSERT INTO exchange.outbox (id, target, kind, sealed, made_at, next_attempt_at)"
        " VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING",
        message_id,
        target,
        kind,
        sealed,
        now,
    )


async def take_due(
    connection: Any, targets: Sequence[str], now: datetime, again: datetime, limit: int
) -> list[Due]:
    """Return messages to these targets that are due, and put them off to `again`: who dies while sending loses none."""
    rows = await connection.fetch(
        "UPDATE exchange.outbox SET next_attempt_at = $3, attempts = attempts + 1 WHERE id IN"
        " (SELECT id FROM exchange.outbox WHERE next_attempt_at <= $2 AND target = ANY($1)"
        " ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED)"
        " RETURNING id, target, kind, sealed, attempts - 1 AS attempts",
        list(targets),
        now,
        again,
        limit,
    )
    return [Due(**row) for row in rows]


async def delivered(connection: Any, message_id: uuid.UUID, now: datetime) -> None:
    """Note that a message arrived."""
    await connection.execute(
        "UPDATE exchange.outbox SET delivered_at = $2, next_attempt_at = NULL, last_failure = NULL WHERE id = $1",
        message_id,
        now,
    )


async def failed(
    connection: Any, message_id: uuid.UUID, failure: str, again: datetime | None, now: datetime
) -> None:
    """Note that a message did not arrive; without another attempt it lies dead until somebody sees to it."""
    await connection.execute(
        "UPDATE exchange.outbox SET last_failure = $2, next_attempt_at = $3::timestamptz,"
        " dead_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END WHERE id = $1",
        message_id,
        failure,
        again,
        now,
    )


async def revive(connection: Any, message_id: uuid.UUID, now: datetime) -> bool:
    """Let a dead message be tried again, counting from the beginning; False if it is not dead, or has no text."""
    found = await connection.fetchval(
        "UPDATE exchange.outbox SET next_attempt_at = $2, dead_at = NULL, attempts = 0"
        " WHERE id = $1 AND dead_at IS NOT NULL AND sealed IS NOT NULL RETURNING 1",
        message_id,
        now,
    )
    return found is not None


async def revive_all(connection: Any, target: str | None, message_id: uuid.UUID | None, now: datetime) -> int:
    """Let dead messages be tried again, to one target or to all, one or all of them; return how many."""
    rows = await connection.fetch(
        "UPDATE exchange.outbox SET next_attempt_at = $3, dead_at = NULL, attempts = 0 WHERE dead_at IS NOT NULL"
        " AND sealed IS NOT NULL AND ($1::text IS NULL OR target = $1) AND ($2::uuid IS NULL OR id = $2)"
        " RETURNING 1",
        target,
        message_id,
        now,
    )
    return len(rows)


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete the text of messages that arrived before a moment; return of how many."""
    rows = await connection.fetch(
        "UPDATE exchange.outbox SET sealed = NULL WHERE id IN (SELECT id FROM exchange.outbox"
        " WHERE delivered_at < $1 AND sealed IS NOT NULL LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def forget_dead(connection: Any, before: datetime, limit: int) -> int:
    """Delete the text of messages that were given up before a moment; return of how many. That they were stays."""
    rows = await connection.fetch(
        "UPDATE exchange.outbox SET sealed = NULL WHERE id IN (SELECT id FROM exchange.outbox"
        " WHERE dead_at < $1 AND sealed IS NOT NULL LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def messages(pool: Any, *, dead: bool, limit: int) -> list[Sent]:
    """Return messages, the latest first; only dead ones, if `dead`."""
    rows = await pool.fetch(
        "SELECT id, target, kind, made_at, attempts, next_attempt_at, delivered_at, dead_at, last_failure"
        " FROM exchange.outbox WHERE NOT $1 OR dead_at IS NOT NULL ORDER BY made_at DESC, id LIMIT $2",
        dead,
        limit,
    )
    return [Sent(**row) for row in rows]
