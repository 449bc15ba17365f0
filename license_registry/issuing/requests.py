"""SQL of requests to issue: what a key was answered, and what of the same kind is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from license_registry import tables
from license_registry.tables import metadata

issue_request = Table(
    "issue_request",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", BYTEA, nullable=False),
    Column("identifier", Text, ForeignKey(tables.licence.c.identifier), nullable=False),
    Column("asked_at", TIMESTAMP(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Key:
    """An `Idempotency-Key` of a client: the licence that it was answered with is its answer for good."""

    client_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a key was answered; `digest` is that of the request."""

    digest: bytes
    identifier: str


@dataclass(frozen=True, slots=True)
class Held:
    """A licence in force of somebody; `digest` is that of the request it was issued for."""

    subject: bytes
    identifier: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class InForce:
    """A licence in force by its number; `digest` is that of the request it was issued for."""

    number: str
    identifier: str
    digest: bytes


async def find(connection: Any, key: Key) -> Answered | None:
    """Return what a key was answered."""
    row = await connection.fetchrow(
        "SELECT digest, identifier FROM license_registry.issue_request WHERE client_id = $1 AND key = $2",
        key.client_id,
        key.text,
    )
    return None if row is None else Answered(*row)


async def add(connection: Any, key: Key, digest: bytes, identifier: str, now: datetime) -> None:
    """Keep the answer to a key, in the transaction of its licence.

    Raises:
        asyncpg.UniqueViolationError: another request with this key was first.
    """
    await connection.execute(
        "INSERT INTO license_registry.issue_request (client_id, key, digest, identifier, asked_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        key.client_id,
        key.text,
        digest,
        identifier,
        now,
    )


async def keep(connection: Any, key: Key, digest: bytes, identifier: str, now: datetime) -> None:
    """Keep the answer to a key whose licence was there before; no error if it is kept."""
    await connection.execute(
        "INSERT INTO license_registry.issue_request (client_id, key, digest, identifier, asked_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        key.client_id,
        key.text,
        digest,
        identifier,
        now,
    )


async def in_force(connection: Any, type_codes: Sequence[str], numbers: Sequence[str]) -> list[InForce]:
    """Return which of these numbers are in force, valid or suspended, under any code that the type has had."""
    rows = await connection.fetch(
        "SELECT number, identifier, request_digest FROM license_registry.licence"
        " WHERE type_code = ANY($1) AND number = ANY($2) AND state IN ('01', '02')",
        type_codes,
        numbers,
    )
    return [InForce(*row) for row in rows]


async def held(connection: Any, type_codes: Sequence[str], subjects: Sequence[bytes]) -> list[Held]:
    """Return what licences of a type these people or entities have in force, alone or with others."""
    rows = await connection.fetch(
        "SELECT holder, identifier, request_digest FROM license_registry.licence"
        " WHERE holder = ANY($2) AND type_code = ANY($1) AND state IN ('01', '02')"
        " UNION ALL SELECT c.holder, identifier, request_digest FROM license_registry.co_holder c"
        " JOIN license_registry.licence USING (identifier)"
        " WHERE c.holder = ANY($2) AND type_code = ANY($1) AND state IN ('01', '02')",
        type_codes,
        subjects,
    )
    return [Held(*row) for row in rows]


async def lock_holders(connection: Any, type_id: str, subjects: Sequence[bytes]) -> None:
    """Let nobody else issue licences of a type to these holders until the transaction ends.

    In one order, so that two transactions never wait for each other.
    """
    await connection.execute(
        "SELECT pg_advisory_xact_lock(place) FROM (SELECT DISTINCT"
        " hashtextextended('zhengtong holder ' || $1 || encode(subject, 'hex'), 0) AS place"
        " FROM unnest($2::bytea[]) AS subject ORDER BY 1) ordered",
        type_id,
        subjects,
    )
