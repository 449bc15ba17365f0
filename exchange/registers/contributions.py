"""The SQL of subjects that several sources speak of: what each says, and the row that they make together."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from exchange.registers.tables import VERSION, VERSION_OF_R


@dataclass(frozen=True, slots=True)
class ContributionRow:
    """What a source says of a subject, still sealed."""

    subject: bytes
    source: str
    content: dict[str, Any]
    sealed: bytes | None
    fingerprint: bytes
    run_id: uuid.UUID
    origin_part: str
    origin_row: int
    transforms: dict[str, list[str]] | None
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class CurrentRow:
    """The row of a subject as it stands. `shared`: made of contributions; else it is what its one source says."""

    said: ContributionRow
    shared: bool


_SAID = (
    "subject, source, content, sealed, fingerprint, run_id, origin_part, origin_row, {transforms}, valid_from"
)


def _query(connection: Connection, text: str, table: str, values: Any) -> list[tuple[Any, ...]]:
    composed = sql.SQL(text).format(
        table=sql.Identifier("exchange", table),
        history=sql.Identifier("exchange", f"{table}_history"),
        contribution=sql.Identifier("exchange", f"{table}_contribution"),
    )
    cursor = connection.execute(composed, values)
    return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]


def current(connection: Connection, table: str, subjects: Sequence[bytes]) -> dict[bytes, CurrentRow]:
    """Return the rows of subjects, locked until the transaction ends."""
    columns = _SAID.format(transforms="provenance -> 'transforms'")
    found = _query(
        connection,
        f"SELECT {columns}, coalesce(provenance ? 'fields', false) FROM {{table}} WHERE subject = ANY(%s) FOR UPDATE",
        table,
        [list(subjects)],
    )
    return {row[0]: CurrentRow(ContributionRow(*row[:-1]), row[-1]) for row in found}


def staged(
    connection: Connection,
    subjects: Sequence[bytes],
    source: str,
    run_id: uuid.UUID,
    part: str,
    now: datetime,
) -> list[ContributionRow]:
    """Return rows of the batch in hand as what this source says now."""
    found = connection.execute(
        "SELECT subject, content, sealed, fingerprint, origin_row, provenance -> 'transforms' FROM staged"
        " WHERE subject = ANY(%s)",
        [list(subjects)],
    )
    return [
        ContributionRow(subject, source, content, sealed, fingerprint, run_id, part, row, transforms, now)
        for subject, content, sealed, fingerprint, row, transforms in found
    ]


def contributions(
    connection: Connection, table: str, subjects: Sequence[bytes]
) -> dict[bytes, list[ContributionRow]]:
    """Return what each source says of subjects that several speak of."""
    columns = _SAID.format(transforms="transforms")
    found = _query(
        connection,
        f"SELECT {columns} FROM {{contribution}} WHERE subject = ANY(%s) ORDER BY subject, source",
        table,
        [list(subjects)],
    )
    by_subject: dict[bytes, list[ContributionRow]] = {}
    for row in found:
        by_subject.setdefault(row[0], []).append(ContributionRow(*row))
    return by_subject


def put_contributions(connection: Connection, table: str, rows: Sequence[ContributionRow]) -> None:
    """Note what sources say from now on."""
    statement = sql.SQL(
        "INSERT INTO {} (subject, source, content, sealed, fingerprint, run_id, origin_part, origin_row, transforms,"
        " valid_from) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (subject, source) DO UPDATE SET"
        " content = excluded.content, sealed = excluded.sealed, fingerprint = excluded.fingerprint,"
        " run_id = excluded.run_id, origin_part = excluded.origin_part, origin_row = excluded.origin_row,"
        " transforms = excluded.transforms, valid_from = excluded.valid_from"
    ).format(sql.Identifier("exchange", f"{table}_contribution"))
    values = [
        (
            row.subject, row.source, Jsonb(row.content), row.sealed, row.fingerprint, row.run_id, row.origin_part,
            row.origin_row, None if row.transforms is None else Jsonb(row.transforms), row.valid_from,
        )
        for row in rows
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)


def drop_contributions(connection: Connection, table: str, source: str, subjects: Sequence[bytes]) -> None:
    """Forget what a source said of subjects that it speaks of no longer."""
    _query(
        connection,
        "DELETE FROM {contribution} WHERE source = %s AND subject = ANY(%s)",
        table,
        [source, list(subjects)],
    )


def keep_version(connection: Connection, table: str, subjects: Sequence[bytes], now: datetime) -> None:
    """Copy the rows of subjects into the history, valid until now."""
    _query(
        connection,
        f"INSERT INTO {{history}} ({VERSION}, valid_until) SELECT {VERSION_OF_R}, %s FROM {{table}} r"
        " WHERE r.subject = ANY(%s)",
        table,
        [now, list(subjects)],
    )


def put_joined(
    connection: Connection, table: str, rows: Sequence[tuple[ContributionRow, dict[str, Any] | None, bool]]
) -> None:
    """Put rows that were joined: the row, its provenance, and whether its values are new and so make a version."""
    statement = sql.SQL(
        "UPDATE {} SET content = %s, sealed = %s, fingerprint = %s, source = %s, run_id = %s, origin_part = %s,"
        " origin_row = %s, provenance = %s, version = version + %s, valid_from = CASE WHEN %s = 1 THEN %s ELSE"
        " valid_from END WHERE subject = %s"
    ).format(sql.Identifier("exchange", table))
    values = [
        (
            Jsonb(row.content), row.sealed, row.fingerprint, row.source, row.run_id, row.origin_part, row.origin_row,
            None if provenance is None else Jsonb(provenance), int(is_new), int(is_new), row.valid_from, row.subject,
        )
        for row, provenance, is_new in rows
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)


def spare(connection: Connection, subjects: Sequence[bytes]) -> None:
    """Note subjects that a snapshot names in a row that could not be brought in: they do not end with it."""
    connection.execute(
        "INSERT INTO spared SELECT DISTINCT unnest(%s::bytea[]) ON CONFLICT DO NOTHING", [list(subjects)]
    )


def find_missing(connection: Connection, table: str, source: str, run_id: uuid.UUID) -> tuple[int, int]:
    """Collect in `gone` the subjects that a source spoke of and this run did not name.

    Returns:
        How many these are, and of how many the source speaks.
    """
    connection.execute(
        "CREATE TEMPORARY TABLE gone (subject bytea PRIMARY KEY, shared boolean NOT NULL) ON COMMIT DROP"
    )
    values = {"source": source, "run": run_id}
    ((gone,),) = _query(
        connection,
        f"INSERT INTO gone SELECT subject, shared FROM ({_MINE}) AS mine WHERE run_id <> %(run)s"
        " AND NOT EXISTS (SELECT FROM seen WHERE seen.subject = mine.subject)"
        " AND NOT EXISTS (SELECT FROM spared WHERE spared.subject = mine.subject)",
        table,
        values,
    )
    ((known,),) = _query(connection, f"SELECT count(*) FROM ({_MINE}) AS mine", table, values)
    return gone, known


_MINE = (
    "SELECT subject, run_id, false AS shared FROM {table} WHERE source = %(source)s"
    " AND NOT coalesce(provenance ? 'fields', false)"
    " UNION ALL SELECT subject, run_id, true FROM {contribution} WHERE source = %(source)s"
)


def end_missing(connection: Connection, table: str, now: datetime) -> int:
    """Take the subjects in `gone` that no other source speaks of out of a register; the history keeps them."""
    _query(
        connection,
        f"INSERT INTO {{history}} ({VERSION}, valid_until) SELECT {VERSION_OF_R}, %s FROM {{table}} r"
        " JOIN gone USING (subject) WHERE NOT gone.shared",
        table,
        [now],
    )
    ((ended,),) = _query(
        connection,
        "DELETE FROM {table} r USING gone WHERE gone.subject = r.subject AND NOT gone.shared",
        table,
        [],
    )
    return int(ended)


def missing_shared(connection: Connection) -> list[bytes]:
    """Return the subjects in `gone` that other sources go on speaking of."""
    return [subject for (subject,) in connection.execute("SELECT subject FROM gone WHERE shared")]
