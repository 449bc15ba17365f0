"""Other identifiers of subjects: under which identifiers a register's rows are found beside their own.

An alias leads from a blinded identifier to the subject of a row. It is *named* where the row itself names the
identifier beside the one it is kept under, and *decided* where a person said that two records are of one subject.
What holds stands in `alias`; what held once, in `alias_history`. Nothing is merged by it: rows stay as they are.

Three rules, the same wherever an alias is followed:

- A register's own row goes before any alias: who asks by an identifier that has a row gets that row.
- An alias that leads to several rows leads nowhere: it is not known which of them is meant.
- It leads to a row in one step, never over another alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection, sql
from sqlalchemy import Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from exchange.registers.schemas import RegisterSchema, load_registers
from exchange.registers.tables import metadata

alias = Table(
    "alias",
    metadata,
    Column("alias", BYTEA, primary_key=True),
    Column("subject", BYTEA, primary_key=True),
    Column("basis", Text, primary_key=True),
    Column("register", Text, nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Index("alias_subject", "subject"),
)

alias_history = Table(
    "alias_history",
    metadata,
    Column("alias", BYTEA, nullable=False),
    Column("subject", BYTEA, nullable=False),
    Column("basis", Text, nullable=False),
    Column("register", Text, nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Index("alias_history_subject", "subject"),
)


class Naming(NamedTuple):
    """A row that names another identifier beside its own: its subject, its fingerprint, the other blinded."""

    subject: bytes
    fingerprint: bytes
    alias: bytes


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias as it stands. `subjects`: how many it leads to; of several with rows it is not known which is meant."""

    alias: bytes
    subject: bytes
    basis: str
    valid_from: datetime
    subjects: int


def prepare(connection: Connection) -> None:
    """Make the temporary table that the namings of a batch are put into."""
    connection.execute(
        "CREATE TEMPORARY TABLE naming (subject bytea NOT NULL, fingerprint bytea NOT NULL, alias bytea NOT NULL,"
        " PRIMARY KEY (subject, alias, fingerprint))"
    )


def put(connection: Connection, namings: Sequence[Naming]) -> None:
    """Add to the namings in hand."""
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY naming (subject, fingerprint, alias) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["bytea", "bytea", "bytea"])
        for naming in sorted(set(namings)):
            copy.write_row(naming)


def keep(
    connection: Connection,
    register: RegisterSchema,
    namings: Sequence[Naming],
    changed: Sequence[bytes],
    now: datetime,
) -> None:
    """Let the named aliases be what the rows of a register name now.

    The caller holds the register (`lock_register`). A naming counts if the row of its subject stands as it was when it
    was read, which its fingerprint tells: one that was left out, or was joined with what others say, names nothing.
    Rows that name no other identifier cost nothing unless they changed.

    Args:
        changed: subjects whose rows may name another identifier than they did, or none.
    """
    if namings:
        connection.execute("TRUNCATE naming")
        put(connection, namings)
    if changed:
        still = " AND NOT EXISTS (SELECT FROM naming n JOIN {table} r USING (subject, fingerprint)"
        still += " WHERE n.subject = a.subject AND n.alias = a.alias)"
        _end(
            connection,
            register,
            f"a.basis = 'named' AND a.subject = ANY(%b){still if namings else ''}",
            [list(changed)],
            now,
        )
    if namings:
        begin(connection, register, now)


def begin(connection: Connection, register: RegisterSchema, now: datetime) -> None:
    """Begin the aliases that the namings in hand make, unless a person has decided against them."""
    connection.execute(
        sql.SQL(
            "INSERT INTO exchange.alias (alias, subject, basis, register, valid_from)"
            " SELECT n.alias, n.subject, 'named', %(register)s, %(now)s"
            " FROM naming n JOIN {table} r USING (subject, fingerprint)"
            " WHERE NOT EXISTS (SELECT FROM exchange.link l WHERE l.register = %(register)s"
            " AND l.subject = least(n.alias, n.subject) AND l.other = greatest(n.alias, n.subject)"
            " AND l.decision = 'different') ON CONFLICT DO NOTHING"
        ).format(table=sql.Identifier("exchange", register.table)),
        {"register": register.name, "now": now},
    )


