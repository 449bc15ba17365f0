"""SQL of what befalls licences: signed changes, versions, dates to come (schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from license_registry.lifecycle.states import Actor, Operation, State
from license_registry.tables import licence, metadata

life = Table(
    "life",
    metadata,
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Column("changes", Integer, nullable=False),
    Column("last_change", BYTEA),
    Column("state_description", Text),
    Column("suspended_until", Date),
    Column("transferred_to", Text),
    Column("replaces", Text),
    Column("replaced_by", Text),
)
Index("life_suspended_until", life.c.suspended_until, postgresql_where=text("suspended_until IS NOT NULL"))
Index("life_replaces", life.c.replaces, unique=True, postgresql_where=text("replaces IS NOT NULL"))

change = Table(
    "change",
    metadata,
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("id", UUID, nullable=False, unique=True),
    Column("operation", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("state_before", Text, nullable=False),
    Column("state_after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("statement", Text, nullable=False),
)

reminder = Table(
    "reminder",
    metadata,
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Column("days", Integer, primary_key=True),
    Column("reminded_at", TIMESTAMP(timezone=True), nullable=False),
)

Index(
    "licence_ending",
    licence.c.valid_until,
    postgresql_where=text("state IN ('01', '02')"),
)


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a licence beyond its row.

    Args:
        changes: how many changes of it have been signed.
        last_change: SHA-256 of the last signed change.
        state_description: what state 99 means.
        suspended_until: first day on which a suspension is over by itself.
        transferred_to: unified code of the authority that it was transferred out to.
        replaces: identifier of the version before (关联证照标识); `replaced_by`: of the one after.
    """

    changes: int = 0
    last_change: bytes | None = None
    state_description: str | None = None
    suspended_until: date | None = None
    transferred_to: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change as it was signed; `statement` is the compact JWS."""

    identifier: str
    sequence: int
    id: uuid.UUID
    operation: Operation
    actor: Actor
    department: str
    state_before: State
    state_after: State
    reason: str
    changed_at: datetime
    statement: str


_LIFE = "changes, last_change, state_description, suspended_until, transferred_to, replaces, replaced_by"


async def life_of(connection: Any, identifier: str) -> Life:
    """Return what is known of a licence; of one that nothing befell, nothing."""
    row = await connection.fetchrow(
        f"SELECT {_LIFE} FROM license_registry.life WHERE identifier = $1",  # noqa: S608 -- constant names
        identifier,
    )
    return Life() if row is None else Life(**row)


async def put_life(connection: Any, identifier: str, new: Life) -> None:
    """Note what is known of a licence from now on; the caller holds its row locked."""
    await connection.execute(
        f"INSERT INTO license_registry.life (identifier, {_LIFE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608
        " ON CONFLICT (identifier) DO UPDATE SET changes = excluded.changes, last_change = excluded.last_change,"
        " state_description = excluded.state_description, suspended_until = excluded.suspended_until,"
        " transferred_to = excluded.transferred_to, replaces = excluded.replaces,"
        " replaced_by = excluded.replaced_by",
        identifier,
        new.changes,
        new.last_change,
        new.state_description,
        new.suspended_until,
        new.transferred_to,
        new.replaces,
        new.replaced_by,
    )


async def add_change(connection: Any, new: Change) -> None:
    """Store a signed change."""
    await connection.execute(
        "INSERT INTO license_registry.change (identifier, sequence, id, operation, actor, department, state_before,"
        " state_after, reason, changed_at, statement) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.identifier,
        new.sequence,
        new.id,
        new.operation.value,
        new.actor.value,
        new.department,
        new.state_before.value,
        new.state_after.value,
        new.reason,
        new.changed_at,
        new.statement,
    )


async def changes_of(connection: Any, identifiers: Sequence[str]) -> list[Change]:
    """Return all signed changes of licences, in the order in which each was signed."""
    rows = await connection.fetch(
        "SELECT identifier, sequence, id, operation, actor, department, state_before, state_after, reason,"
        " changed_at, statement FROM license_registry.change WHERE identifier = ANY($1)"
        " ORDER BY changed_at, identifier, sequence",
        list(identifiers),
    )
    return [
        Change(
            **{
                **row,
                "operation": Operation(row["operation"]),
                "actor": Actor(row["actor"]),
                "state_before": State(row["state_before"]),
                "state_after": State(row["state_after"]),
            }
        )
        for row in rows
    ]


async def versions_of(connection: Any, identifier: str) -> list[str]:
    """Return the identifiers of all versions of a licence, the first one first."""
    rows = await connection.fetch(
        "WITH RECURSIVE earlier AS (SELECT $1::text AS identifier, 0 AS place UNION ALL"
        " SELECT l.replaces, e.place - 1 FROM earlier e JOIN license_registry.life l USING (identifier)"
        " WHERE l.replaces IS NOT NULL),"
        " later AS (SELECT $1::text AS identifier, 0 AS place UNION ALL"
        " SELECT l.replaced_by, e.place + 1 FROM later e JOIN license_registry.life l USING (identifier)"
        " WHERE l.replaced_by IS NOT NULL)"
        " SELECT identifier FROM (SELECT * FROM earlier UNION SELECT * FROM later) AS chain ORDER BY place",
        identifier,
    )
    return [row["identifier"] for row in rows]


async def over(connection: Any, today: date, limit: int, without: Sequence[str]) -> list[str]:
    """Lock and return licences in force whose last day has passed, the longest first.

    Args:
        without: codes of types that are left out.
    """
    rows = await connection.fetch(
        "SELECT identifier FROM license_registry.licence WHERE state IN ('01', '02') AND valid_until < $1"
        " AND type_code <> ALL($3) ORDER BY valid_until LIMIT $2 FOR UPDATE SKIP LOCKED",
        today,
        limit,
        list(without),
    )
    return [row["identifier"] for row in rows]


async def suspended_long_enough(
    connection: Any, today: date, limit: int, without: Sequence[str]
) -> list[str]:
    """Lock and return suspended licences that come back by themselves on this day or before.

    Args:
        without: codes of types that are left out.
    """
    rows = await connection.fetch(
        "SELECT l.identifier FROM license_registry.life f JOIN license_registry.licence l USING (identifier)"
        " WHERE f.suspended_until <= $1 AND l.state = '02' AND l.type_code <> ALL($3)"
        " ORDER BY f.suspended_until LIMIT $2 FOR UPDATE OF l SKIP LOCKED",
        today,
        limit,
        list(without),
    )
    return [row["identifier"] for row in rows]


async def ending_unreminded(
    connection: Any, today: date, until: date, days: int, limit: int
) -> list[tuple[str, str, str, date]]:
    """Return (identifier, type code, issuer, last day) of licences in force that end by a day, not reminded of it yet.

    One that was reminded at fewer days before its end is not reminded again at more.
    """
    rows = await connection.fetch(
        "SELECT l.identifier, l.type_code, l.issuer, l.valid_until FROM license_registry.licence l"
        " WHERE l.state IN ('01', '02') AND l.valid_until BETWEEN $1 AND $2 AND NOT EXISTS"
        " (SELECT FROM license_registry.reminder r WHERE r.identifier = l.identifier AND r.days <= $3)"
        " ORDER BY l.valid_until, l.identifier LIMIT $4 FOR UPDATE OF l SKIP LOCKED",
        today,
        until,
        days,
        limit,
    )
    return [tuple(row) for row in rows]


async def add_reminder(connection: Any, identifier: str, days: int, now: datetime) -> None:
    """Note that somebody was reminded of the end of a licence, so many days before."""
    await connection.execute(
        "INSERT INTO license_registry.reminder (identifier, days, reminded_at) VALUES ($1, $2, $3)",
        identifier,
        days,
        now,
    )


@dataclass(frozen=True, slots=True)
class Reminder:
    """That a licence in force ends soon, as its issuer and who may present it were last reminded.

    Args:
        days: before the end at which the reminder was due (60, 30 or 7).
    """

    identifier: str
    type_code: str
    number: str
    issuer: str
    issuer_name: str | None
    state: str
    valid_until: date
    days: int
    reminded_at: datetime


async def reminders_to(connection: Any, presenters: Sequence[bytes], today: date) -> list[Reminder]:
    """Return the latest reminder of each licence in force that a person may present, the one that ends first first.

    Args:
        presenters: all identifiers that the person stands under.
    """
    rows = await connection.fetch(
        "SELECT l.identifier, l.type_code, l.number, l.issuer, l.issuer_name, l.state, l.valid_until, r.days,"
        " r.reminded_at FROM license_registry.licence l CROSS JOIN LATERAL"
        " (SELECT days, reminded_at FROM license_registry.reminder WHERE identifier = l.identifier"
        " ORDER BY days LIMIT 1) AS r WHERE l.state IN ('01', '02') AND l.valid_until >= $2 AND (l.presenter = ANY($1)"
        " OR l.identifier IN (SELECT identifier FROM license_registry.co_holder WHERE holder = ANY($1)))"
        " ORDER BY l.valid_until, l.identifier LIMIT 1000",
        list(presenters),
        today,
    )
    return [Reminder(**row) for row in rows]
