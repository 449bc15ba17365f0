"""SQL of notices (schema `license_registry`): who wants which, and what is on its way."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from foundation.signing import canonical_json
from license_registry.tables import metadata

subscription = Table(
    "subscription",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("department", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint("department", "url"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("subscription", UUID, ForeignKey(subscription.c.id, ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", BYTEA, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", TIMESTAMP(timezone=True)),
    Column("delivered_at", TIMESTAMP(timezone=True)),
    Column("dead_at", TIMESTAMP(timezone=True)),
    Column("last_failure", Text),
)
Index("delivery_due", delivery.c.next_attempt_at, postgresql_where=text("next_attempt_at IS NOT NULL"))
Index("delivery_dead", delivery.c.dead_at, postgresql_where=text("dead_at IS NOT NULL"))


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to be delivered now; `attempts` before this one."""

    id: uuid.UUID
    url: str
    kind: str
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a notice came."""

    id: uuid.UUID
    department: str
    url: str
    kind: str
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_failure: str | None


async def put_subscription(
    connection: Any, department: str, url: str, kinds: Collection[str], now: datetime
) -> uuid.UUID:
    """Send a department's notices of these kinds, and no others, to an address from now on."""
    found: uuid.UUID = await connection.fetchval(
        "INSERT INTO license_registry.subscription (id, department, url, kinds, created_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (department, url) DO UPDATE SET kinds = excluded.kinds RETURNING id",
        uuid.uuid4(),
        department,
        url,
        sorted(kinds),
        now,
    )
    return found


async def add_notice(
    connection: Any, department: str, kind: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """Let a notice wait for each address of a department that wants this kind; in the transaction of what it tells.

    `facts` are JSON without fractions; like an event they hold nothing of a person.
    """
    rows = await connection.fetch(
        "SELECT id FROM license_registry.subscription WHERE department = $1 AND $2 = ANY(kinds)",
        department,
        kind,
    )
    for row in rows:
        delivery_id = uuid.uuid4()
        body = canonical_json({"id": str(delivery_id), "kind": kind, "at": now.isoformat(), **facts})
        await connection.execute(
            "INSERT INTO license_registry.delivery (id, subscription, kind, body, created_at, next_attempt_at)"
            " VALUES ($1, $2, $3, $4, $5, $5)",
            delivery_id,
            row["id"],
            kind,
            body,
            now,
        )


async def take_due(connection: Any, now: datetime, again: datetime, limit: int) -> list[Due]:
    """Return notices that are due, and put them off to `again`: who dies while sending loses none, it is sent twice."""
    rows = await connection.fetch(
        "UPDATE license_registry.delivery d SET next_attempt_at = $2, attempts = d.attempts + 1"
        " FROM license_registry.subscription s WHERE s.id = d.subscription AND d.id IN"
        " (SELECT id FROM license_registry.delivery WHERE next_attempt_at <= $1"
        " ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
        " RETURNING d.id, s.url, d.kind, d.body, d.attempts - 1 AS attempts",
        now,
        again,
        limit,
    )
    return [Due(**row) for row in rows]


async def delivered(connection: Any, delivery_id: uuid.UUID, now: datetime) -> None:
    """Note that a notice arrived."""
    await connection.execute(
        "UPDATE license_registry.delivery SET delivered_at = $2, next_attempt_at = NULL, last_failure = NULL"
        " WHERE id = $1",
        delivery_id,
        now,
    )


async def failed(
    connection: Any, delivery_id: uuid.UUID, failure: str, again: datetime | None, now: datetime
) -> None:
    """Note that a notice did not arrive.

    Args:
        again: when it is tried again; None: it lies dead until somebody sees to it.
    """
    await connection.execute(
        "UPDATE license_registry.delivery SET last_failure = $2, next_attempt_at = $3::timestamptz,"
        " dead_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END WHERE id = $1",
        delivery_id,
        failure,
        again,
        now,
    )


async def revive(connection: Any, delivery_id: uuid.UUID, department: str | None, now: datetime) -> bool:
    """Let a dead notice be tried again, counting from the beginning; False if it is not dead, or another department's.

    Args:
        department: whose it must be; None: anybody's, for the operator.
    """
    done = await connection.execute(
        "UPDATE license_registry.delivery d SET next_attempt_at = $3, dead_at = NULL, attempts = 0"
        " FROM license_registry.subscription s WHERE s.id = d.subscription AND d.id = $1 AND d.dead_at IS NOT NULL"
        " AND ($2::text IS NULL OR s.department = $2)",
        delivery_id,
        department,
        now,
    )
    return bool(done == "UPDATE 1")


async def deliveries(connection: Any, department: str | None, *, dead: bool, limit: int) -> list[Delivery]:
    """Return notices of a department (None: of all), the latest first; only dead ones if asked."""
    rows = await connection.fetch(
        "SELECT d.id, s.department, s.url, d.kind, d.created_at, d.attempts, d.next_attempt_at, d.delivered_at,"
        " d.dead_at, d.last_failure FROM license_registry.delivery d"
        " JOIN license_registry.subscription s ON s.id = d.subscription"
        " WHERE ($1::text IS NULL OR s.department = $1) AND (NOT $2 OR d.dead_at IS NOT NULL)"
        " ORDER BY d.created_at DESC, d.id LIMIT $3",
        department,
        dead,
        limit,
    )
    return [Delivery(**row) for row in rows]


async def count_dead(connection: Any) -> int:
    """Return how many notices lie dead."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM license_registry.delivery WHERE dead_at IS NOT NULL"
    )
    return found
