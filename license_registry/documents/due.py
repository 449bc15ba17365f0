"""SQL of documents that are due (table `document_due`): written with the licence, gone with the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from license_registry.tables import Licence, copy, metadata

document_due = Table(
    "document_due",
    metadata,
    Column("identifier", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("bulk", Boolean, nullable=False),
    Column("due_at", TIMESTAMP(timezone=True), nullable=False),
    Column("tries", BigInteger, nullable=False),
    Column("next_try_at", TIMESTAMP(timezone=True)),
    Column("problem", Text),
)
Index(
    "document_due_next",
    document_due.c.bulk,
    document_due.c.next_try_at,
    postgresql_where=text("next_try_at IS NOT NULL"),
)
Index(
    "document_due_problem",
    document_due.c.problem,
    document_due.c.issuer,
    postgresql_where=text("problem IS NOT NULL"),
)

MOST_COUNTED = 100_000

_COLUMNS = "identifier, issuer, bulk, due_at, tries, next_try_at, problem"


@dataclass(frozen=True, slots=True)
class Due:
    """A licence whose document is to be drawn.

    Args:
        issuer: whose licence it is, and so whose seals it gets.
        bulk: one of many that were issued together.
        tries: how often drawing it was begun.
        next_try_at: None: it waits for an operator, for what `problem` tells.
        problem: code of what kept it last.
    """

    identifier: str
    issuer: str
    bulk: bool
    due_at: datetime
    tries: int
    next_try_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far drawing is.

    Args:
        waiting: how many have met no problem yet; at most `MOST_COUNTED`.
        since: since when it has been the turn of one; may lie ahead.
        troubled: code of a problem → how many met it last.
    """

    waiting: int
    since: datetime | None
    troubled: dict[str, int]


async def add(connection: Any, licence: Licence, now: datetime) -> None:
    """Let the document of a licence be due, in the transaction that writes the licence."""
    await connection.execute(
        f"INSERT INTO license_registry.document_due ({_COLUMNS})"  # noqa: S608 -- constant column names
        " VALUES ($1, $2, false, $3, 0, $3, NULL)",
        licence.identifier,
        licence.issuer,
        now,
    )


async def add_many(connection: Any, licences: Sequence[Licence], now: datetime) -> None:
    """As `add`, for many that are issued together."""
    rows = ((each.identifier, each.issuer, True, now, 0, now, None) for each in licences)
    await copy(connection, "document_due", _COLUMNS, rows)


async def claim(connection: Any, now: datetime, lease: timedelta, limit: int, *, bulk: bool) -> list[Due]:
    """Return some that are due, the longest first; nobody else gets them until the lease is over."""
    rows = await connection.fetch(
        "WITH chosen AS MATERIALIZED (SELECT identifier FROM license_registry.document_due"
        "  WHERE bulk = $1 AND next_try_at <= $2 ORDER BY next_try_at LIMIT $4 FOR UPDATE SKIP LOCKED)"
        " UPDATE license_registry.document_due d SET tries = tries + 1, next_try_at = $2 + $3::interval"
        " FROM chosen WHERE d.identifier = chosen.identifier RETURNING d.*",
        bulk,
        now,
        lease,
        limit,
    )
    return sorted((_due(row) for row in rows), key=lambda each: each.due_at)


async def settle(connection: Any, identifier: str) -> None:
    """Let the document of a licence be due no more: it is kept."""
    await connection.execute("DELETE FROM license_registry.document_due WHERE identifier = $1", identifier)


async def put_off(connection: Any, identifier: str, problem: str, next_try_at: datetime | None) -> None:
    """Keep what kept a document from being drawn, and when it is tried again; None: when somebody says so."""
    await connection.execute(
        "UPDATE license_registry.document_due SET problem = $2, next_try_at = $3 WHERE identifier = $1",
        identifier,
        problem,
        next_try_at,
    )


async def resume(
    connection: Any,
    at: datetime,
    *,
    identifier: str | None = None,
    problem: str | None = None,
    issuer: str | None = None,
) -> int:
    """Let documents that wait, for whatever or for one problem, be tried at a moment; return how many.

    Args:
        identifier: of one licence, `issuer`: those of an authority; None: of any.
    """
    done: str = await connection.execute(
        "UPDATE license_registry.document_due SET next_try_at = $1, tries = 0, problem = NULL"
        " WHERE problem IS NOT NULL AND ($2::text IS NULL OR identifier = $2)"
        " AND ($3::text IS NULL OR problem = $3) AND ($4::text IS NULL OR issuer = $4)",
        at,
        identifier,
        problem,
        issuer,
    )
    return int(done.rsplit(" ", 1)[-1])


async def troubled(connection: Any, limit: int) -> list[Due]:
    """Return documents that something kept from being drawn, the longest due first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM license_registry.document_due WHERE problem IS NOT NULL"  # noqa: S608
        " ORDER BY due_at, identifier LIMIT $1",
        limit,
    )
    return [_due(row) for row in rows]


async def standing(connection: Any) -> Standing:
    """Return how far drawing is."""
    waiting, since = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM"
        "  (SELECT FROM license_registry.document_due WHERE problem IS NULL LIMIT $1) AS counted),"
        " least((SELECT min(next_try_at) FROM license_registry.document_due WHERE bulk),"
        "  (SELECT min(next_try_at) FROM license_registry.document_due WHERE NOT bulk))",
        MOST_COUNTED,
    )
    troubled = await connection.fetch(
        "SELECT problem, count(*) FROM license_registry.document_due WHERE problem IS NOT NULL GROUP BY problem"
    )
    return Standing(waiting, since, {row[0]: row[1] for row in troubled})


def _due(row: Any) -> Due:
    return Due(**row)
