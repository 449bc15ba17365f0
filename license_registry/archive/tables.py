"""SQL of archives (schema `license_registry`): packages in the store, and what was seen of licences in a case."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from license_registry.tables import metadata

archive = Table(
    "archive",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("department", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("sha256", BYTEA, nullable=False),
    Column("sm3", BYTEA),
    Column("bytes", BigInteger),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Index("archive_department", "department", "made_at"),
)


@dataclass(frozen=True, slots=True)
class Archive:
    """A package in the store.

    Args:
        department: for whom it was made; empty: for the house itself.
        sha256, sm3, bytes: of the package as it is handed out; it lies sealed under its key. Packages that were made
            before there was this table have the first only.
    """

    object_key: str
    department: str
    matter: str
    case_ref: str
    sha256: bytes
    sm3: bytes | None
    bytes: int | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What a department was shown of a licence in a case.

    Args:
        kind: of event, such as `presentation-verified`.
        entry: of the event in the log (32 bytes).
        content: what the event says; None once it was erased by law.
    """

    id: uuid.UUID
    identifier: str
    kind: str
    entry: bytes
    content: dict[str, Any]


_SEEN = """
SELECT v.id, v.identifier, v.kind, v.entry, v.content
FROM (SELECT identifier FROM license_registry.licence WHERE holder = ANY($1) OR presenter = ANY($1)
      UNION SELECT identifier FROM license_registry.co_holder WHERE holder = ANY($1)) AS own
JOIN license_registry.event v ON v.identifier = own.identifier
CROSS JOIN LATERAL (SELECT convert_from(v.content, 'UTF8')::jsonb AS said) AS read
WHERE v.kind = ANY($2) AND v.content IS NOT NULL AND v.recorded_at <= $6
  AND said ->> 'department' = $3 AND said ->> 'case' = $5 AND coalesce(said ->> 'matter', $4) = $4
ORDER BY v.recorded_at, v.id
"""


async def find(connection: Any, object_key: str) -> Archive | None:
    """Return a package by its key."""
    row = await connection.fetchrow(
        "SELECT * FROM license_registry.archive WHERE object_key = $1", object_key
    )
    return None if row is None else Archive(**row)


async def of_department(pool: Any, department: str, limit: int) -> list[Archive]:
    """Return the packages that were made for a department, the latest first."""
    rows = await pool.fetch(
        "SELECT * FROM license_registry.archive WHERE department = $1"
        " ORDER BY made_at DESC, object_key LIMIT $2",
        department,
        limit,
    )
    return [Archive(**row) for row in rows]


async def add(connection: Any, new: Archive) -> bool:
    """Note a package; False: it is noted already."""
    found = await connection.fetchval(
        "INSERT INTO license_registry.archive"
        " (object_key, department, matter, case_ref, sha256, sm3, bytes, made_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1",
        new.object_key,
        new.department,
        new.matter,
        new.case_ref,
        new.sha256,
        new.sm3,
        new.bytes,
        new.made_at,
    )
    return found is not None


async def seen_in_case(
    pool: Any,
    subjects: Collection[bytes],
    kinds: Collection[str],
    department: str,
    matter: str,
    case: str,
    upto: datetime,
) -> list[Seen]:
    """Return what a department was shown, in a case, of licences that somebody holds or presents; the earliest first.

    Args:
        subjects: blind indexes of those whom the case is about.
        upto: what came later is left out.
    """
    rows = await pool.fetch(_SEEN, list(subjects), list(kinds), department, matter, case, upto)
    return [
        Seen(row["id"], row["identifier"], row["kind"], row["entry"], orjson.loads(row["content"]))
        for row in rows
    ]
