"""SQL of subscriptions and of the subjects that they name (schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata
from exchange.subscriptions.subscription import Scope, State, Subscription

subscription = Table(
    "subscription",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("grant_id", UUID, nullable=False),
    Column("resource", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("scope", Text, nullable=False),
    Column("url", Text),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("state_since", TIMESTAMP(timezone=True)),
    Column("head", BigInteger, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("not_before", TIMESTAMP(timezone=True)),
    Column("leased_until", TIMESTAMP(timezone=True)),
    Index("subscription_client", "client_id"),
)
Index("subscription_active", subscription.c.topic, postgresql_where=text("state = 'active'"))

subscription_subject = Table(
    "subscription_subject",
    metadata,
    Column("subscription", UUID, ForeignKey(subscription.c.id, ondelete="CASCADE"), primary_key=True),
    Column("subject", BYTEA, primary_key=True),
    Column("reference", Text, nullable=False),
    Index("subscription_subject_subject", "subject"),
    Index("subscription_subject_reference", "subscription", "reference"),
)

_COLUMNS = (
    "id, client_id, department, grant_id, resource, topic, matter, kinds, scope, url, created_at, state, reason,"
    " state_since, head, forgotten, failures"
)

_CLAIM = f"""
UPDATE exchange.subscription SET leased_until = $2 WHERE id IN (
    SELECT s.id FROM exchange.subscription s
    WHERE s.state = 'active' AND s.url IS NOT NULL
      AND coalesce(s.leased_until, '-infinity') <= $1 AND coalesce(s.not_before, '-infinity') <= $1
      AND EXISTS (
        SELECT FROM exchange.feed_event e
        WHERE e.subscription = s.id AND e.next_attempt_at <= $1 AND NOT EXISTS (
            SELECT FROM exchange.feed_event b
            WHERE b.subscription = e.subscription AND b.subject = e.subject AND b.sequence < e.sequence
              AND (b.dead_at IS NOT NULL OR b.next_attempt_at > $1)))
    ORDER BY s.leased_until NULLS FIRST LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}
"""  # noqa: S608 -- constant column names

_UNGRANTED = f"""
SELECT {_COLUMNS} FROM exchange.subscription s WHERE s.state = 'active' AND NOT EXISTS (
    SELECT FROM exchange.share_grant g
    WHERE g.id = s.grant_id AND g.client_id = s.client_id AND g.ended_at IS NULL AND g.valid_until > $1
      AND 'subscribe' = ANY(g.modes) AND s.matter = ANY(g.matters))
"""  # noqa: S608 -- constant column names


async def add(connection: Any, new: Subscription) -> Subscription:
    """Store a subscription; return the one that stands under its id."""
    await connection.execute(
        "INSERT INTO exchange.subscription (id, client_id, department, grant_id, resource, topic, matter, kinds,"
        " scope, url, created_at, state, head, forgotten, failures)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'active', 0, 0, 0) ON CONFLICT (id) DO NOTHING",
        new.id,
        new.client_id,
        new.department,
        new.grant,
        new.resource,
        new.topic,
        new.matter,
        sorted(new.kinds),
        new.scope.value,
        new.url,
        new.created_at,
    )
    found = await find(connection, new.id)
    assert found is not None
    return found


async def find(
    connection: Any, subscription_id: uuid.UUID, *, for_change: bool = False
) -> Subscription | None:
    """Return a subscription, locked until the transaction ends if it is to change."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM exchange.subscription WHERE id = $1"  # noqa: S608 -- constant column names
        + (" FOR UPDATE" if for_change else ""),
        subscription_id,
    )
    return None if row is None else _subscription(row)


async def of_client(connection: Any, client_id: str | None) -> list[Subscription]:
    """Return a client's subscriptions, or all (None), the newest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM exchange.subscription WHERE $1::text IS NULL OR client_id = $1"  # noqa: S608
        " ORDER BY created_at DESC LIMIT 1000",
        client_id,
    )
    return [_subscription(row) for row in rows]


async def set_state(
    connection: Any, subscription_id: uuid.UUID, state: State, reason: str | None, now: datetime
) -> bool:
    """Let a subscription end, and forget whom it named; False if it had ended."""
    done = await connection.fetchval(
        "UPDATE exchange.subscription SET state = $2, reason = $3, state_since = $4, leased_until = NULL"
        " WHERE id = $1 AND state = 'active' RETURNING true",
        subscription_id,
        state.value,
        reason,
        now,
    )
    if done:
        await connection.execute(
            "DELETE FROM exchange.subscription_subject WHERE subscription = $1", subscription_id
        )
    return bool(done)


async def set_url(connection: Any, subscription_id: uuid.UUID, url: str) -> None:
    """Send a subscription's events elsewhere from now on, at once."""
    await connection.execute(
        "UPDATE exchange.subscription SET url = $2, failures = 0, not_before = NULL WHERE id = $1",
        subscription_id,
        url,
    )


