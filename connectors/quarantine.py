"""Quarantine: rows that could not be brought in, kept with reason and original bytes, sealed."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
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


def put_again(
    connection: Connection, source: str, earlier: uuid.UUID, run_id: uuid.UUID, now: datetime
) -> None:
    """Count the rows of an earlier run once more: the same content came again."""
    connection.execute(
        "UPDATE exchange.quarantine SET seen = seen + 1, last_seen = %s, run_id = %s WHERE source = %s AND run_id = %s",
        [now, run_id, source, earlier],
    )


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one source that wait for the same reason; `seen` counts how often files brought them."""

    source: str
    reason: str
    field: str | None
    rows: int
    seen: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that waits: where it stood last, what is wrong with it, and its original bytes, still sealed."""

    digest: bytes
    origin_row: int
    field: str | None
    reason: str
    sealed: bytes


def groups(connection: Connection, source: str | None = None) -> list[Group]:
    """Return what waits, by source, reason and field; the largest groups first."""
    found = connection.execute(
        "SELECT source, reason, field, count(*), sum(seen), min(first_seen), max(last_seen)"
        " FROM exchange.quarantine WHERE %(source)s::text IS NULL OR source = %(source)s"
        " GROUP BY source, reason, field ORDER BY count(*) DESC, source, reason, field",
        {"source": source},
    )
    return [Group(*row) for row in found]


def waiting(
    connection: Connection, source: str, reason: str | None = None, limit: int | None = None
) -> list[Quarantined]:
    """Return rows of a source that wait, in the order of their file."""
    found = connection.execute(
        "SELECT digest, origin_row, field, reason, raw FROM exchange.quarantine"
        " WHERE source = %(source)s AND (%(reason)s::text IS NULL OR reason = %(reason)s)"
        " ORDER BY origin_row, digest LIMIT %(limit)s",
        {"source": source, "reason": reason, "limit": limit},
    )
    return [Quarantined(*row) for row in found]


def release(connection: Connection, source: str, digests: Sequence[bytes]) -> None:
    """Take rows out: they came in after all."""
    connection.execute(
        "DELETE FROM exchange.quarantine WHERE source = %s AND digest = ANY(%s)", [source, list(digests)]
    )


def shape(raw: bytes, encoding: str) -> str:
    """Return what a row looks like without what it says: 9 for a digit, a for a letter, 字 for an ideograph.

    Enough to see a column too many, a date of another form or bytes that are no text; nobody's data is shown.
    """
    return "".join(map(_class, raw.decode(encoding, "replace")))


def _class(character: str) -> str:
    match unicodedata.category(character):
        case "Nd":
            return "9"
        case "Lu" | "Ll":
            return "a"
        case "Lo" | "Lm" | "Lt" | "Nl" | "No":
            return "字"
        case "Cc" | "Cf" | "Cs" | "Cn" | "Co":
            return f"<{ord(character):04X}>"
    return character


def original(vault: Vault, digest: bytes, raw: bytes) -> bytes:
    """Return the original bytes of a quarantined row."""
    return vault.open(raw, b"quarantine\0" + digest)
