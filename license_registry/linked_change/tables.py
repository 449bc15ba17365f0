"""SQL of linked changes (schema `license_registry`): what was last seen of holders, tasks, mergers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from license_registry.lifecycle.rules import Cause, Reaction
from license_registry.tables import licence, metadata

followed_holder = Table(
    "followed_holder",
    metadata,
    Column("holder", BYTEA, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("standing", Text, nullable=False),
    Column("name", BYTEA),
    Column("address", BYTEA),
    Column("representative", BYTEA),
    Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
)

follow_position = Table(
    "follow_position",
    metadata,
    Column("one", Boolean, CheckConstraint("one"), primary_key=True, server_default=true()),
    Column("position", BYTEA, nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reaction", Text, nullable=False),
    Column("register_version", Integer, nullable=False),
    Column("raised_at", TIMESTAMP(timezone=True), nullable=False),
    Column("claimed_by", Text),
    Column("claimed_at", TIMESTAMP(timezone=True)),
    Column("done_at", TIMESTAMP(timezone=True)),
    Column("outcome", Text),
    Column("note", Text),
    UniqueConstraint("identifier", "cause", "register_version"),
)
Index("task_open", task.c.issuer, task.c.raised_at, postgresql_where=text("done_at IS NULL"))

holder_merger = Table(
    "holder_merger",
    metadata,
    Column("holder", BYTEA, primary_key=True),
    Column("survivor", BYTEA, nullable=False),
    Column("reason", Text, nullable=False),
    Column("merged_at", TIMESTAMP(timezone=True), nullable=False),
)

_STANDING = "('01', '02', '06', '99')"
"""States of licences that something may still become of."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A holder with licences that stand.

    Args:
        type_code: of one of them, which tells what kind of code names the holder.
        since: when the first of them was issued.
    """

    holder: bytes
    type_code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last seen of a holder: keyed fingerprints, never the values.

    Args:
        version: of the register's row.
        standing: `living`, `dead`, or `ended`: the register no longer has it.
    """

    version: int
    standing: str
    name: bytes | None
    address: bytes | None
    representative: bytes | None


@dataclass(frozen=True, slots=True)
class Task:
    """What an issuing authority is to see to.

    Args:
        outcome: `changed`, `ended` or `unneeded`, once it is done.
    """

    id: uuid.UUID
    identifier: str
    issuer: str
    cause: Cause
    reaction: Reaction
    register_version: int
    raised_at: datetime
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    done_at: datetime | None = None
    outcome: str | None = None
    note: str | None = None


# Both lists are cut at the same number of holders, and so is their union: none between two cuts is missed.
_HOLDERS_AFTER = f"""
WITH next AS (
    SELECT holder FROM (
        (SELECT DISTINCT holder FROM license_registry.licence
        WHERE holder > $1 AND state IN {_STANDING} ORDER BY holder LIMIT $2)
        UNION (SELECT DISTINCT c.holder FROM license_registry.co_holder c
        JOIN license_registry.licence l USING (identifier)
        WHERE c.holder > $1 AND l.state IN {_STANDING} ORDER BY c.holder LIMIT $2)
    ) AS both_kinds ORDER BY holder LIMIT $2
)
SELECT next.holder, held.type_code, held.since FROM next CROSS JOIN LATERAL (
    SELECT min(type_code) AS type_code, min(issued_at) AS since FROM (
        SELECT type_code, issued_at FROM license_registry.licence l
        WHERE l.holder = next.holder AND state IN {_STANDING}
        UNION ALL SELECT l.type_code, l.issued_at FROM license_registry.co_holder c
        JOIN license_registry.licence l USING (identifier)
        WHERE c.holder = next.holder AND l.state IN {_STANDING}
    ) AS standing
) AS held ORDER BY next.holder
"""  # noqa: S608 -- a constant


async def holders_after(connection: Any, position: bytes, limit: int) -> list[Holding]:
    """Return the next holders, in the order of their blind indexes, that have licences which stand."""
    rows = await connection.fetch(_HOLDERS_AFTER, position, limit)
    return [Holding(**row) for row in rows]


async def licences_standing(
    connection: Any, holder: bytes, before: datetime | None
) -> list[tuple[str, str, str]]:
    """Return (identifier, type code, issuer) of all licences of a holder that something may still become of.

    Args:
        before: only those issued before; None: all.
    """
    rows = await connection.fetch(
        "SELECT identifier, type_code, issuer FROM license_registry.licence"  # noqa: S608 -- a constant
        " WHERE holder = $1 AND ($2::timestamptz IS NULL OR issued_at < $2)"
        f" AND state IN {_STANDING}"
        " UNION SELECT identifier, l.type_code, l.issuer FROM license_registry.co_holder c"
        " JOIN license_registry.licence l USING (identifier)"
        " WHERE c.holder = $1 AND ($2::timestamptz IS NULL OR l.issued_at < $2)"
        f" AND l.state IN {_STANDING} ORDER BY identifier",
        holder,
        before,
    )
    return [tuple(row) for row in rows]


