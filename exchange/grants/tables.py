"""SQL of grants (tables `exchange.share_grant`, `exchange.grant_change`, `exchange.grant_use`).

Each change of a grant has a number, given by a trigger in the order of the commits: `changed` of the grant, and the
last of all in `grant_change`. Whoever changes grants, by whatever statement, is followed by it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, Time, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, UUID, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.grants.grant import Grant, Hours, Mode
from exchange.registers.tables import metadata

CHANNEL = "zhengtong_grants"
"""Where the database says that a grant has changed."""

share_grant = Table(
    "share_grant",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("matters", ARRAY(Text), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", TIMESTAMP(timezone=True), nullable=False),
    Column("modes", ARRAY(Text), nullable=False),
    Column("clear_fields", ARRAY(Text), nullable=False),
    Column("quota_per_day", BigInteger),
    Column("quota_per_minute", BigInteger),
    Column("hours_from", Time),
    Column("hours_to", Time),
    Column("divisions", ARRAY(Text), nullable=False),
    Column("request", UUID),
    Column("changed", BigInteger, nullable=False),
    Index("share_grant_client", "client_id", "resource"),
    Index("share_grant_changed", "changed"),
)
Index("share_grant_request", share_grant.c.request, postgresql_where=text("request IS NOT NULL"))

grant_change = Table(
    "grant_change",
    metadata,
    Column("only", Boolean, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

grant_use = Table(
    "grant_use",
    metadata,
    Column("grant_id", UUID, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("begins", TIMESTAMP(timezone=True), primary_key=True),
    Column("used", BigInteger, nullable=False),
)

_STANDING = """
SELECT * FROM exchange.share_grant WHERE client_id = $1 AND resource = $2 AND ended_at IS NULL ORDER BY granted_at, id
"""

_CHANGED = """
SELECT * FROM exchange.share_grant WHERE changed > $1 AND (ended_at IS NULL OR $1 >= 0)
"""

# It need not wait for the disk: what a machine that loses its power forgets of the last moment was used unpunished.
_USE = """
INSERT INTO exchange.grant_use AS u (grant_id, span, begins, used)
SELECT $1, $2, $3, $4::bigint FROM (SELECT set_config('synchronous_commit', 'off', true)) AS disk (waits)
WHERE $4 <= $5::bigint AND disk.waits = 'off'
ON CONFLICT (grant_id, span, begins) DO UPDATE SET used = u.used + $4 WHERE u.used + $4 <= $5
RETURNING used
"""


async def add(engine: AsyncEngine, grant: Grant) -> bool:
    """Store a grant; False when one with its id stands already."""
    statement = insert(share_grant).values(
        id=grant.id,
        client_id=grant.client_id,
        resource=grant.resource,
        purpose=grant.purpose,
        legal_basis=grant.legal_basis,
        valid_from=grant.valid_from,
        granted_by=grant.granted_by,
        granted_at=grant.granted_at,
        request=grant.request,
        changed=0,
        **_changeable(grant),
    )
    async with engine.begin() as connection:
        done = await connection.execute(statement.on_conflict_do_nothing().returning(share_grant.c.id))
        return done.one_or_none() is not None


async def change(engine: AsyncEngine, grant: Grant, names: frozenset[str]) -> bool:
    """Store what a grant now says of some of its members; False when none stands by its id.

    Args:
        names: members that may change. The others stay as they are by now, so that two changes at once do not undo
            each other.
    """
    statement = (
        update(share_grant)
        .where(share_grant.c.id == grant.id, share_grant.c.ended_at.is_(None))
        .values({name: value for name, value in _changeable(grant).items() if _member(name) in names})
        .returning(share_grant.c.id)
    )
    async with engine.begin() as connection:
        return (await connection.execute(statement)).one_or_none() is not None


async def find(engine: AsyncEngine, grant_id: uuid.UUID) -> Grant | None:
    """Return one grant by its id."""
    async with engine.connect() as connection:
        found = await connection.execute(select(share_grant).where(share_grant.c.id == grant_id))
        row = found.mappings().one_or_none()
    return None if row is None else as_grant(row)


async def of_client(engine: AsyncEngine, client_id: str) -> list[Grant]:
    """Return all grants of a client, ended ones too, newest first."""
    statement = (
        select(share_grant)
        .where(share_grant.c.client_id == client_id)
        .order_by(share_grant.c.granted_at.desc())
    )
    async with engine.connect() as connection:
        return [as_grant(row) for row in (await connection.execute(statement)).mappings()]


async def end(engine: AsyncEngine, grant_id: uuid.UUID, now: datetime) -> bool:
    """End a grant; False when there is none or it has ended before."""
    statement = (
        update(share_grant)
        .where(share_grant.c.id == grant_id, share_grant.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(share_grant.c.id)
    )
    async with engine.begin() as connection:
        return (await connection.execute(statement)).one_or_none() is not None


async def standing(pool: Any, client_id: str, resource: str) -> tuple[Grant, ...]:
    """Return the grants of a client for a resource that nobody has ended, the oldest first.

    Args:
        pool: of asyncpg, or a connection.
    """
    return tuple(as_grant(row) for row in await pool.fetch(_STANDING, client_id, resource))


async def last_change(connection: Any) -> int:
    """Return the number of the last change of any grant."""
    number: int = await connection.fetchval("SELECT number FROM exchange.grant_change")
    return number


async def changed_since(connection: Any, number: int) -> list[tuple[int, Grant]]:
    """Return the grants that changed after a change, with the number of theirs; those that ended are among them.

    Args:
        number: of a change; less than 0: none was seen yet, and all grants that stand are returned.
    """
    return [(row["changed"], as_grant(row)) for row in await connection.fetch(_CHANGED, number)]


async def give_back(pool: Any, grant_id: uuid.UUID, span: str, begins: datetime, count: int) -> None:
    """Count as unused what `use` has counted."""
    await pool.execute(
        "UPDATE exchange.grant_use SET used = used - $4 WHERE grant_id = $1 AND span = $2 AND begins = $3",
        grant_id,
        span,
        begins,
        count,
    )


async def forget_use(connection: Any, before: datetime) -> None:
    """Drop what was counted by the minute; what was by the day stays for whoever looks at volumes."""
    await connection.execute("DELETE FROM exchange.grant_use WHERE span = 'minute' AND begins < $1", before)


async def use(
    pool: Any, grant_id: uuid.UUID, span: str, begins: datetime, count: int, quota: int
) -> int | None:
    """Count the use of a grant in a span of time; returns what is used by then, None where that passes the quota.

    Args:
        pool: of asyncpg: never a connection within a transaction, which would not wait for the disk either.
        span: `day` or `minute`.
        begins: of the span.
    """
    used: int | None = await pool.fetchval(_USE, grant_id, span, begins, count, quota)
    return used


def as_grant(row: Mapping[Any, Any]) -> Grant:
    """Return the grant of a row."""
    begin, end_ = row["hours_from"], row["hours_to"]
    return Grant(
        id=row["id"],
        client_id=row["client_id"],
        resource=row["resource"],
        fields=frozenset(row["fields"]),
        matters=frozenset(row["matters"]),
        purpose=row["purpose"],
        legal_basis=row["legal_basis"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        granted_by=row["granted_by"],
        granted_at=row["granted_at"],
        ended_at=row["ended_at"],
        modes=_modes(row["modes"]),
        clear_fields=frozenset(row["clear_fields"]),
        quota_per_day=row["quota_per_day"],
        quota_per_minute=row["quota_per_minute"],
        hours=None if begin is None else Hours(begin, end_),
        divisions=frozenset(row["divisions"]),
        request=row["request"],
    )


def _member(column: str) -> str:
    return "hours" if column in {"hours_from", "hours_to"} else column


def _modes(names: Sequence[str]) -> frozenset[Mode]:
    return frozenset(Mode(name) for name in names)


def _changeable(grant: Grant) -> dict[str, Any]:
    hours = grant.hours
    return {
        "fields": sorted(grant.fields),
        "matters": sorted(grant.matters),
        "valid_until": grant.valid_until,
        "modes": sorted(grant.modes),
        "clear_fields": sorted(grant.clear_fields),
        "quota_per_day": grant.quota_per_day,
        "quota_per_minute": grant.quota_per_minute,
        "hours_from": None if hours is None else hours.begin,
        "hours_to": None if hours is None else hours.end,
        "divisions": sorted(grant.divisions),
    }
