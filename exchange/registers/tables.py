"""Layout of the registers and the SQL of a bulk merge (schema `exchange`)."""

from __future__ import annotations

import uuid
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
    content: str
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
    """Make the temporary tables of a run: `staged` for one batch, `seen` for subjects met and left unchanged."""
    connection.execute(
        "CREATE TEMPORARY TABLE staged (subject bytea NOT NULL, content text NOT NULL, sealed bytea,"
        " fingerprint bytea NOT NULL, origin_row bigint NOT NULL) ON COMMIT DELETE ROWS"
    )
    connection.execute("CREATE TEMPORARY TABLE seen (subject bytea PRIMARY KEY)")


def stage(connection: Connection, rows: list[StagedRow]) -> None:
    """Bring a batch into `staged` by binary COPY. The order by subject makes the merge walk its index once."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY staged (subject, content, sealed, fingerprint, origin_row) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["bytea", "text", "bytea", "bytea", "int8"])
        for row in rows:
            copy.write_row((row.subject, row.content, row.sealed, row.fingerprint, row.origin_row))


def merge(
    connection: Connection, table: str, source: str, run_id: uuid.UUID, staged: int, now: datetime
) -> Merged:
    """Merge `staged` into a register: insert, change (the old version goes to the history), leave unchanged.

    A row that differs from what the same run already brought or confirmed for its subject is a conflict within
    the source: it is left out and named, so that running the same file twice changes nothing the second time.
    """
    names = {
        "table": sql.Identifier("exchange", table),
        "history": sql.Identifier("exchange", f"{table}_history"),
    }
    values = {"source": source, "run": run_id, "now": now}

    def run(text: str) -> list[tuple[int, ...]]:
        # The texts below are constants of this function; only table names of the schema are put in.
        cursor = connection.execute(sql.SQL(text).format(**names), values)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    conflicts = run(
        "DELETE FROM staged s USING {table} r WHERE r.subject = s.subject AND r.fingerprint <> s.fingerprint"
        " AND (r.run_id = %(run)s OR EXISTS (SELECT 1 FROM seen WHERE seen.subject = s.subject))"
        " RETURNING s.origin_row"
    )
    run(
        "INSERT INTO seen SELECT s.subject FROM staged s JOIN {table} r USING (subject)"
        " WHERE r.fingerprint = s.fingerprint AND r.run_id <> %(run)s ON CONFLICT DO NOTHING"
    )
    run(
        "INSERT INTO {history} (subject, version, content, sealed, fingerprint, source, run_id, origin_row,"
        " valid_from, valid_until) SELECT r.subject, r.version, r.content, r.sealed, r.fingerprint, r.source,"
        " r.run_id, r.origin_row, r.valid_from, %(now)s FROM {table} r JOIN staged s USING (subject)"
        " WHERE r.fingerprint <> s.fingerprint"
    )
    ((changed,),) = run(
        "UPDATE {table} r SET content = s.content::jsonb, sealed = s.sealed, fingerprint = s.fingerprint,"
        " source = %(source)s, run_id = %(run)s, origin_row = s.origin_row, version = r.version + 1,"
        " valid_from = %(now)s FROM staged s WHERE r.subject = s.subject AND r.fingerprint <> s.fingerprint"
    )
    ((inserted,),) = run(
        "INSERT INTO {table} (subject, content, sealed, fingerprint, source, run_id, origin_row, version,"
        " valid_from) SELECT subject, content::jsonb, sealed, fingerprint, %(source)s, %(run)s, origin_row, 1, %(now)s"
        " FROM staged ON CONFLICT (subject) DO NOTHING"
    )
    unchanged = staged - len(conflicts) - changed - inserted
    return Merged(inserted, changed, unchanged, tuple(row for (row,) in conflicts))


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