async def seen(connection: Any, holders: Sequence[bytes]) -> dict[bytes, Seen]:
    """Return what was last seen of holders."""
    rows = await connection.fetch(
        "SELECT holder, version, standing, name, address, representative FROM license_registry.followed_holder"
        " WHERE holder = ANY($1)",
        list(holders),
    )
    return {
        row["holder"]: Seen(
            row["version"], row["standing"], row["name"], row["address"], row["representative"]
        )
        for row in rows
    }


async def put_seen(connection: Any, holder: bytes, new: Seen, now: datetime) -> None:
    """Note what is seen of a holder now."""
    await connection.execute(
        "INSERT INTO license_registry.followed_holder"
        " (holder, version, standing, name, address, representative, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT (holder) DO UPDATE SET version = excluded.version, standing = excluded.standing,"
        " name = excluded.name, address = excluded.address, representative = excluded.representative,"
        " seen_at = excluded.seen_at",
        holder,
        new.version,
        new.standing,
        new.name,
        new.address,
        new.representative,
        now,
    )


async def read_position(connection: Any) -> bytes:
    """Return where the walk over all holders stands; empty: at its beginning."""
    found: bytes | None = await connection.fetchval("SELECT position FROM license_registry.follow_position")
    return b"" if found is None else found


async def put_position(connection: Any, position: bytes) -> None:
    """Note where the walk over all holders stands."""
    await connection.execute(
        "INSERT INTO license_registry.follow_position (position) VALUES ($1)"
        " ON CONFLICT (one) DO UPDATE SET position = excluded.position",
        position,
    )


async def add_task(connection: Any, new: Task) -> bool:
    """Store a task; False if the same cause has raised it before."""
    done = await connection.execute(
        "INSERT INTO license_registry.task (id, identifier, issuer, cause, reaction, register_version, raised_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (identifier, cause, register_version) DO NOTHING",
        new.id,
        new.identifier,
        new.issuer,
        new.cause.value,
        new.reaction.value,
        new.register_version,
        new.raised_at,
    )
    return bool(done == "INSERT 0 1")


async def find_task(connection: Any, task_id: uuid.UUID) -> Task | None:
    """Return a task, locked until the transaction ends."""
    row = await connection.fetchrow("SELECT * FROM license_registry.task WHERE id = $1 FOR UPDATE", task_id)
    return None if row is None else _task(row)


async def tasks(connection: Any, issuer: str | None, state: str, limit: int) -> list[Task]:
    """Return tasks of an authority (None: of all), the oldest first; `state` is `open`, `claimed` or `done`."""
    where = {
        "open": "done_at IS NULL AND claimed_at IS NULL",
        "claimed": "done_at IS NULL AND claimed_at IS NOT NULL",
        "done": "done_at IS NOT NULL",
    }[state]
    rows = await connection.fetch(
        f"SELECT * FROM license_registry.task WHERE ($1::text IS NULL OR issuer = $1) AND {where}"  # noqa: S608
        " ORDER BY raised_at, id LIMIT $2",
        issuer,
        limit,
    )
    return [_task(row) for row in rows]


async def claim_task(connection: Any, task_id: uuid.UUID, by: str, now: datetime) -> None:
    """Note who sees to a task."""
    await connection.execute(
        "UPDATE license_registry.task SET claimed_by = $2, claimed_at = $3 WHERE id = $1", task_id, by, now
    )


async def finish_task(
    connection: Any, task_id: uuid.UUID, outcome: str, note: str | None, now: datetime
) -> None:
    """Note how a task came out."""
    await connection.execute(
        "UPDATE license_registry.task SET outcome = $2, note = $3, done_at = $4 WHERE id = $1",
        task_id,
        outcome,
        note,
        now,
    )


async def add_merger(connection: Any, holder: bytes, survivor: bytes, reason: str, now: datetime) -> bool:
    """Note that a holder was merged into another; False if that was noted before."""
    done = await connection.execute(
        "INSERT INTO license_registry.holder_merger (holder, survivor, reason, merged_at)"
        " VALUES ($1, $2, $3, $4) ON CONFLICT (holder) DO NOTHING",
        holder,
        survivor,
        reason,
        now,
    )
    return bool(done == "INSERT 0 1")


async def survivor_of(connection: Any, holder: bytes) -> bytes | None:
    """Return whom a holder was merged into, None if it was not."""
    found: bytes | None = await connection.fetchval(
        "SELECT survivor FROM license_registry.holder_merger WHERE holder = $1", holder
    )
    return found


async def merged(connection: Any, holders: Sequence[bytes]) -> frozenset[bytes]:
    """Return which of these holders were merged into others."""
    rows = await connection.fetch(
        "SELECT holder FROM license_registry.holder_merger WHERE holder = ANY($1)", list(holders)
    )
    return frozenset(row["holder"] for row in rows)


def _task(row: Any) -> Task:
    return Task(**{**row, "cause": Cause(row["cause"]), "reaction": Reaction(row["reaction"])})
