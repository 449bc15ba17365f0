"""Records that may be of one subject though their identifiers differ: found, scored, and decided by a person.

No rows are ever merged by this. `strong` links rest on an identifier that one record names beside its own; `candidate`
links on name, birth date and address, and wait for somebody's word. What is decided is followed by all who ask, and
what a record names is so without being searched for (`aliases.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.types.json import Jsonb
from sqlalchemy import Column, Double, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP

from exchange.registers import aliases
from exchange.registers.schemas import load_registers
from exchange.registers.tables import lock_register, metadata

link = Table(
    "link",
    metadata,
    Column("register", Text, primary_key=True),
    Column("subject", BYTEA, primary_key=True),
    Column("other", BYTEA, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("found_at", TIMESTAMP(timezone=True), nullable=False),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", TIMESTAMP(timezone=True)),
)

LARGEST_GROUP = 20
"""Records that share a key beyond this are not compared with one another: the key says nothing (张伟, no address)."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two subjects that may be one, the smaller blind index first.

    Args:
        kind: `strong` or `candidate`.
        score: 0 to 1.
        evidence: field → 1.0 for equal values, less for similar ones; never the values.
    """

    subject: bytes
    other: bytes
    kind: str
    score: float
    evidence: dict[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """A link as it stands, with the decision if there is one: `same` or `different`."""

    link: Link
    found_at: datetime
    decision: str | None
    decided_by: str | None


def rows(connection: Connection, table: str) -> Iterator[tuple[bytes, dict[str, Any], bytes | None, bytes]]:
    """Yield (subject, clear part, sealed part, fingerprint) of a whole register, a few thousand at a time."""
    with connection.cursor(name="linking") as cursor:
        cursor.itersize = 5_000
        cursor.execute(
            sql.SQL("SELECT subject, content, sealed, fingerprint FROM {}").format(
                sql.Identifier("exchange", table)
            )
        )
        yield from cursor


def prepare_keys(connection: Connection) -> None:
    """Make the temporary tables of a search; the transaction's end drops them."""
    connection.execute(
        "CREATE TEMPORARY TABLE match_key (key bytea NOT NULL, subject bytea NOT NULL) ON COMMIT DROP"
    )
    connection.execute(
        "CREATE TEMPORARY TABLE named (named bytea NOT NULL, subject bytea NOT NULL) ON COMMIT DROP"
    )


def put_keys(connection: Connection, table: str, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Store (key, subject) in `match_key`, or (subject named, subject) in `named`."""
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy,
    ):
        for pair in pairs:
            copy.write_row(pair)


def groups(connection: Connection) -> list[list[bytes]]:
    """Return the subjects that share a key, for keys that more than one and not too many share."""
    found = connection.execute(
        "SELECT array_agg(subject ORDER BY subject) FROM match_key GROUP BY key HAVING count(*) BETWEEN 2 AND %s",
        [LARGEST_GROUP],
    )
    return [subjects for (subjects,) in found]


def named(connection: Connection, table: str) -> list[tuple[bytes, bytes]]:
    """Return (subject, subject it names) for those named that the register has a record of."""
    return connection.execute(
        sql.SQL("SELECT n.subject, n.named FROM named n JOIN {} r ON r.subject = n.named").format(
            sql.Identifier("exchange", table)
        )
    ).fetchall()


def put(connection: Connection, register: str, found: Sequence[Link], now: datetime) -> int:
    """Store links; one that stands there is scored anew, its decision stays. Returns how many are new."""
    with connection.cursor() as cursor:
        before = _count(connection, register)
        cursor.executemany(
            "INSERT INTO exchange.link AS l (register, subject, other, kind, score, evidence, found_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (register, subject, other) DO UPDATE SET"
            " kind = excluded.kind, score = excluded.score, evidence = excluded.evidence",
            [(register, x.subject, x.other, x.kind, x.score, Jsonb(x.evidence), now) for x in found],
        )
    return _count(connection, register) - before


def _count(connection: Connection, register: str) -> int:
    found = connection.execute(
        "SELECT count(*) FROM exchange.link WHERE register = %s", [register]
    ).fetchone()
    assert found is not None
    return int(found[0])


def waiting(connection: Connection, register: str, limit: int) -> list[Found]:
    """Return candidates that nobody has decided, the likeliest first."""
    found = connection.execute(
        "SELECT subject, other, kind, score, evidence, found_at, decision, decided_by FROM exchange.link"
        " WHERE register = %s AND kind = 'candidate' AND decision IS NULL ORDER BY score DESC, subject, other LIMIT %s",
        [register, limit],
    )
    return [Found(Link(*row[:5]), *row[5:]) for row in found]


def decide(
    connection: Connection, register: str, subject: bytes, other: bytes, decision: str, by: str, now: datetime
) -> bool:
    """Note what a person decided, and let it be followed, or no longer, at once; False if there is no such link.

    A row that names the identifier of another need not have been searched for: its alias is a link as well.
    """
    schema = load_registers()[register]
    # A merge that begins an alias holds the register while it looks at the decisions.
    lock_register(connection, schema.table)
    if aliases.standing(connection, subject, other) and subject < other:
        put_new = "INSERT INTO exchange.link (register, subject, other, kind, score, evidence, found_at)"
        connection.execute(
            f"{put_new} VALUES (%s, %s, %s, 'strong', 1, '{{}}', %s) ON CONFLICT DO NOTHING",
            [register, subject, other, now],
        )
    done = connection.execute(
        "UPDATE exchange.link SET decision = %s, decided_by = %s, decided_at = %s"
        " WHERE register = %s AND subject = %s AND other = %s",
        [decision, by, now, register, subject, other],
    )
    if done.rowcount != 1:
        return False
    aliases.decide(connection, schema, subject, other, same=decision == "same", now=now)
    return True
