"""Entries about subjects (table `exchange.entry`): penalties, restrictions and the like, by kind, until they end.

A matter asks whether there is none of a kind. What an entry says is sealed; only its kind and its dates stand in clear.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Date, Index, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata
from foundation.sensitive import Vault

entry = Table(
    "entry",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("subject", BYTEA, nullable=False),
    Column("kind", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("decided_on", Date, nullable=False),
    Column("until", Date),
    Column("sealed", BYTEA, nullable=False),
    Column("source", Text, nullable=False),
    Column("added_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_on", Date),
    Index("entry_subject", "subject", "kind"),
    Index("entry_kind", "kind"),
)

_IN_FORCE = "decided_on <= $3 AND (until IS NULL OR until >= $3) AND (ended_on IS NULL OR ended_on > $3)"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry about a subject.

    Args:
        subject: blind index.
        kind: such as `serious-breach-of-trust` or `food-safety-penalty`.
        authority: USCC of the authority that decided.
        until: last day on which it counts; None: until it is lifted.
        text: what was decided; sealed at rest.
        source: where the exchange has it from.
        ended_on: the day on which it was lifted, from which it counts no longer.
    """

    id: uuid.UUID
    subject: bytes
    kind: str
    authority: str
    decided_on: date
    until: date | None
    text: str
    source: str
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a subject has an entry of a kind in force.

    Args:
        found: sources of those that are in force; none: there is none.
        known: the exchange has entries of this kind at all. Where it has none, nothing can be said.
    """

    found: tuple[str, ...]
    known: bool


async def add(connection: Any, vault: Vault, new: Entry, now: datetime) -> bool:
    """Store an entry; False when one with its id stands already.

    Args:
        connection: of asyncpg, or a pool.
    """
    done = await connection.fetchval(
        "INSERT INTO exchange.entry (id, subject, kind, authority, decided_on, until, sealed, source, added_at,"
        " ended_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING RETURNING 1",
        new.id,
        new.subject,
        new.kind,
        new.authority,
        new.decided_on,
        new.until,
        vault.seal(new.text.encode(), _place(new.id)),
        new.source,
        now,
        new.ended_on,
    )
    return done is not None


async def end(connection: Any, entry_id: uuid.UUID, on: date) -> bool:
    """Lift an entry as of a day; False when there is none, or it was lifted before."""
    done = await connection.fetchval(
        "UPDATE exchange.entry SET ended_on = $2 WHERE id = $1 AND ended_on IS NULL RETURNING 1", entry_id, on
    )
    return done is not None


async def stands(connection: Any, entry_id: uuid.UUID) -> bool:
    """True when there is an entry of this id, about whomever."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM exchange.entry WHERE id = $1)", entry_id
    )
    return found


async def of_subject(connection: Any, vault: Vault, subject: bytes) -> list[Entry]:
    """Return all entries about a subject, those that ended too, newest first."""
    rows = await connection.fetch(
        "SELECT id, subject, kind, authority, decided_on, until, sealed, source, ended_on FROM exchange.entry"
        " WHERE subject = $1 ORDER BY decided_on DESC, id",
        subject,
    )
    return [_entry(row, vault) for row in rows]


async def standing(pool: Any, questions: Sequence[tuple[bytes, str]], day: date) -> list[Standing]:
    """Tell in step for each (subject, kind) whether entries are in force on a day."""
    if not questions:
        return []
    rows = await pool.fetch(
        "SELECT array(SELECT DISTINCT e.source FROM exchange.entry e WHERE e.subject = q.subject AND e.kind = q.kind"
        f" AND {_IN_FORCE} ORDER BY 1), EXISTS (SELECT FROM exchange.entry e WHERE e.kind = q.kind)"
        " FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS q (subject, kind, turn) ORDER BY q.turn",
        [subject for subject, _ in questions],
        [kind for _, kind in questions],
        day,
    )
    return [Standing(tuple(sources), known) for sources, known in rows]


def _entry(row: Any, vault: Vault) -> Entry:
    entry_id, subject, kind, authority, decided_on, until, sealed, source, ended_on = row
    text = vault.open(sealed, _place(entry_id)).decode()
    return Entry(entry_id, subject, kind, authority, decided_on, until, text, source, ended_on)


def _place(entry_id: uuid.UUID) -> bytes:
    return b"entry\0" + entry_id.bytes
