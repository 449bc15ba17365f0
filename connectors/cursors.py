"""Runs and cursors: how far a source has been brought in, moved in the transaction that brought it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Column, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from exchange.registers.tables import metadata

ingest_run = Table(
    "ingest_run",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("finished_at", TIMESTAMP(timezone=True)),
    Column("origin", Text, nullable=False),
    Column("report", JSONB),
)

ingest_cursor = Table(
    "ingest_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("run_id", UUID, nullable=False),
    Column("origin_digest", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("moved_at", TIMESTAMP(timezone=True), nullable=False),
    Column("cursor", Text),
)

finding = Table(
    "finding",
    metadata,
    Column("run_id", UUID, primary_key=True),
    Column("origin_part", Text, primary_key=True, server_default=""),
    Column("origin_row", BigInteger, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("code", Text, primary_key=True),
)


def begin_run(
    connection: Connection,
    run_id: uuid.UUID,
    source: str,
    origin: str,
    now: datetime,
    beside: bool = False,
) -> None:
    """Note that a run begins. One source is brought in by one run at a time: a second waits for the first.

    Args:
        beside: it is a range of the source, which others may be brought in beside; the same one is not.
    """
    if beside:
        connection.execute(
            "SELECT pg_advisory_lock_shared(hashtext('zhengtong ingest'), hashtext(%s))", [source]
        )
        connection.execute(
            "SELECT pg_advisory_lock(hashtext('zhengtong ingest range'), hashtext(%s))",
            [f"{source} {origin}"],
        )
    else:
        connection.execute("SELECT pg_advisory_lock(hashtext('zhengtong ingest'), hashtext(%s))", [source])
    connection.execute(
        "INSERT INTO exchange.ingest_run (id, source, started_at, origin) VALUES (%s, %s, %s, %s)",
        [run_id, source, now, origin],
    )


def where(connection: Connection, source: str) -> str | None:
    """Return the source's own cursor behind the last batch that came in; None: from the beginning."""
    found = connection.execute(
        "SELECT cursor FROM exchange.ingest_cursor WHERE source = %s", [source]
    ).fetchone()
    return None if found is None else found[0]


def move(
    connection: Connection,
    source: str,
    run_id: uuid.UUID,
    origin_digest: str,
    position: int,
    cursor: str | None,
    now: datetime,
) -> None:
    """Move the cursor of a source, within the transaction of the merge.

    Args:
        position: rows of the part that have come in.
        cursor: the source's own, where it has one; it stays where a batch brings none.
    """
    connection.execute(
        "INSERT INTO exchange.ingest_cursor AS c (source, run_id, origin_digest, position, cursor, moved_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (source) DO UPDATE SET run_id = excluded.run_id,"
        " origin_digest = excluded.origin_digest, position = excluded.position,"
        " cursor = coalesce(excluded.cursor, c.cursor), moved_at = excluded.moved_at",
        [source, run_id, origin_digest, position, cursor, now],
    )


def add_findings(
    connection: Connection, run_id: uuid.UUID, part: str, rows: list[tuple[int, str, str]]
) -> None:
    """Store findings (row, field, code) of a run."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY exchange.finding (run_id, origin_part, origin_row, field, code) FROM STDIN"
        ) as copy,
    ):
        for origin_row, field_name, code in rows:
            copy.write_row((run_id, part, origin_row, field_name, code))


def finish_run(connection: Connection, run_id: uuid.UUID, report: dict[str, Any], now: datetime) -> None:
    """Note the report of a run that came to its end."""
    connection.execute(
        "UPDATE exchange.ingest_run SET finished_at = %s, report = %s WHERE id = %s",
        [now, Jsonb(report), run_id],
    )


def run_of_same(connection: Connection, source: str, content: str, rules: str) -> dict[str, Any] | None:
    """Return the report of the last run of a source, if it brought in this very content under these very rules.

    Nothing else may have happened to the source since: not a run that stopped, nor one that died.
    """
    found = connection.execute(
        "SELECT report FROM exchange.ingest_run WHERE source = %s AND id <> (SELECT id FROM exchange.ingest_run"
        " WHERE source = %s ORDER BY started_at DESC LIMIT 1) ORDER BY started_at DESC LIMIT 1",
        [source, source],
    ).fetchone()
    report: dict[str, Any] | None = None if found is None else found[0]
    if report is None or report["stopped"] or (report["content"], report["rules"]) != (content, rules):
        return None
    return report


REPLAY = "quarantine/"
"""What the origin of a run begins with that read rows in quarantine again. No file has such a name."""


def last_rows(connection: Connection, source: str) -> int | None:
    """Return how many rows the last run of a source read that came to its end and that no gate stopped.

    A replay is no delivery and does not count.
    """
    found = connection.execute(
        "SELECT (report->>'read')::bigint FROM exchange.ingest_run WHERE source = %s AND finished_at IS NOT NULL"
        " AND NOT coalesce((report->>'stopped')::boolean, false) AND NOT starts_with(origin, %s)"
        " ORDER BY finished_at DESC LIMIT 1",
        [source, REPLAY],
    ).fetchone()
    return None if found is None else int(found[0])


def origins_brought_in(connection: Connection, source: str) -> frozenset[str]:
    """Return the names of what runs of a source read to the end without a gate stopping them."""
    found = connection.execute(
        "SELECT DISTINCT origin FROM exchange.ingest_run WHERE source = %s AND finished_at IS NOT NULL"
        " AND NOT coalesce((report->>'stopped')::boolean, false)",
        [source],
    )
    return frozenset(str(row[0]) for row in found)
