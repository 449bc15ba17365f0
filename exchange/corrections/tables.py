"""SQL of corrections (tables `exchange.correction_report`, `exchange.correction_notice`)."""

from __future__ import annotations

import uuid
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from exchange.corrections.correction import Correction, State
from exchange.corrections.recipients import Recipient
from exchange.registers.aliases import identifiers_of
from exchange.registers.tables import metadata

correction_report = Table(
    "correction_report",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("reporter", BYTEA),
    Column("owner", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("register", Text, nullable=False),
    Column("subject", BYTEA, nullable=False),
    Column("field", Text, nullable=False),
    Column("value", BYTEA),
    Column("value_since", TIMESTAMP(timezone=True)),
    Column("source", Text),
    Column("sealed", BYTEA),
    Column("state", Text, nullable=False),
    Column("reported_at", TIMESTAMP(timezone=True), nullable=False),
    Column("due_on", Date),
    Column("overdue_at", TIMESTAMP(timezone=True)),
    Column("answered_at", TIMESTAMP(timezone=True)),
    Column("answered_by", Text),
    Column("answer_sealed", BYTEA),
    Column("task_closed_at", TIMESTAMP(timezone=True)),
    Column("looked_at", TIMESTAMP(timezone=True)),
    Index("correction_report_department", "department", "reported_at"),
    Index("correction_report_owner", "owner", "reported_at"),
    Index("correction_report_subject", "subject", "reported_at"),
)
Index(
    "correction_report_due",
    correction_report.c.due_on,
    postgresql_where=text("due_on IS NOT NULL AND overdue_at IS NULL"),
)
Index(
    "correction_report_task",
    correction_report.c.looked_at,
    postgresql_where=text("state = 'corrected' AND task_closed_at IS NULL"),
)

Index(
    "correction_report_kept",
    correction_report.c.reported_at,
    postgresql_where=text("sealed IS NOT NULL"),
)

correction_notice = Table(
    "correction_notice",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("correction", UUID, ForeignKey(correction_report.c.id), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("records", ARRAY(UUID), nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("acknowledged_at", TIMESTAMP(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", TIMESTAMP(timezone=True)),
    Column("delivered_at", TIMESTAMP(timezone=True)),
    Column("dead_at", TIMESTAMP(timezone=True)),
    Column("last_failure", Text),
    Index("correction_notice_client", "client_id", "id"),
    Index("correction_notice_correction", "correction"),
)
Index(
    "correction_notice_due",
    correction_notice.c.client_id,
    correction_notice.c.next_attempt_at,
    postgresql_where=text("next_attempt_at IS NOT NULL"),
)
Index(
    "correction_notice_dead",
    correction_notice.c.dead_at,
    postgresql_where=text("dead_at IS NOT NULL"),
)

_COLUMNS = tuple(each.name for each in fields(Correction))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM exchange.correction_report"  # noqa: S608  # names of our own columns
_INSERT = (
    f"INSERT INTO exchange.correction_report ({', '.join(_COLUMNS)})"  # noqa: S608
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))}) ON CONFLICT (id) DO NOTHING RETURNING 1"
)
_UPDATE = (
    "UPDATE exchange.correction_report SET "  # noqa: S608
    + ", ".join(f"{name} = ${n}" for n, name in enumerate(_COLUMNS, 1) if name != "id")
    + " WHERE id = $1"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """To a system: answers that it was given, by the ids of their records, showed a value that has been corrected."""

    id: int
    correction: uuid.UUID
    resource: str
    field: str
    records: tuple[uuid.UUID, ...]
    created_at: datetime
    acknowledged_at: datetime | None


async def add(connection: Any, new: Correction) -> bool:
    """Store a report; False when one with its id stands already.

    Args:
        connection: of asyncpg, as everywhere here.
    """
    return await connection.fetchval(_INSERT, *astuple(new)) is not None


async def put(connection: Any, changed: Correction) -> None:
    """Store what has become of a report."""
    await connection.execute(_UPDATE, *astuple(changed))


async def find(connection: Any, correction_id: uuid.UUID, *, lock: bool = False) -> Correction | None:
    """Return a report; with `lock`, nobody else changes it until the transaction ends."""
    row = await connection.fetchrow(f"{_SELECT} WHERE id = $1{' FOR UPDATE' if lock else ''}", correction_id)
    return None if row is None else _correction(row)


async def listed(
    connection: Any,
    *,
    department: str | None,
    state: str | None,
    overdue_on: date | None,
    tasks: bool,
    before: datetime | None,
    limit: int,
) -> list[Correction]:
    """Return reports, the latest first.

    Args:
        department: that reported, or that answers; None: anybody's.
        overdue_on: only those whose term had passed before that day.
        tasks: only those found right while the register still shows the wrong value, and by who is to put it right.
    """
    rows = await connection.fetch(
        f"{_SELECT} WHERE ($1::text IS NULL OR owner = $1 OR NOT $4 AND department = $1)"
        " AND ($2::text IS NULL OR state = $2) AND ($3::date IS NULL OR due_on < $3)"
        " AND (NOT $4 OR state = 'corrected' AND task_closed_at IS NULL)"
        " AND ($5::timestamptz IS NULL OR reported_at < $5) ORDER BY reported_at DESC, id LIMIT $6",
        department,
        state,
        overdue_on,
        tasks,
        before,
        limit,
    )
    return [_correction(row) for row in rows]


async def about(connection: Any, person: bytes, limit: int) -> list[Correction]:
    """Return reports about a person, by whichever of their identifiers and by whomever, the latest first."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE subject = ANY($1) ORDER BY reported_at DESC, id LIMIT $2",
        await identifiers_of(connection, person),
        limit,
    )
    return [_correction(row) for row in rows]


async def take_overdue(connection: Any, today: date, limit: int) -> list[Correction]:
    """Lock and return reports whose term has passed without anybody having been told."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE due_on < $1 AND overdue_at IS NULL ORDER BY due_on, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        today,
        limit,
    )
    return [_correction(row) for row in rows]


async def take_tasks(connection: Any, before: datetime, limit: int) -> list[Correction]:
    """Lock and return reports whose register still showed the wrong value when it was looked at before a moment."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE state = 'corrected' AND task_closed_at IS NULL"
        " AND (looked_at IS NULL OR looked_at < $1)"
        " ORDER BY looked_at NULLS FIRST, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        before,
        limit,
    )
    return [_correction(row) for row in rows]


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete what was said in reports that ended before a moment; return of how many.

    A report waits for nobody once it was withdrawn or confirmed, or its value put right; one that needs more ends when
    its department has said so. What the register showed, and what became of the report, stay.
    """
    rows = await connection.fetch(
        "UPDATE exchange.correction_report SET sealed = NULL, answer_sealed = NULL WHERE id IN"
        " (SELECT id FROM exchange.correction_report WHERE sealed IS NOT NULL AND reported_at < $1"
        "  AND state <> 'open' AND (state <> 'corrected' OR task_closed_at IS NOT NULL)"
        "  AND coalesce(task_closed_at, answered_at, reported_at) < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def add_notice(connection: Any, correction_id: uuid.UUID, to: Recipient, now: datetime) -> int:
    """Store a notice; return its number. It waits for its system's address, or to be read and acknowledged."""
    number: int = await connection.fetchval(
        "INSERT INTO exchange.correction_notice"
        " (correction, client_id, department, records, created_at, next_attempt_at)"
        " VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
        correction_id,
        to.client_id,
        to.department,
        list(to.records),
        now,
    )
    return number


async def notices(
    connection: Any, client_id: str, *, unacknowledged: bool, after: int, limit: int
) -> list[Notice]:
    """Return notices to a system, in order, from the number after `after`."""
    rows = await connection.fetch(
        "SELECT n.id, n.correction, c.resource, c.field, n.records, n.created_at, n.acknowledged_at"
        " FROM exchange.correction_notice n JOIN exchange.correction_report c ON c.id = n.correction"
        " WHERE n.client_id = $1 AND n.id > $2 AND (NOT $3 OR n.acknowledged_at IS NULL) ORDER BY n.id LIMIT $4",
        client_id,
        after,
        unacknowledged,
        limit,
    )
    return [Notice(**{**row, "records": tuple(row["records"])}) for row in rows]


async def acknowledge(connection: Any, number: int, client_id: str, now: datetime) -> bytes | None:
    """Note that a system has seen a notice, and return whom it is about; None if it has none of that number.

    Then it need not be sent any more.
    """
    subject: bytes | None = await connection.fetchval(
        "UPDATE exchange.correction_notice n SET acknowledged_at = coalesce(acknowledged_at, $3),"
        " next_attempt_at = NULL, dead_at = NULL"
        " FROM exchange.correction_report c WHERE n.id = $1 AND n.client_id = $2 AND c.id = n.correction"
        " RETURNING c.subject",
        number,
        client_id,
        now,
    )
    return subject


def _correction(row: Any) -> Correction:
    return Correction(**{**row, "state": State(row["state"])})