def ambiguous_rows(connection: Connection, register: RegisterSchema, run_id: object, part: str) -> list[int]:
    """Return the origin rows, of those that a run brought, whose other identifier another subject has, too."""
    found = connection.execute(
        sql.SQL(
            "SELECT DISTINCT r.origin_row FROM naming n JOIN {table} r USING (subject, fingerprint)"
            " JOIN exchange.alias mine ON mine.alias = n.alias AND mine.subject = n.subject"
            " JOIN exchange.alias other ON other.alias = n.alias AND other.subject <> n.subject"
            " WHERE r.run_id = %s AND r.origin_part = %s"
        ).format(table=sql.Identifier("exchange", register.table)),
        [run_id, part],
    )
    return [row for (row,) in found]


def end_of_gone(connection: Connection, register: RegisterSchema, now: datetime) -> None:
    """End what the subjects in `gone` named that no other source speaks of; what a person decided stays."""
    _end(
        connection,
        register,
        "a.basis = 'named' AND a.subject IN (SELECT subject FROM gone WHERE NOT shared)",
        [],
        now,
    )


def decide(
    connection: Connection,
    register: RegisterSchema,
    subject: bytes,
    other: bytes,
    *,
    same: bool,
    now: datetime,
) -> None:
    """Let two subjects lead to one another, as a person decided, or not at all, whatever their rows name."""
    pairs = [(subject, other), (other, subject)]
    if not same:
        for pair in pairs:
            _end(connection, register, "a.alias = %b AND a.subject = %b", list(pair), now)
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO exchange.alias (alias, subject, basis, register, valid_from)"
            " VALUES (%s, %s, 'decided', %s, %s) ON CONFLICT DO NOTHING",
            [(*pair, register.name, now) for pair in pairs],
        )


def standing(connection: Connection, subject: bytes, other: bytes) -> bool:
    """True when one of two subjects leads to the other."""
    found = connection.execute(
        "SELECT FROM exchange.alias WHERE (alias = %(a)s AND subject = %(b)s) OR (alias = %(b)s AND subject = %(a)s)",
        {"a": subject, "b": other},
    )
    return found.rowcount > 0


def ambiguous(connection: Connection, register: str) -> int:
    """Return how many identifiers of a register lead to several subjects."""
    found = connection.execute(
        "SELECT count(*) FROM (SELECT FROM exchange.alias WHERE register = %s GROUP BY alias"
        " HAVING count(DISTINCT subject) > 1) AS several",
        [register],
    ).fetchone()
    assert found is not None
    return int(found[0])


def listed(connection: Connection, register: str, *, only_ambiguous: bool, limit: int) -> list[Alias]:
    """Return aliases as they stand, the latest first."""
    found = connection.execute(
        "SELECT a.alias, a.subject, a.basis, a.valid_from, s.count FROM exchange.alias a CROSS JOIN LATERAL"
        " (SELECT count(DISTINCT subject) FROM exchange.alias o WHERE o.alias = a.alias) AS s"
        " WHERE a.register = %s AND (s.count > 1 OR NOT %s) ORDER BY a.valid_from DESC, a.alias, a.subject LIMIT %s",
        [register, only_ambiguous, limit],
    )
    return [Alias(*row) for row in found]


