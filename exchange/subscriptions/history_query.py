"""The SQL by which registers are followed: versions that ended, and what came after each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """A version of a row that ended, and the next, both still sealed; no next: the subject left the register."""

    subject: bytes
    content: dict[str, Any]
    sealed: bytes | None
    ended_at: datetime
    next_content: dict[str, Any] | None
    next_sealed: bytes | None


async def head(connection: Any, table: str) -> int:
    """Return the number of the newest version that ended."""
    found: int = await connection.fetchval(
        f"SELECT coalesce(max(sequence), 0) FROM exchange.{table}_history"  # noqa: S608 -- our own tables
    )
    return found


async def ended_between(
    connection: Any, table: str, position: int, upto: int, *, everybody: bool
) -> list[Ended]:
    """Return the versions with numbers above `position` up to `upto`, in their order.

    A subject that left the register and came back counts on with its versions, but its next does not begin where the
    last ended: then there is no next.

    Args:
        everybody: also of subjects that nobody has named.
    """
    rows = await connection.fetch(_between(table), position, upto, everybody)
    return [
        Ended(
            row["subject"],
            row["content"],
            row["sealed"],
            row["valid_until"],
            row["next_content"],
            row["next_sealed"],
        )
        for row in rows
    ]


def _between(table: str) -> str:
    # The next version is in the history too if it has ended since, else it is the one that stands.
    return (
        "SELECT h.subject, h.content, h.sealed, h.valid_until, coalesce(n.content, r.content) AS next_content,"  # noqa: S608
        " CASE WHEN n.subject IS NULL THEN r.sealed ELSE n.sealed END AS next_sealed"
        f" FROM exchange.{table}_history h"
        f" LEFT JOIN exchange.{table}_history n ON n.subject = h.subject AND n.version = h.version + 1"
        " AND n.valid_from = h.valid_until"
        f" LEFT JOIN exchange.{table} r ON r.subject = h.subject AND r.version = h.version + 1"
        " AND r.valid_from = h.valid_until"
        " WHERE h.sequence > $1 AND h.sequence <= $2 AND ($3 OR EXISTS"
        " (SELECT FROM exchange.subscription_subject w WHERE w.subject = h.subject))"
        " ORDER BY h.sequence"
    )
