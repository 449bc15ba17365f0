"""Quarantine: rows that could not be brought in, kept with reason and original bytes, sealed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from psycopg import Connection
from sqlalchemy import BigInteger, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from connectors.sources.raw import BadRow
from exchange.registers.tables import metadata
from foundation.sensitive import Vault

quarantine = Table(
    "quarantine",
    metadata,
    Column("source", Text, primary_key=True),
    Column("digest", BYTEA, primary_key=True),
    Column("run_id", UUID, nullable=False),
    Column("origin_row", BigInteger, nullable=False),
    Column("field", Text),
    Column("reason", Text, nullable=False),
    Column("raw", BYTEA, nullable=False),
    Column("first_seen", TIMESTAMP(timezone=True), nullable=False),
    Column("last_seen", TIMESTAMP(timezone=True), nullable=False),
    Column("seen", Integer, nullable=False),
)


def put(
    connection: Connection,
    vault: Vault,
    source: str,
    run_id: uuid.UUID,
    rows: Sequence[BadRow],
    now: datetime,
) -> None:
    """Store rows; one that stands there already (same bytes, same reason) is counted, not stored again."""
    values = []
    for row in rows:
        digest = vault.fingerprint(row.reason.encode() + b"\0" + row.raw)
        sealed = vault.seal(row.raw, b"quarantine\0" + digest)
        values.append((source, digest, run_id, row.origin_row, row.field, row.reason, sealed, now, now))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO exchange.quarantine AS q"
            " (source, digest, run_id, origin_row, field, reason, raw, first_seen, last_seen, seen)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1)"
            " ON CONFLICT (source, digest) DO UPDATE SET last_seen = excluded.last_seen, seen = q.seen + 1,"
            " run_id = excluded.run_id, origin_row = excluded.origin_row",
            values,
        )


def original(vault: Vault, digest: bytes, raw: bytes) -> bytes:
    """Return the original bytes of a quarantined row."""
    return vault.open(raw, b"quarantine\0" + digest)
