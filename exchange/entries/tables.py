"""SQL of lists (schema `exchange`): who keeps which, and whom each of their entries is about."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata

entry_list = Table(
    "entry_list",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", TIMESTAMP(timezone=True), nullable=False),
)

listed_entry = Table(
    "listed_entry",
    metadata,
    Column("entry", UUID, ForeignKey("exchange.entry.id"), primary_key=True),
    Column("subject_kind", Text, nullable=False),
    Column("sealed", BYTEA, nullable=False),
)


@dataclass(frozen=True, slots=True)
class EntryList:
    """A list of entries of one kind, and the department (USCC) that keeps it."""

    kind: str
    title: str
    title_en: str
    department: str
    legal_basis: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a list, without what it says; `sealed` is the identifier of whom it is about."""

    id: uuid.UUID
    subject: bytes
    kind: str
    authority: str
    decided_on: date
    until: date | None
    ended_on: date | None
    added_at: datetime
    subject_kind: str
    sealed: bytes


_LIST = "kind, title, title_en, department, legal_basis"
_LISTED = (
    "e.id, e.subject, e.kind, e.authority, e.decided_on, e.until, e.ended_on, e.added_at, n.subject_kind, n.sealed"
    " FROM exchange.entry e JOIN exchange.listed_entry n ON n.entry = e.id"
    " JOIN exchange.entry_list l ON l.kind = e.kind"
)


async def put_list(connection: Any, new: EntryList, by: str, now: datetime) -> bool:
    """Say who keeps the list of a kind; False when it stands so already."""
    done = await connection.fetchval(
        f"INSERT INTO exchange.entry_list AS l ({_LIST}, set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"  # noqa: S608 -- ours
        " ON CONFLICT (kind) DO UPDATE SET title = excluded.title, title_en = excluded.title_en,"
        " department = excluded.department, legal_basis = excluded.legal_basis, set_by = excluded.set_by,"
        " set_at = excluded.set_at WHERE (l.title, l.title_en, l.department, l.legal_basis)"
        " <> (excluded.title, excluded.title_en, excluded.department, excluded.legal_basis) RETURNING 1",
        new.kind,
        new.title,
        new.title_en,
        new.department,
        new.legal_basis,
        by,
        now,
    )
    return done is not None


async def lists(pool: Any) -> list[EntryList]:
    """Return all lists, by kind."""
    rows = await pool.fetch(f"SELECT {_LIST} FROM exchange.entry_list ORDER BY kind")  # noqa: S608 -- ours
    return [EntryList(*row) for row in rows]


async def keeps(pool: Any, department: str, kind: str) -> bool:
    """True when a department keeps the list of a kind."""
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM exchange.entry_list WHERE kind = $2 AND department = $1)",
        department,
        kind,
    )
    return found


async def add_name(connection: Any, entry: uuid.UUID, subject_kind: str, sealed: bytes) -> None:
    """Store whom an entry of a list is about, sealed, in the transaction of the entry."""
    await connection.execute(
        "INSERT INTO exchange.listed_entry (entry, subject_kind, sealed) VALUES ($1, $2, $3)",
        entry,
        subject_kind,
        sealed,
    )


async def listed(
    pool: Any, department: str, kind: str | None, on: date | None, after: uuid.UUID | None, limit: int
) -> list[Listed]:
    """Return entries of the lists that a department keeps, by id.

    Args:
        kind: of that list only.
        on: only those in force on this day.
        after: only those behind this id.
    """
    rows = await pool.fetch(
        f"SELECT {_LISTED} WHERE l.department = $1 AND ($2::text IS NULL OR e.kind = $2)"
        " AND ($3::date IS NULL OR (e.decided_on <= $3 AND (e.until IS NULL OR e.until >= $3)"
        " AND (e.ended_on IS NULL OR e.ended_on > $3))) AND ($4::uuid IS NULL OR e.id > $4) ORDER BY e.id LIMIT $5",
        department,
        kind,
        on,
        after,
        limit,
    )
    return [Listed(*row) for row in rows]


async def find(connection: Any, department: str, entry: uuid.UUID) -> Listed | None:
    """Return an entry of a list that a department keeps, held until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_LISTED} WHERE l.department = $1 AND e.id = $2 FOR UPDATE OF e",
        department,
        entry,
    )
    return None if row is None else Listed(*row)
