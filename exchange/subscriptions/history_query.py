"""The SQL by which registers are followed: versions that ended, what came after each, who came back, who is new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.registers.additions import SUBJECT_BYTES
from exchange.registers.schemas import RegisterSchema


@dataclass(frozen=True, slots=True)
class Step:
    """From a version of a row to the next, both still sealed.

    Args:
        next_content: None: the subject left the register.
        returned: between the two it was not in the register.
    """

    subject: bytes
    content: dict[str, Any]
    sealed: bytes | None
    next_content: dict[str, Any] | None
    next_sealed: bytes | None
    returned: bool
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Addition:
    """The first version of a row, still sealed."""

    subject: bytes
    content: dict[str, Any]
    sealed: bytes | None
    happened_at: datetime


# By its own identifier, or by another that leads to it, or led.
_NAMED = (
    "(EXISTS (SELECT FROM exchange.subscription_subject w WHERE w.subject = {0}.subject) OR EXISTS (SELECT"
    " FROM (SELECT alias FROM exchange.alias a WHERE a.subject = {0}.subject"
    " UNION ALL SELECT alias FROM exchange.alias_history a WHERE a.subject = {0}.subject) AS l"
    " JOIN exchange.subscription_subject w ON w.subject = l.alias))"
)

# Who was erased meanwhile has no first version any more, and is told of to nobody.
_ADDITIONS = (
    "SELECT n.subject, coalesce(h.content, r.content) AS content,"  # noqa: S608 -- our own tables
    " CASE WHEN h.subject IS NULL THEN r.sealed ELSE h.sealed END AS sealed, n.happened_at"
    " FROM unnest($1::bytea[], $2::timestamptz[]) WITH ORDINALITY AS n (subject, happened_at, turn)"
    " LEFT JOIN exchange.{table}_history h ON h.subject = n.subject AND h.version = 1"
    " LEFT JOIN exchange.{table} r ON r.subject = n.subject AND r.version = 1"
    f" WHERE coalesce(h.subject, r.subject) IS NOT NULL AND ($3 OR {_NAMED.format('n')}) ORDER BY n.turn"
)


async def head(connection: Any, table: str) -> int:
    """Return the number of the newest step of a register."""
    found: int = await connection.fetchval(f"SELECT {_head(table)}")
    return found


async def behind(pool: Any, registers: Iterable[RegisterSchema]) -> frozenset[str]:
    """Return the names of registers that have gone on since they were last followed: one question for all."""
    heads = " UNION ALL ".join(f"SELECT '{each.name}', {_head(each.table)}" for each in registers)
    rows = await pool.fetch(
        f"SELECT h.source FROM ({heads}) AS h (source, head)"  # noqa: S608 -- our own tables
        " JOIN exchange.feed_cursor c USING (source) WHERE h.head > c.position"
    )
    return frozenset(row["source"] for row in rows)


def _head(table: str) -> str:
    return (
        f"greatest((SELECT max(sequence) FROM exchange.{table}_history),"  # noqa: S608 -- our own tables
        f" (SELECT max(sequence) FROM exchange.register_return WHERE register = '{table}'),"
        f" (SELECT max(sequence) FROM exchange.register_addition WHERE register = '{table}'), 0)"
    )


async def steps(connection: Any, table: str, position: int, upto: int, *, everybody: bool) -> list[Step]:
    """Return the steps with numbers above `position` up to `upto`, in their order.

    Args:
        everybody: also of subjects that nobody has named.
    """
    rows = await connection.fetch(_steps(table), position, upto, everybody, table)
    return [Step(**{name: row[name] for name in Step.__slots__}) for row in rows]


async def forget_followed(connection: Any, table: str, upto: int) -> None:
    """Forget who came back and who is new, once that has been followed."""
    for noted in ("register_return", "register_addition"):
        await connection.execute(
            f"DELETE FROM exchange.{noted} WHERE register = $1 AND sequence <= $2",  # noqa: S608 -- ours
            table,
            upto,
        )


async def additions_upto(connection: Any, table: str, position: int, upto: int, most: int) -> int:
    """Return the number up to which about `most` subjects are new above `position`; `upto` where they are fewer."""
    found: int | None = await connection.fetchval(
        "SELECT min(sequence) FROM (SELECT sequence,"
        " sum(octet_length(subjects) / $5) OVER (ORDER BY sequence) AS so_far"
        " FROM exchange.register_addition WHERE register = $1 AND sequence > $2 AND sequence <= $3) each"
        " WHERE so_far >= $4",
        table,
        position,
        upto,
        most,
        SUBJECT_BYTES,
    )
    return upto if found is None else found


async def additions(
    connection: Any, table: str, position: int, upto: int, *, everybody: bool
) -> list[Addition]:
    """Return who became new with numbers above `position` up to `upto`, in their order.

    Args:
        everybody: also subjects that nobody has named.
    """
    noted = await connection.fetch(
        "SELECT subjects, added_at FROM exchange.register_addition WHERE register = $1 AND sequence > $2"
        " AND sequence <= $3 ORDER BY sequence",
        table,
        position,
        upto,
    )
    subjects = [
        (joined[at : at + SUBJECT_BYTES], moment)
        for joined, moment in noted
        for at in range(0, len(joined), SUBJECT_BYTES)
    ]
    rows = await connection.fetch(
        _ADDITIONS.format(table=table),
        [subject for subject, _moment in subjects],
        [moment for _subject, moment in subjects],
        everybody,
    )
    return [Addition(**row) for row in rows]


def _steps(table: str) -> str:
    # The next version is in the history too if it has ended since, else it is the one that stands. A subject that left
    # counts on with its versions when it comes back, but its next does not begin where the last ended.
    after = (
        " h.content, h.sealed, coalesce(n.content, r.content) AS next_content,"
        " CASE WHEN n.subject IS NULL THEN r.sealed ELSE n.sealed END AS next_sealed,"
    )
    return (
        f"SELECT h.sequence, h.subject,{after} false AS returned, h.valid_until AS happened_at"  # noqa: S608
        f" FROM exchange.{table}_history h"
        f" LEFT JOIN exchange.{table}_history n ON n.subject = h.subject AND n.version = h.version + 1"
        " AND n.valid_from = h.valid_until"
        f" LEFT JOIN exchange.{table} r ON r.subject = h.subject AND r.version = h.version + 1"
        " AND r.valid_from = h.valid_until"
        f" WHERE h.sequence > $1 AND h.sequence <= $2 AND ($3 OR {_NAMED.format('h')})"
        f" UNION ALL SELECT b.sequence, b.subject,{after} true, b.returned_at"
        " FROM exchange.register_return b"
        f" JOIN exchange.{table}_history h ON h.subject = b.subject AND h.version = b.version - 1"
        f" LEFT JOIN exchange.{table}_history n ON n.subject = b.subject AND n.version = b.version"
        f" LEFT JOIN exchange.{table} r ON r.subject = b.subject AND r.version = b.version"
        f" WHERE b.register = $4 AND b.sequence > $1 AND b.sequence <= $2 AND ($3 OR {_NAMED.format('b')})"
        " ORDER BY 1"
    )
