"""Quarantine: rows that could not be brought in, kept with reason and original bytes, sealed."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

from connectors.sources.raw import BadRow, Layout
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
    Column("part", Text, nullable=False, server_default=""),
    Column("layout", JSONB),
)

correction = Table(
    "correction",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("digest", BYTEA, nullable=False),
    Column("run_id", UUID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", BYTEA, nullable=False),
    Column("record", BYTEA, nullable=False),
    Column("edited_by", Text, nullable=False),
    Column("edited_at", TIMESTAMP(timezone=True), nullable=False),
    Column("edit_reason", Text, nullable=False),
    Index("correction_source", "source", "edited_at"),
)


def put(
    connection: Connection,
    vault: Vault,
    source: str,
    run_id: uuid.UUID,
    rows: Sequence[BadRow],
    now: datetime,
    part: str = "",
    layout: Layout | None = None,
) -> None:
    """Store rows; one that stands there already (same bytes, same reason) is counted, not stored again.

    Args:
        part: what the rows stood in (`RawBatch.part`).
        layout: how that part was read; without it the rows cannot be read again.
    """
    values = []
    told = None if layout is None else Jsonb(asdict(layout))
    for row in rows:
        digest = digest_of(vault, row)
        sealed = vault.seal(row.raw, b"quarantine\0" + digest)
        place = (row.origin_row, row.field, row.reason)
        values.append((source, digest, run_id, *place, sealed, now, now, part, told))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO exchange.quarantine AS q"
            " (source, digest, run_id, origin_row, field, reason, raw, first_seen, last_seen, seen, part,"
            " layout) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s, %s)"
            " ON CONFLICT (source, digest) DO UPDATE SET last_seen = excluded.last_seen, seen = q.seen + 1,"
            " run_id = excluded.run_id, origin_row = excluded.origin_row, part = excluded.part,"
            " layout = coalesce(excluded.layout, q.layout)",
            values,
        )


def digest_of(vault: Vault, row: BadRow) -> bytes:
    """Return what tells a quarantined row of a source from another: keyed, over its reason and its bytes."""
    return vault.fingerprint(row.reason.encode() + b"\0" + row.raw)


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
    """A row that waits: where it stood last, what is wrong with it, and its original bytes, still sealed.

    Args:
        layout: how its part was read; None for a row of before that was kept.
    """

    digest: bytes
    run_id: uuid.UUID
    part: str
    origin_row: int
    field: str | None
    reason: str
    sealed: bytes
    layout: Layout | None
    first_seen: datetime
    last_seen: datetime
    seen: int


def groups(connection: Connection, source: str | None = None) -> list[Group]:
    """Return what waits, by source, reason and field; the largest groups first."""
    found = connection.execute(
        "SELECT source, reason, field, count(*), sum(seen), min(first_seen), max(last_seen)"
        " FROM exchange.quarantine WHERE %(source)s::text IS NULL OR source = %(source)s"
        " GROUP BY source, reason, field ORDER BY count(*) DESC, source, reason, field",
        {"source": source},
    )
    return [Group(*row) for row in found]


_ROW = "digest, run_id, part, origin_row, field, reason, raw, layout, first_seen, last_seen, seen"


def _quarantined(row: Sequence[Any]) -> Quarantined:
    digest, run_id, part, origin_row, field, reason, raw, layout, first_seen, last_seen, seen = row
    known = None if layout is None else _layout(layout)
    return Quarantined(
        digest, run_id, part, origin_row, field, reason, raw, known, first_seen, last_seen, seen
    )


def _layout(told: Mapping[str, Any]) -> Layout:
    columns, detected = tuple(told["columns"]), tuple(told["detected"])
    return Layout(told["format"], told["encoding"], told["delimiter"], columns, detected)


def waiting(
    connection: Connection, source: str, reason: str | None = None, limit: int | None = None
) -> list[Quarantined]:
    """Return rows of a source that wait, in the order of their file."""
    found = connection.execute(
        f"SELECT {_ROW} FROM exchange.quarantine"  # noqa: S608  # a constant
        " WHERE source = %(source)s AND (%(reason)s::text IS NULL OR reason = %(reason)s)"
        " ORDER BY part, origin_row, digest LIMIT %(limit)s",
        {"source": source, "reason": reason, "limit": limit},
    )
    return [_quarantined(row) for row in found]


def by_layout(
    connection: Connection,
    source: str,
    reason: str | None,
    but: Sequence[str],
    formats: Sequence[str],
    at_once: int,
) -> Iterator[Quarantined]:
    """Yield rows of a source that wait, all of one layout and part together, as of this moment, in constant memory.

    Args:
        reason: only rows of this one; None: all but those of `but`.
        formats: only rows whose layout is of one of these.
    """
    with connection.cursor(name="waiting") as cursor:
        cursor.itersize = at_once
        cursor.execute(
            f"SELECT {_ROW} FROM exchange.quarantine"  # noqa: S608  # a constant
            " WHERE source = %(source)s AND layout->>'format' = ANY(%(formats)s)"
            " AND CASE WHEN %(reason)s::text IS NULL THEN reason <> ALL(%(but)s) ELSE reason = %(reason)s END"
            " ORDER BY layout::text, part, last_seen, origin_row, digest",
            {"source": source, "reason": reason, "but": list(but), "formats": list(formats)},
        )
        yield from map(_quarantined, cursor)


def with_digest(connection: Connection, source: str, start: str) -> list[Quarantined]:
    """Return the rows of a source whose digest begins so (hexadecimal): one, unless the beginning is too short."""
    found = connection.execute(
        f"SELECT {_ROW} FROM exchange.quarantine"  # noqa: S608  # a constant
        " WHERE source = %s AND starts_with(encode(digest, 'hex'), %s) LIMIT 2",
        [source, start.lower()],
    )
    return [_quarantined(row) for row in found]


def keep_place(connection: Connection, source: str, rows: Iterable[tuple[bytes, Quarantined]]) -> None:
    """Let rows that failed again stand where their file had them, as often and as long as they were seen there.

    Args:
        rows: digest under which a row waits now, and how it waited before.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE exchange.quarantine SET run_id = %s, origin_row = %s, part = %s, first_seen = %s,"
            " last_seen = %s, seen = %s WHERE source = %s AND digest = %s",
            [
                (r.run_id, r.origin_row, r.part, r.first_seen, r.last_seen, r.seen, source, digest)
                for digest, r in rows
            ],
        )


def note_correction(
    connection: Connection,
    vault: Vault,
    source: str,
    row: Quarantined,
    record: bytes,
    run_id: uuid.UUID,
    editor: str,
    why: str,
    now: datetime,
) -> None:
    """Keep what a data steward changed: the original as it was sealed, the corrected record, who and why."""
    connection.execute(
        "INSERT INTO exchange.correction (id, source, digest, run_id, reason, raw, record, edited_by, edited_at,"
        " edit_reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            uuid.uuid4(),
            source,
            row.digest,
            run_id,
            row.reason,
            row.sealed,
            vault.seal(record, b"correction\0" + row.digest),
            editor,
            now,
            why,
        ],
    )


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
