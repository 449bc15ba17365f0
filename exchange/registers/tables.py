"""Layout of the registers and the SQL of a bulk merge (schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.errors import UniqueViolation
from sqlalchemy import BigInteger, Column, Identity, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

from exchange.registers import additions
from exchange.registers.spelling import (
    COPIED,
    COPY_HEADER,
    COPY_TRAILER,
    Spelled,
)

metadata = MetaData(schema="exchange")


def _register(name: str) -> tuple[Table, Table, Table]:
    """Describe a register: what is current, what was, and what each source says where more than one speaks.

    `sequence` of the history numbers the versions in the order in which they ended, which is that of the commits, since
    writers hold the register (`lock_register`): subscriptions follow it.

    `provenance` holds what the row's own source, run, part and row do not say: `transforms`, field → what was done to
    it on the way in; and, where several sources speak of the subject, `fields`, field → source, run, part and row.
    """

    def columns() -> list[Column[object]]:
        return [
            Column("content", JSONB, nullable=False),
            Column("sealed", BYTEA),
            Column("fingerprint", BYTEA, nullable=False),
            Column("source", Text, nullable=False),
            Column("run_id", UUID, nullable=False),
            Column("origin_row", BigInteger, nullable=False),
            Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
            Column("origin_part", Text, nullable=False, server_default=""),
            Column("provenance", JSONB),
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
        Column("sequence", BigInteger, Identity(always=True), nullable=False),
        Index(f"{name}_history_sequence", "sequence", unique=True),
    )
    contribution = Table(
        f"{name}_contribution",
        metadata,
        Column("subject", BYTEA, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("content", JSONB, nullable=False),
        Column("sealed", BYTEA),
        Column("fingerprint", BYTEA, nullable=False),
        Column("run_id", UUID, nullable=False),
        Column("origin_part", Text, nullable=False),
        Column("origin_row", BigInteger, nullable=False),
        Column("transforms", JSONB),
        Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    )
    return current, history, contribution


register_return = Table(
    "register_return",
    metadata,
    Column("register", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", BYTEA, nullable=False),
    Column("version", Integer, nullable=False),
    Column("returned_at", TIMESTAMP(timezone=True), nullable=False),
)
"""Subjects that came back to a register, by its table, and as which version: numbered among the versions that ended."""

register_addition = Table(
    "register_addition",
    metadata,
    Column("register", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subjects", BYTEA, nullable=False),
    Column("added_at", TIMESTAMP(timezone=True), nullable=False),
)
"""Subjects that are new in a register, a batch in a row (`additions.note`); numbered likewise."""

person, person_history, person_contribution = _register("person")
legal_entity, legal_entity_history, legal_entity_contribution = _register("legal_entity")
credential, credential_history, credential_contribution = _register("credential")
Index("credential_holder", credential.c.content["holder_code"].astext)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    Args:
        conflicts: origin rows that contradict an earlier row of the same run.
        shared: subjects that another source speaks of too, left for `joining.join`.
    """

    inserted: int
    changed: int
    unchanged: int
    conflicts: tuple[int, ...]
    shared: tuple[bytes, ...] = ()


def prepare_staging(connection: Connection) -> None:
    """Make the temporary tables of a run.

    `staged` holds what of a batch the register may know; `standing` those of its subjects that the register had
    already; `seen` the subjects that this run met and left unchanged; `spared` those that a snapshot names in a row
    that could not be brought in.
    """
    connection.execute(
        "CREATE TEMPORARY TABLE staged (subject bytea PRIMARY KEY, content jsonb NOT NULL, sealed bytea,"
        " fingerprint bytea NOT NULL, origin_row bigint NOT NULL, provenance jsonb, source text, run_id uuid,"
        " origin_part text, version integer, valid_from timestamptz)"
    )
    connection.execute(
        "CREATE TEMPORARY TABLE standing (subject bytea NOT NULL, origin_row bigint NOT NULL, same boolean NOT NULL,"
        " own boolean NOT NULL, shared boolean NOT NULL)"
    )
    connection.execute("CREATE TEMPORARY TABLE seen (subject bytea PRIMARY KEY)")
    connection.execute("CREATE TEMPORARY TABLE spared (subject bytea PRIMARY KEY)")
    # A batch is small beside a register: it walks the register's index. A join that reads the whole register for
    # each batch looks cheap while the register is small, and makes a load of n rows cost n².
    connection.execute("SET enable_hashjoin = off")
    connection.execute("SET enable_mergejoin = off")


