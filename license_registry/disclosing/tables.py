"""SQL of what departments are shown: grants, counted guesses (schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from license_registry.tables import Event, add_event, licence, metadata

Index("licence_number", licence.c.number, licence.c.type_code)

disclosure_grant = Table(
    "disclosure_grant",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("licence_type", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("matters", ARRAY(Text), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("history", Boolean, nullable=False, server_default="false"),
    Index("disclosure_grant_client", "client_id"),
)

number_guess = Table(
    "number_guess",
    metadata,
    Column("about", BYTEA, primary_key=True),
    Column("hour", TIMESTAMP(timezone=True), primary_key=True),
    Column("guesses", Integer, nullable=False),
    Index("number_guess_hour", "hour"),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a department may see of licences of one type without their holders' act, for which matters.

    Args:
        history: also which there were before, ended ones and earlier versions, and what befell them.
    """

    id: uuid.UUID
    client_id: str
    licence_type: str
    fields: frozenset[str]
    matters: frozenset[str]
    purpose: str
    legal_basis: str
    valid_from: datetime
    valid_until: datetime
    granted_by: str
    granted_at: datetime
    ended_at: datetime | None = None
    history: bool = False


async def add_grant(connection: Any, new: Grant, happened: Event) -> None:
    """Store a grant and its event together."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO license_registry.disclosure_grant"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, $12)",
            new.id,
            new.client_id,
            new.licence_type,
            sorted(new.fields),
            sorted(new.matters),
            new.purpose,
            new.legal_basis,
            new.valid_from,
            new.valid_until,
            new.granted_by,
            new.granted_at,
            new.history,
        )
        await add_event(connection, happened)


async def end_grant(connection: Any, grant_id: uuid.UUID, now: datetime, happened: Event) -> bool:
    """End a grant; False if none of this id is in force."""
    async with connection.transaction():
        done = await connection.fetchval(
            "UPDATE license_registry.disclosure_grant SET ended_at = $2"
            " WHERE id = $1 AND ended_at IS NULL RETURNING true",
            grant_id,
            now,
        )
        if done is None:
            return False
        await add_event(connection, happened)
        return True


async def grants_of(connection: Any, client_id: str) -> list[Grant]:
    """Return all grants of a client that nobody has ended."""
    rows = await connection.fetch(
        "SELECT * FROM license_registry.disclosure_grant WHERE client_id = $1 AND ended_at IS NULL"
        " ORDER BY granted_at, id",
        client_id,
    )
    return [
        Grant(**{**row, "fields": frozenset(row["fields"]), "matters": frozenset(row["matters"])})
        for row in rows
    ]


async def identifiers_of_number(connection: Any, type_codes: Collection[str], number: str) -> list[str]:
    """Return identifiers of licences of a number, the newest first."""
    rows = await connection.fetch(
        "SELECT identifier FROM license_registry.licence WHERE number = $1 AND type_code = ANY($2)"
        " ORDER BY issued_at DESC, identifier DESC LIMIT 20",
        number,
        list(type_codes),
    )
    return [row["identifier"] for row in rows]


async def count_guess(connection: Any, about: Sequence[bytes], hour: datetime) -> list[int]:
    """Count a guess about each of these within an hour; return in step how many there are now.

    Counted before it is answered, so that many at once do not slip through.
    """
    rows = await connection.fetch(
        "INSERT INTO license_registry.number_guess AS g (about, hour, guesses)"
        " SELECT about, $2, 1 FROM unnest($1::bytea[]) AS about ORDER BY about"
        " ON CONFLICT (about, hour) DO UPDATE SET guesses = g.guesses + 1 RETURNING about, guesses",
        list(about),
        hour,
    )
    counted = {row["about"]: row["guesses"] for row in rows}
    return [counted[each] for each in about]


async def forgive_guess(connection: Any, about: Sequence[bytes], hour: datetime) -> None:
    """Take a guess back that was right; and forget what was counted in earlier hours."""
    await connection.execute(
        "UPDATE license_registry.number_guess SET guesses = guesses - 1 WHERE about = ANY($1) AND hour = $2",
        list(about),
        hour,
    )
    await connection.execute(
        "DELETE FROM license_registry.number_guess WHERE hour < $1::timestamptz - interval '1 day'", hour
    )


marked_copy = Table(
    "marked_copy",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("department", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("object_key", Text, nullable=False, unique=True),
    Column("sha256", BYTEA, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("media_type", Text, nullable=False, server_default="application/jose"),
    Index("marked_copy_identifier", "identifier"),
)

download = Table(
    "download",
    metadata,
    Column("link_digest", BYTEA, primary_key=True),
    Column("copy_id", UUID, ForeignKey(marked_copy.c.id), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("used_at", TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class MarkedCopy:
    """A department's copy: of which licence, for whom, for what, until when; `sha256` of the copy's own bytes."""

    id: uuid.UUID
    identifier: str
    department: str
    purpose: str
    matter: str
    valid_until: datetime
    object_key: str
    sha256: bytes
    made_at: datetime
    media_type: str = "application/jose"


async def add_copy(
    connection: Any,
    new: MarkedCopy,
    link_digest: bytes,
    client_id: str,
    expires_at: datetime,
    happened: Event,
) -> None:
    """Store a copy, its first link and its event together."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO license_registry.marked_copy VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            new.id,
            new.identifier,
            new.department,
            new.purpose,
            new.matter,
            new.valid_until,
            new.object_key,
            new.sha256,
            new.made_at,
            new.media_type,
        )
        await connection.execute(
            "INSERT INTO license_registry.download VALUES ($1, $2, $3, $4)",
            link_digest,
            new.id,
            client_id,
            expires_at,
        )
        await add_event(connection, happened)


async def take_link(connection: Any, link_digest: bytes, client_id: str, now: datetime) -> MarkedCopy | None:
    """Use a link up: only its own client, once, before it expires, gets the copy."""
    row = await connection.fetchrow(
        "WITH taken AS (UPDATE license_registry.download SET used_at = $3 WHERE link_digest = $1"
        " AND client_id = $2 AND used_at IS NULL AND expires_at > $3 RETURNING copy_id)"
        " SELECT c.* FROM taken JOIN license_registry.marked_copy c ON c.id = taken.copy_id",
        link_digest,
        client_id,
        now,
    )
    return None if row is None else MarkedCopy(**row)
