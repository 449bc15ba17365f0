"""The SQL by which registers are followed: versions that ended, what came after each, and who came back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
        f" (SELECT max(sequence) FROM exchange.register_return WHERE register = '{table}'), 0)"
    )


async def steps(connection: Any, table: str, position: int, upto: int, *, everybody: bool) -> list[Step]:
    """Return the steps with numbers above `position` up to `upto`, in their order.

    Args:
        everybody: also of subjects that nobody has named.
    """
    rows = await connection.fetch(_steps(table), position, upto, everybody, table)
    return [Step(**{name: row[name] for name in Step.__slots__}) for row in rows]


async def forget_returns(connection: Any, table: str, upto: int) -> None:
    """Forget returns that have been followed."""
    await connection.execute(
        "DELETE FROM exchange.register_return WHERE register = $1 AND sequence <= $2", table, upto
    )


def _steps(table: str) -> str:
    # The next version is in the history too if it has ended since, else it is the one that stands. A subject that left
    # counts on with its versions when it comes back, but its next does not begin where the last ended.
    # By its own identifier, or by another that leads to it, or led.
    named = (
        "(EXISTS (SELECT FROM exchange.subscription_subject w WHERE w.subject = {0}.subject) OR EXISTS (SELECT"
        " FROM (SELECT alias FROM exchange.alias a WHERE a.subject = {0}.subject"
        " UNION ALL SELECT alias FROM exchange.alias_history a WHERE a.subject = {0}.subject) AS l"
        " JOIN exchange.subscription_subject w ON w.subject = l.alias))"
    )
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
        f" WHERE h.sequence > $1 AND h.sequence <= $2 AND ($3 OR {named.format('h')})"
        f" UNION ALL SELECT b.sequence, b.subject,{after} true, b.returned_at"
        " FROM exchange.register_return b"
        f" JOIN exchange.{table}_history h ON h.subject = b.subject AND h.version = b.version - 1"
        f" LEFT JOIN exchange.{table}_history n ON n.subject = b.subject AND n.version = b.version"
        f" LEFT JOIN exchange.{table} r ON r.subject = b.subject AND r.version = b.version"
        f" WHERE b.register = $4 AND b.sequence > $1 AND b.sequence <= $2 AND ($3 OR {named.format('b')})"
        " ORDER BY 1"
    )