def lock_register(connection: Connection, table: str) -> None:
    """Wait until no other transaction writes to a register, and keep others waiting until this one ends.

    Two runs that meet the same subjects in another order would lock each other out.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('zhengtong register'), hashtext(%s))", [table])


def bring_in(
    connection: Connection,
    table: str,
    rows: Spelled,
    *,
    source: str,
    run_id: uuid.UUID,
    now: datetime,
    part: str = "",
    expect_new: bool = False,
) -> Merged:
    """Bring a batch into a register: what is new directly, what is as it was not at all, and the rest by a merge.

    The caller holds the register (`lock_register`): what is new now is new until the transaction ends.

    Args:
        expect_new: try it first as if the register knew none of the subjects, which costs least if so.
    """
    if expect_new and _all_new(connection, table, rows):
        additions.note(connection, table, rows.subjects, now)
        return Merged(len(rows), 0, 0, ())
    connection.execute("TRUNCATE staged, standing")
    standing = _standing(connection, table, rows.each_subject(), source, run_id)
    register = sql.Identifier("exchange", table)
    if not standing:
        _copy(connection, register, rows.rows)
        additions.note(connection, table, rows.subjects, now)
        return Merged(len(rows), 0, 0, ())
    fresh: list[bytes] = []
    added: list[bytes] = []
    again: list[bytes] = []
    rest: list[bytes] = []
    same = 0
    for subject, fingerprint, row in rows.each():
        known = standing.get(subject)
        if known is None:
            fresh.append(row)
            added.append(subject)
        elif known.fingerprint == fingerprint:
            same += 1
            if not known.own:
                again.append(subject)
        else:
            rest.append(row)
    if fresh:
        _copy(connection, register, b"".join(fresh))
        additions.note(connection, table, b"".join(added), now)
    if again:
        connection.execute("INSERT INTO seen SELECT unnest(%b::bytea[]) ON CONFLICT DO NOTHING", [again])
    if not rest:
        return Merged(len(fresh), 0, same, ())
    _copy(connection, sql.Identifier("staged"), b"".join(rest))
    merged = _merge(connection, table, source, run_id, len(rest), now, part)
    return replace(merged, inserted=merged.inserted + len(fresh), unchanged=merged.unchanged + same)


def _all_new(connection: Connection, table: str, rows: Spelled) -> bool:
    """Bring in all rows if the register knows none of their subjects, nor ever did; else nothing."""
    register, history = (sql.Identifier("exchange", name) for name in (table, f"{table}_history"))
    # With a history each subject has to be looked for there: one that comes back goes on counting its versions.
    if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(history)).rowcount:
        return False
    try:
        with connection.transaction():
            _copy(connection, register, rows.rows)
    except UniqueViolation:
        return False
    return True


class _Known(NamedTuple):
    """What a register says of a subject of which only one source, this one, speaks; else no fingerprint.

    Args:
        own: this run brought it.
    """

    fingerprint: bytes | None
    own: bool


def _standing(
    connection: Connection, table: str, subjects: Sequence[bytes], source: str, run_id: uuid.UUID
) -> dict[bytes, _Known]:
    """Return what is known of subjects; one that ended is known, too: it goes on counting its versions."""
    # Binary parameters: an array of texts of bytes costs ten times as much, here and there.
    found = connection.execute(
        sql.SQL(
            "SELECT subject, CASE WHEN source = %s AND NOT coalesce(provenance ? 'fields', false) THEN fingerprint END,"
            " run_id = %s FROM {} WHERE subject = ANY(%b)"
        ).format(sql.Identifier("exchange", table)),
        [source, run_id, list(subjects)],
        binary=True,
    )
    known = {subject: _Known(fingerprint, own) for subject, fingerprint, own in found}
    absent = [subject for subject in subjects if subject not in known] if known else list(subjects)
    if absent:
        ended = connection.execute(
            sql.SQL("SELECT DISTINCT subject FROM {} WHERE subject = ANY(%b)").format(
                sql.Identifier("exchange", f"{table}_history")
            ),
            [absent],
            binary=True,
        )
        known |= {subject: _Known(None, False) for (subject,) in ended}
    return known


def changed_subjects(connection: Connection) -> list[bytes]:
    """Return the subjects of the batch in hand whose rows were changed, or are made with what others say."""
    found = connection.execute("SELECT subject FROM standing WHERE NOT own AND NOT same", binary=True)
    return [subject for (subject,) in found]


def _copy(connection: Connection, target: sql.Identifier, rows: bytes) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, sql.SQL(COPIED))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for part in (COPY_HEADER, rows, COPY_TRAILER):
            copy.write(part)


def _merge(
    connection: Connection,
    table: str,
    source: str,
    run_id: uuid.UUID,
    staged: int,
    now: datetime,
    part: str,
) -> Merged:
    """Merge `staged` into a register: insert, change (the old version goes to the history), leave unchanged.

    A row that differs from what the same run already brought or confirmed for its subject is a conflict within
    the source: it is left out and named, so that running the same file twice changes nothing the second time. A
    subject that another source speaks of is left to `joining.join`, unless this source says what it said before.
    """
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier("exchange", table),
        "history": sql.Identifier("exchange", f"{table}_history"),
        "contribution": sql.Identifier("exchange", f"{table}_contribution"),
    }
    names["changing"] = sql.SQL(
        "standing d JOIN staged s ON s.subject = d.subject AND NOT d.own AND NOT d.same AND NOT d.shared"
        " JOIN {table} r ON r.subject = d.subject"
    ).format(**names)
    values = {"source": source, "run": run_id, "now": now, "part": part, "table": table}

    def run(text: str) -> list[tuple[Any, ...]]:
        # The texts below are constants of this function; only table names of the schema are put in.
        cursor = connection.execute(sql.SQL(text).format(**names), values)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    # A subject that was ended and comes back goes on counting its versions, and its return is told.
    ((inserted,),) = run(
        "WITH brought AS (INSERT INTO {table} (subject, content, sealed, fingerprint, source, run_id, origin_part,"
        " origin_row, version, valid_from, provenance)"
        " SELECT subject, content, sealed, fingerprint, %(source)s, %(run)s, %(part)s, origin_row,"
        " coalesce((SELECT max(version) FROM {history} h WHERE h.subject = staged.subject), 0) + 1,"
        " %(now)s, provenance FROM staged ON CONFLICT (subject) DO NOTHING RETURNING subject, version),"
        " returned AS (INSERT INTO exchange.register_return (register, sequence, subject, version, returned_at)"
        " SELECT %(table)s, nextval(pg_get_serial_sequence('exchange.' || %(table)s || '_history', 'sequence')),"
        " subject, version, %(now)s FROM brought WHERE version > 1) SELECT count(*) FROM brought"
    )
    if inserted == staged:
        return Merged(inserted, 0, 0, ())
    # `own`: this run brought or confirmed the subject in an earlier batch.
    run(
        "INSERT INTO standing SELECT s.subject, s.origin_row,"
        " CASE WHEN o.shared THEN coalesce(c.fingerprint = s.fingerprint, false)"
        " ELSE r.fingerprint = s.fingerprint END,"
        " coalesce(CASE WHEN o.shared THEN c.run_id ELSE r.run_id END = %(run)s, false)"
        " OR EXISTS (SELECT FROM seen WHERE seen.subject = s.subject), o.shared"
        " FROM staged s JOIN {table} r ON r.subject = s.subject"
        " CROSS JOIN LATERAL (SELECT r.source <> %(source)s OR coalesce(r.provenance ? 'fields', false)) AS o (shared)"
        " LEFT JOIN {contribution} c ON o.shared AND c.subject = s.subject AND c.source = %(source)s"
        " WHERE NOT (r.run_id = %(run)s AND r.origin_part = %(part)s AND r.origin_row = s.origin_row)"
    )
    run("INSERT INTO seen SELECT subject FROM standing WHERE same AND NOT own")
    conflicts = tuple(row for (row,) in run("SELECT origin_row FROM standing WHERE own AND NOT same"))
    shared = tuple(s for (s,) in run("SELECT subject FROM standing WHERE shared AND NOT own AND NOT same"))
    ((changed,),) = run(
        f"INSERT INTO {{history}} ({VERSION}, valid_until) SELECT {VERSION_OF_R}, %(now)s FROM {{changing}}"
    )
    if changed:
        run(
            "UPDATE {table} u SET content = s.content, sealed = s.sealed, fingerprint = s.fingerprint,"
            " source = %(source)s, run_id = %(run)s, origin_part = %(part)s, origin_row = s.origin_row,"
            " version = r.version + 1, valid_from = %(now)s, provenance = s.provenance"
            " FROM {changing} WHERE u.subject = d.subject"
        )
    unchanged = staged - inserted - changed - len(conflicts) - len(shared)
    return Merged(inserted, changed, unchanged, conflicts, shared)


_VERSION_COLUMNS = (
    "subject", "version", "content", "sealed", "fingerprint", "source", "run_id", "origin_part", "origin_row",
    "provenance", "valid_from",
)  # fmt: skip
VERSION = ", ".join(_VERSION_COLUMNS)
VERSION_OF_R = ", ".join(f"r.{name}" for name in _VERSION_COLUMNS)
"""What a version of a row is, as it goes from a register into its history."""


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
