"""SQL of access records (table `exchange.access_record`)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Column, Index, Table, Text, update
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID
from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.registers.tables import metadata
from foundation.signing import encode_base64url

access_record = Table(
    "access_record",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("recorded_at", TIMESTAMP(timezone=True), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("subject", BYTEA),
    Column("outcome", Text, nullable=False),
    Column("entry", BYTEA, nullable=False),
    Column("salt", BYTEA),
    Column("content", BYTEA),
    Index("access_record_subject", "subject", "recorded_at"),
    Index("access_record_time", "recorded_at"),
)

INSERT_RECORDS = """
WITH promised AS (INSERT INTO ledger.pending (entry) SELECT unnest($6::bytea[]))
INSERT INTO exchange.access_record (id, recorded_at, client_id, subject, outcome, entry, salt, content)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bytea[], $5::text[], $6::bytea[],
                     $7::bytea[], $8::bytea[])
"""
"""Records and their promise of inclusion stand or fall together: one statement, one transaction."""

_EXPORT = """
SELECT r.id, r.salt, r.content, e.leaf_index FROM exchange.access_record r
JOIN ledger.entry e ON e.entry = r.entry
ORDER BY e.leaf_index
"""

_SEARCH = """
SELECT id, recorded_at, client_id, outcome, content FROM exchange.access_record
WHERE ($1::text IS NULL OR client_id = $1) AND ($2::text IS NULL OR outcome = $2)
  AND ($3::bytea[] IS NULL OR subject = ANY($3)) AND ($4::timestamptz IS NULL OR recorded_at < $4)
ORDER BY recorded_at DESC LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as auditors see it; `content` is None once it was erased by law."""

    id: uuid.UUID
    recorded_at: datetime
    content: dict[str, Any] | None


async def search(
    pool: Any,
    *,
    client_id: str | None = None,
    outcome: str | None = None,
    subjects: Sequence[bytes] | None = None,
    before: datetime | None = None,
    limit: int = 100,
) -> list[StoredRecord]:
    """Return records newest first, as far as the given marks fit."""
    rows = await pool.fetch(_SEARCH, client_id, outcome, subjects, before, limit)
    return [
        StoredRecord(
            row["id"], row["recorded_at"], None if row["content"] is None else orjson.loads(row["content"])
        )
        for row in rows
    ]


async def export(pool: Any) -> AsyncIterator[bytes]:
    """Yield all sequenced records as JSON lines for the log verifier, in the order of the tree.

    An erased record is a line without salt and content. Uses a cursor: memory does not grow with the log.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        async for row in connection.cursor(_EXPORT, prefetch=500):
            erased = row["content"] is None
            yield (
                b'{"leaf_index":%d,"record_id":"%s","salt":%s,"record":%s}\n'
                % (
                    row["leaf_index"],
                    str(row["id"]).encode(),
                    b"null" if erased else b'"%s"' % encode_base64url(row["salt"]).encode(),
                    b"null" if erased else row["content"],
                )
            )


async def find_entry(pool: Any, record_id: uuid.UUID) -> tuple[str, bytes] | None:
    """Return client and log entry of a record."""
    row = await pool.fetchrow("SELECT client_id, entry FROM exchange.access_record WHERE id = $1", record_id)
    return None if row is None else (row["client_id"], row["entry"])


async def erase(engine: AsyncEngine, record_id: uuid.UUID) -> bool:
    """Erase what a record says, by law; its commitment stays in the tree, which stays provable."""
    statement = (
        update(access_record)
        .where(access_record.c.id == record_id, access_record.c.content.is_not(None))
        .values(content=None, salt=None, subject=None)
        .returning(access_record.c.id)
    )
    async with engine.begin() as connection:
        return (await connection.execute(statement)).one_or_none() is not None
