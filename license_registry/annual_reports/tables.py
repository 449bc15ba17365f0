"""SQL of annual reports (schema `license_registry`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from license_registry.tables import licence, metadata

annual_report = Table(
    "annual_report",
    metadata,
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("due_until", Date, nullable=False),
    Column("opened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("filed_at", TIMESTAMP(timezone=True)),
    Column("reference", Text),
    Column("overdue_told_at", TIMESTAMP(timezone=True)),
)
Index(
    "annual_report_open",
    annual_report.c.due_until,
    postgresql_where=text("filed_at IS NULL AND overdue_told_at IS NULL"),
)


@dataclass(frozen=True, slots=True)
class AnnualReport:
    """The report of a licence for a year, due until the end of a day.

    Args:
        reference: where the report itself is kept, as whoever filed it says.
    """

    identifier: str
    year: int
    due_until: date
    opened_at: datetime
    filed_at: datetime | None
    reference: str | None
    overdue_told_at: datetime | None


async def open_reports(
    connection: Any, type_codes: Sequence[str], year: int, due_until: date, now: datetime, limit: int
) -> list[tuple[str, str]]:
    """Open the report of a year for licences in force, first issued before it, that have none yet.

    Returns:
        (identifier, issuer) of those opened.
    """
    rows = await connection.fetch(
        "WITH opened AS (INSERT INTO license_registry.annual_report (identifier, year, due_until, opened_at)"
        " SELECT l.identifier, $2, $3, $5 FROM license_registry.licence l WHERE l.type_code = ANY($1)"
        " AND l.state IN ('01', '02') AND l.first_issued_on < $4 AND NOT EXISTS"
        " (SELECT FROM license_registry.annual_report r WHERE r.identifier = l.identifier AND r.year = $2)"
        " ORDER BY l.identifier LIMIT $6 ON CONFLICT DO NOTHING RETURNING identifier)"
        " SELECT identifier, l.issuer FROM opened JOIN license_registry.licence l USING (identifier)",
        list(type_codes),
        year,
        due_until,
        date(year, 1, 1),
        now,
        limit,
    )
    return [(row["identifier"], row["issuer"]) for row in rows]


async def tell_overdue(connection: Any, today: date, now: datetime, limit: int) -> list[tuple[str, int, str]]:
    """Mark reports whose day has passed as told of; return (identifier, year, issuer) of those in force."""
    rows = await connection.fetch(
        "WITH late AS (UPDATE license_registry.annual_report SET overdue_told_at = $2"
        " WHERE (identifier, year) IN (SELECT identifier, year FROM license_registry.annual_report"
        " WHERE filed_at IS NULL AND overdue_told_at IS NULL AND due_until < $1"
        " ORDER BY due_until, identifier LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING identifier, year)"
        " SELECT late.identifier, late.year, l.issuer FROM late JOIN license_registry.licence l USING (identifier)",
        today,
        now,
        limit,
    )
    return [tuple(row) for row in rows]


async def file(connection: Any, identifier: str, year: int, reference: str, now: datetime) -> bool:
    """Note that a report was filed; False if it was filed before, or is not open."""
    done = await connection.execute(
        "UPDATE license_registry.annual_report SET filed_at = $4, reference = $3"
        " WHERE identifier = $1 AND year = $2 AND filed_at IS NULL",
        identifier,
        year,
        reference,
        now,
    )
    return bool(done == "UPDATE 1")


async def of_licence(connection: Any, identifier: str) -> list[AnnualReport]:
    """Return the reports of a licence, the latest first."""
    rows = await connection.fetch(
        "SELECT identifier, year, due_until, opened_at, filed_at, reference, overdue_told_at"
        " FROM license_registry.annual_report WHERE identifier = $1 ORDER BY year DESC",
        identifier,
    )
    return [AnnualReport(**row) for row in rows]


async def hand_on(connection: Any, old: str, new: str) -> None:
    """Let the reports of a version be those of the next one: they are due of the licence, whatever its version."""
    await connection.execute(
        "UPDATE license_registry.annual_report SET identifier = $2 WHERE identifier = $1", old, new
    )