def _end(
    connection: Connection, register: RegisterSchema, which: str, values: list[object], now: datetime
) -> None:
    """End aliases. `which` is a condition on `a`, written in this module."""
    connection.execute(
        sql.SQL(
            f"WITH ended AS (DELETE FROM exchange.alias a WHERE {which} RETURNING a.*)"
            " INSERT INTO exchange.alias_history (alias, subject, basis, register, valid_from, valid_until)"
            " SELECT alias, subject, basis, register, valid_from, %s FROM ended"
        ).format(table=sql.Identifier("exchange", register.table)),
        [*values, now],
    )


def followed(name: str) -> str:
    """Return the SQL condition under which an alias, by its name in the statement, is followed.

    For statements that come from the row; those that go to it look at the rows themselves (`lookup.py`).
    """
    rows = "".join(
        f" AND NOT EXISTS (SELECT FROM exchange.{register.table} o WHERE o.subject = {name}.alias)"
        for register in load_registers().values()
    )
    alone = f"SELECT FROM exchange.alias o WHERE o.alias = {name}.alias AND o.subject <> {name}.subject"
    return f"NOT EXISTS ({alone}){rows}"


def decided_with(column: str) -> str:
    """Return the SQL to join the aliases `a` that a person decided to be of one subject with what a column names."""
    return f"exchange.alias a ON a.subject = {column} AND a.basis = 'decided'"


_ROW_OF = """
SELECT a.subject FROM exchange.alias a JOIN exchange.{table} r ON r.subject = a.subject
WHERE a.alias = $1 AND NOT EXISTS (SELECT FROM exchange.{table} o WHERE o.subject = $1)
GROUP BY a.subject
"""

_IDENTIFIERS = """
WITH own AS (
    SELECT $1::bytea AS subject UNION SELECT a.subject FROM exchange.alias a WHERE a.alias = $1 AND {clear}
)
SELECT subject FROM own
UNION SELECT a.alias FROM own JOIN exchange.alias a ON a.subject = own.subject WHERE {clear}
"""


_DECIDED = (
    "SELECT a.alias FROM (VALUES ($1::bytea)) AS one (subject)"
    f" JOIN {decided_with('one.subject')} ORDER BY a.alias"
)


async def decided_identities(connection: Any, subject: bytes) -> list[bytes]:
    """Return all subjects that a person decided to be the one behind this one, which comes first.

    What somebody may do with what is theirs follows these alone: that a row names another identifier lets that row be
    found, but a mistyped number must not make anybody the one whose number it is.

    Args:
        connection: of asyncpg, or a pool.
    """
    found = await connection.fetch(_DECIDED, subject)
    return [subject, *(other for (other,) in found)]


async def row_of(connection: Any, table: str, subject: bytes) -> bytes:
    """Return the subject of the row that a question about a subject is answered from; itself if it leads nowhere.

    Args:
        connection: of asyncpg, or a pool.
    """
    found = await connection.fetch(_ROW_OF.format(table=table), subject)
    return found[0][0] if len(found) == 1 else subject


async def asked_by(connection: Any, table: str, subject: bytes) -> list[bytes]:
    """Return the subjects whose questions are answered from the same row as those about this one, itself among them.

    Args:
        connection: of asyncpg, or a pool.
    """
    row = await row_of(connection, table, subject)
    others = await connection.fetch(
        f"SELECT a.alias FROM exchange.alias a WHERE a.subject = $1 AND {followed('a')}",
        row,
    )
    return sorted({subject, row, *(other for (other,) in others)})


async def identifiers_of(connection: Any, subject: bytes) -> list[bytes]:
    """Return all subjects that stand for the one who, or which, stands behind this one, itself among them.

    Whether rows of theirs stand plays no part: who looked at an old one, looked at them. An identifier that several
    name is nobody's here.

    Args:
        connection: of asyncpg, or a pool.
    """
    clear = (
        "(a.basis = 'decided' OR NOT EXISTS"
        " (SELECT FROM exchange.alias o WHERE o.alias = a.alias AND o.subject <> a.subject))"
    )
    return [found for (found,) in await connection.fetch(_IDENTIFIERS.format(clear=clear), subject)]
