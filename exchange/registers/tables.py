"""Layout of the registers and the SQL of a bulk merge (schema `exchange`)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

metadata = MetaData(schema="exchange")


def _register(name: str) -> tuple[Table, Table]:
    def columns() -> list[Column[object]]:
        return [
            Column("content", JSONB, nullable=False),
            Column("sealed", BYTEA),
            Column("fingerprint", BYTEA, nullable=False),
            Column("source", Text, nullable=False),
            Column("run_id", UUID, nullable=False),
            Column("origin_row", BigInteger, nullable=False),
            Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
        ]

    current = Table(
        name,
        metadata,
        Column("subject", BYTEA, primary_key=True),
        Column("version", Integer, nullable=False),
        *columns(),
        postgresql_partition_by="HASH (subject)",
    )
    history = Table(
        f"{name}_history",
        metadata,
        Column("subject", BYTEA, primary_key=True),
        Column("version", Integer, primary_key=True),
        *columns(),
        Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    )
    return current, history


person, person_history = _register("person")
legal_entity, legal_entity_history = _register("legal_entity")
credential, credential_history = _register("credential")


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row ready for the merge: subject (blind index), clear part as JSON, sealed part, fingerprint, origin."""

    subject: bytes
    content: bytes
    sealed: bytes | None
    fingerprint: bytes
    origin_row: int


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did; `conflicts` are origin rows that contradict an earlier row of the same run."""

    inserted: int
    changed: int
    unchanged: int
    conflicts: tuple[int, ...]


def prepare_staging(connection: Connection) -> None:
    """Make the temporary tables of a run.

    `staged` holds one batch; `standing` those of its subjects that the register had already; `seen` the subjects that
    this run met and left unchanged.
    """
    connection.execute(
        "CREATE TEMPORARY TABLE staged (subject bytea PRIMARY KEY, content text NOT NULL, sealed bytea,"
        " fingerprint bytea NOT NULL, origin_row bigint NOT NULL) ON COMMIT DELETE ROWS"
    )
    connection.execute(
        "CREATE TEMPORARY TABLE standing (subject bytea NOT NULL, origin_row bigint NOT NULL, same boolean NOT NULL,"
        " own boolean NOT NULL) ON COMMIT DELETE ROWS"
    )
    connection.execute("CREATE TEMPORARY TABLE seen (subject bytea PRIMARY KEY)")
    # A batch is small beside a register: it walks the register's index. A join that reads the whole register for
    # each batch looks cheap while the register is small, and makes a load of n rows cost n².
    connection.execute("SET enable_hashjoin = off")
    connection.execute("SET enable_mergejoin = off")


_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_FIRST = struct.Struct(">hi16si")  # five fields; subject; length of the content
_LENGTH = struct.Struct(">i")
_LAST = struct.Struct(">i16siq")  # fingerprint; origin row


def stage(connection: Connection, rows: Sequence[StagedRow]) -> None:
    """Bring a batch into `staged` by binary COPY, spelled here in one piece: a call for each row costs more.

    Rows in the order of their subjects make the merge walk its index once.
    """
    first, length, last = _FIRST.pack, _LENGTH.pack, _LAST.pack
    parts = [_COPY_HEADER]
    for row in rows:
        content, sealed = row.content, row.sealed
        parts += (first(5, 16, row.subject, len(content)), content)
        parts += (_NULL,) if sealed is None else (length(len(sealed)), sealed)
        parts.append(last(16, row.fingerprint, 8, row.origin_row))
    parts.append(_COPY_TRAILER)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY staged (subject, content, sealed, fingerprint, origin_row) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.write(b"".join(parts))


def merge(
    connection: Connection, table: str, source: str, run_id: uuid.UUID, staged: int, now: datetime
) -> Merged:
    """Merge `staged` into a register: insert, change (the old version goes to the history), leave unchanged.

    A row that differs from what the same run already brought or confirmed for its subject is a conflict within
    the source: it is left out and named, so that running the same file twice changes nothing the second time.
    """
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier("exchange", table),
        "history": sql.Identifier("exchange", f"{table}_history"),
    }
    names["changing"] = sql.SQL(
        "standing d JOIN staged s ON s.subject = d.subject AND NOT d.own AND NOT d.same"
        " JOIN {table} r ON r.subject = d.subject"
    ).format(**names)
    values = {"source": source, "run": run_id, "now": now}

    def run(text: str) -> list[tuple[int, ...]]:
        # The texts below are constants of this function; only table names of the schema are put in.
        cursor = connection.execute(sql.SQL(text).format(**names), values)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    ((inserted,),) = run(
        "INSERT INTO {table} (subject, content, sealed, fingerprint, source, run_id, origin_row, version,"
        " valid_from) SELECT subject, content::jsonb, sealed, fingerprint, %(source)s, %(run)s, origin_row, 1, %(now)s"
        " FROM staged ON CONFLICT (subject) DO NOTHING"
    )
    if inserted == staged:
        return Merged(inserted, 0, 0, ())
    # `own`: this run brought or confirmed the subject in an earlier batch.
    run(
        "INSERT INTO standing SELECT s.subject, s.origin_row, r.fingerprint = s.fingerprint,"
        " r.run_id = %(run)s OR EXISTS (SELECT FROM seen WHERE seen.subject = s.subject)"
        " FROM staged s JOIN {table} r ON r.subject = s.subject"
        " WHERE NOT (r.run_id = %(run)s AND r.origin_row = s.origin_row)"
    )
    run("INSERT INTO seen SELECT subject FROM standing WHERE same AND NOT own")
    conflicts = tuple(row for (row,) in run("SELECT origin_row FROM standing WHERE own AND NOT same"))
    ((changed,),) = run(
        "INSERT INTO {history} (subject, version, content, sealed, fingerprint, source, run_id, origin_row,"
        " valid_from, valid_until) SELECT r.subject, r.version, r.content, r.sealed, r.fingerprint, r.source,"
        " r.run_id, r.origin_row, r.valid_from, %(now)s FROM {changing}"
    )
    if changed:
        run(
            "UPDATE {table} u SET content = s.content::jsonb, sealed = s.sealed, fingerprint = s.fingerprint,"
            " source = %(source)s, run_id = %(run)s, origin_row = s.origin_row, version = r.version + 1,"
            " valid_from = %(now)s FROM {changing} WHERE u.subject = d.subject"
        )
    return Merged(inserted, changed, staged - inserted - changed - len(conflicts), conflicts)


def current_rows(
    connection: Connection, table: str, subjects: list[bytes]
) -> dict[bytes, tuple[dict[str, object], bytes | None]]:
    """Return subject → (clear part, sealed part) of those subjects that a register holds."""
    statement = sql.SQL("SELECT subject, content, sealed FROM {} WHERE subject = ANY(%s)").format(
        sql.Identifier("exchange", table)
    )
    return {
        subject: (content, sealed) for subject, content, sealed in connection.execute(statement, [subjects])
    }
