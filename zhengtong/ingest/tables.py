"""SQL of batches that were sent (table `exchange.ingest_request`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection
from psycopg.types.json import Jsonb
from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP

from exchange.registers.tables import metadata

ingest_request = Table(
    "ingest_request",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("digest", BYTEA, nullable=False),
    Column("report", JSONB, nullable=False),
    Column("sent_at", TIMESTAMP(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch that came in, and what was answered."""

    source: str
    digest: bytes
    report: dict[str, Any]


def try_lock(connection: Connection, client_id: str, key: str) -> bool:
    """Hold this key of this client until the connection closes; False: another connection does."""
    name = orjson.dumps(["zhengtong sent batch", client_id, key]).decode()
    found = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
    return found is not None and bool(found[0])


def find(connection: Connection, client_id: str, key: str) -> Answered | None:
    """Return what a key was answered."""
    found = connection.execute(
        "SELECT source, digest, report FROM exchange.ingest_request WHERE client_id = %s AND key = %s",
        [client_id, key],
    ).fetchone()
    return None if found is None else Answered(*found)


def keep(connection: Connection, client_id: str, key: str, answered: Answered, now: datetime) -> None:
    """Keep what a key was answered."""
    connection.execute(
        "INSERT INTO exchange.ingest_request (client_id, key, source, digest, report, sent_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [client_id, key, answered.source, answered.digest, Jsonb(answered.report), now],
    )