async def ungranted(connection: Any, now: datetime) -> list[Subscription]:
    """Return active subscriptions whose grant no longer lets them be."""
    return [_subscription(row) for row in await connection.fetch(_UNGRANTED, now)]


async def claim(connection: Any, now: datetime, until: datetime, limit: int) -> list[Subscription]:
    """Take active subscriptions that have something to deliver, for oneself until a moment."""
    return [_subscription(row) for row in await connection.fetch(_CLAIM, now, until, limit)]


async def keep(connection: Any, subscription_id: uuid.UUID, until: datetime) -> bool:
    """Keep what was claimed for longer; False if it no longer goes on."""
    found = await connection.fetchval(
        "UPDATE exchange.subscription SET leased_until = $2 WHERE id = $1 AND state = 'active' RETURNING true",
        subscription_id,
        until,
    )
    return bool(found)


async def release(
    connection: Any, subscription_id: uuid.UUID, failures: int, not_before: datetime | None
) -> None:
    """Let go of what was claimed.

    Args:
        not_before: nothing is sent earlier; None: at once.
    """
    await connection.execute(
        "UPDATE exchange.subscription SET leased_until = NULL, failures = $2, not_before = $3 WHERE id = $1",
        subscription_id,
        failures,
        not_before,
    )


async def name_subjects(connection: Any, subscription_id: uuid.UUID, named: Mapping[bytes, str]) -> None:
    """Note subjects, each with its reference; one that is named already gets the new reference."""
    await connection.execute(
        "INSERT INTO exchange.subscription_subject (subscription, subject, reference)"
        " SELECT $1, subject, reference FROM unnest($2::bytea[], $3::text[]) AS named (subject, reference)"
        " ON CONFLICT (subscription, subject) DO UPDATE SET reference = excluded.reference",
        subscription_id,
        list(named),
        list(named.values()),
    )


async def drop_subjects(connection: Any, subscription_id: uuid.UUID, references: Sequence[str]) -> None:
    """Forget subjects by their references; references that name nobody are passed over."""
    await connection.execute(
        "DELETE FROM exchange.subscription_subject WHERE subscription = $1 AND reference = ANY($2)",
        subscription_id,
        list(references),
    )


async def count_subjects(connection: Any, subscription_id: uuid.UUID) -> int:
    """Return how many subjects a subscription names."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM exchange.subscription_subject WHERE subscription = $1", subscription_id
    )
    return found


async def any_active(pool: Any) -> bool:
    """Tell whether anybody subscribes to anything."""
    return bool(
        await pool.fetchval("SELECT EXISTS (SELECT FROM exchange.subscription WHERE state = 'active')")
    )


async def wanted_topics(connection: Any, kind: str | None = None) -> dict[str, frozenset[Scope]]:
    """Return the topics of active subscriptions, and of whom these tell.

    Args:
        kind: of those alone that tell of this kind.
    """
    rows = await connection.fetch(
        "SELECT topic, array_agg(DISTINCT scope) AS scopes FROM exchange.subscription WHERE state = 'active'"
        " AND ($1::text IS NULL OR $1 = ANY(kinds)) GROUP BY topic",
        kind,
    )
    return {row["topic"]: frozenset(Scope(scope) for scope in row["scopes"]) for row in rows}


async def heads(pool: Any, subscription_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the heads of feeds."""
    rows = await pool.fetch(
        "SELECT id, head FROM exchange.subscription WHERE id = ANY($1)", list(set(subscription_ids))
    )
    return {row["id"]: row["head"] for row in rows}


def _subscription(row: Mapping[str, Any]) -> Subscription:
    return Subscription(
        id=row["id"],
        client_id=row["client_id"],
        department=row["department"],
        grant=row["grant_id"],
        resource=row["resource"],
        topic=row["topic"],
        matter=row["matter"],
        kinds=frozenset(row["kinds"]),
        scope=Scope(row["scope"]),
        url=row["url"],
        created_at=row["created_at"],
        state=State(row["state"]),
        reason=row["reason"],
        state_since=row["state_since"],
        head=row["head"],
        forgotten=row["forgotten"],
        failures=row["failures"],
    )
