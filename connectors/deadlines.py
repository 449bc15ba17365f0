"""Deadlines that deliveries missed (table `exchange.missed_deadline`), noted when Airflow told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from sqlalchemy import Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from exchange.registers.tables import metadata

missed_deadline = Table(
    "missed_deadline",
    metadata,
    Column("source", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("minutes", Integer, nullable=False),
    Column("noted_at", TIMESTAMP(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class MissedDeadline:
    """A run that was not through in time.

    Args:
        run: as Airflow names it.
        minutes: that it had.
    """

    run: str
    minutes: int
    noted_at: datetime


def note(connection: Connection, source: str, missed: MissedDeadline) -> None:
    """Note that a run is late; once for each run."""
    connection.execute(
        "INSERT INTO exchange.missed_deadline (source, run, minutes, noted_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [source, missed.run, missed.minutes, missed.noted_at],
    )


def missed(connection: Connection, source: str, since: datetime, until: datetime) -> list[MissedDeadline]:
    """Return the runs of a source that were late from `since` on and before `until`, latest first."""
    rows = connection.execute(
        "SELECT run, minutes, noted_at FROM exchange.missed_deadline WHERE source = %s AND noted_at >= %s"
        " AND noted_at < %s ORDER BY noted_at DESC",
        [source, since, until],
    )
    return [MissedDeadline(*row) for row in rows]
