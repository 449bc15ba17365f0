"""One statement for the decision and the lookup: grants of the caller and the row of the subject together."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from exchange.registers.schemas import RegisterSchema, place
from foundation.sensitive import Vault


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant that names the caller and the resource, as found; whether it covers the request is decided later."""

    id: uuid.UUID
    fields: frozenset[str]
    matters: frozenset[str]
    purpose: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """A subject's current row: still sealed, until a decision allows opening it."""

    content: dict[str, Any]
    sealed: bytes | None
    source: str
    valid_from: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one statement brings: the caller's grants for the resource and, if there is one, the subject's row."""

    grants: tuple[GrantRow, ...]
    row: RegisterRow | None


def statement(register: RegisterSchema) -> str:
    """Return the SQL for one register; $1 client, $2 resource, $3 subject. Its plan is checked by a test."""
    return (
        "SELECT g.id, g.fields, g.matters, g.purpose, g.valid_from, g.valid_until,"
        " r.content, r.sealed, r.source, r.valid_from AS row_valid_from, r.version"
        " FROM (SELECT 1) AS one"
        " LEFT JOIN exchange.share_grant g ON g.client_id = $1 AND g.resource = $2 AND g.ended_at IS NULL"
        f" LEFT JOIN exchange.{register.table} r ON r.subject = $3"
    )


async def find(pool: Any, register: RegisterSchema, client_id: str, resource: str, subject: bytes) -> Found:
    """Look up grants and subject in one round trip.

    Args:
        pool: asyncpg pool; its connections keep the statement prepared.
        subject: blind index of the identifier.
    """
    rows = await pool.fetch(statement(register), client_id, resource, subject)
    grants = tuple(
        GrantRow(
            row["id"],
            frozenset(row["fields"]),
            frozenset(row["matters"]),
            row["purpose"],
            row["valid_from"],
            row["valid_until"],
        )
        for row in rows
        if row["id"] is not None
    )
    first = rows[0]
    if first["version"] is None:
        return Found(grants, None)
    return Found(
        grants,
        RegisterRow(
            first["content"], first["sealed"], first["source"], first["row_valid_from"], first["version"]
        ),
    )


def open_row(vault: Vault, register: RegisterSchema, subject: bytes, row: RegisterRow) -> dict[str, Any]:
    """Return all fields of a row in clear.

    Raises:
        SealBroken: the sealed part was altered or moved.
    """
    if row.sealed is None:
        return row.content
    secret: dict[str, Any] = orjson.loads(vault.open(row.sealed, place(register.table, subject)))
    return row.content | secret
