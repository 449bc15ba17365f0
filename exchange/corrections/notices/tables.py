"""SQL of where notices of wrong values go, and how far each came (schema `exchange`)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from exchange.registers.tables import metadata

correction_address = Table(
    "correction_address",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("set_at", TIMESTAMP(timezone=True), nullable=False),
)

# A notice is not sent before the earlier ones to the same system about the same subject have arrived or lie dead.
_TAKE = """
UPDATE exchange.correction_notice n SET next_attempt_at = $2, attempts = n.attempts + 1
FROM exchange.correction_address a, exchange.correction_report c
WHERE a.client_id = n.client_id AND c.id = n.correction AND n.id IN (
    SELECT o.id FROM exchange.correction_notice o
    JOIN exchange.correction_address w ON w.client_id = o.client_id
    JOIN exchange.correction_report r ON r.id = o.correction
    WHERE o.next_attempt_at <= $1 AND NOT EXISTS (
        SELECT FROM exchange.correction_notice b JOIN exchange.correction_report s ON s.id = b.correction
        WHERE b.client_id = o.client_id AND s.subject = r.subject AND b.id < o.id AND b.next_attempt_at IS NOT NULL)
    ORDER BY o.next_attempt_at, o.id LIMIT $3 FOR UPDATE OF o SKIP LOCKED)
RETURNING n.id, n.client_id, a.url, n.correction, c.resource, c.field, n.records, n.created_at,
    n.attempts - 1 AS attempts
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to be sent now; `attempts` before this one."""

    id: int
    client_id: str
    url: str
    correction: uuid.UUID
    resource: str
    field: str
    records: tuple[uuid.UUID, ...]
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Dead:
    """A notice that was given up."""

    id: int
    client_id: str
    correction: uuid.UUID
    attempts: int
    dead_at: datetime
    last_failure: str | None


async def address_of(connection: Any, client_id: str) -> str | None:
    """Return where notices to a system go; None: they are read."""
    found: str | None = await connection.fetchval(
        "SELECT url FROM exchange.correction_address WHERE client_id = $1", client_id
    )
    return found


async def set_address(connection: Any, client_id: str, url: str, now: datetime) -> None:
    """Send to an address from now on; whatever has not arrived and was not acknowledged is sent there, too."""
    await connection.execute(
        "INSERT INTO exchange.correction_address (client_id, url, set_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (client_id) DO UPDATE SET url = excluded.url, set_at = excluded.set_at",
        client_id,
        url,
        now,
    )
    await connection.execute(
        "UPDATE exchange.correction_notice SET next_attempt_at = $2, attempts = 0, dead_at = NULL"
        " WHERE client_id = $1 AND acknowledged_at IS NULL AND delivered_at IS NULL",
        client_id,
        now,
    )


async def drop_address(connection: Any, client_id: str) -> bool:
    """Send a system nothing any more; False if there was no address."""
    done = await connection.execute("DELETE FROM exchange.correction_address WHERE client_id = $1", client_id)
    return bool(done == "DELETE 1")


async def take_due(connection: Any, now: datetime, again: datetime, limit: int) -> list[Due]:
    """Return notices that are due, and put them off to `again`: who dies while sending loses none, it is sent twice."""
    rows = await connection.fetch(_TAKE, now, again, limit)
    return sorted((Due(**{**row, "records": tuple(row["records"])}) for row in rows), key=lambda due: due.id)


async def delivered(connection: Any, number: int, now: datetime) -> None:
    """Note that a notice arrived."""
    await connection.execute(
        "UPDATE exchange.correction_notice SET delivered_at = $2, next_attempt_at = NULL, dead_at = NULL,"
        " last_failure = NULL WHERE id = $1",
        number,
        now,
    )


async def failed(connection: Any, number: int, failure: str, again: datetime | None, now: datetime) -> None:
    """Note that a notice did not arrive; without another attempt it lies dead until somebody sees to it.

    One that was acknowledged meanwhile, by whoever read it, is neither sent again nor dead.
    """
    await connection.execute(
        "UPDATE exchange.correction_notice SET last_failure = $2,"
        " next_attempt_at = CASE WHEN acknowledged_at IS NULL THEN $3::timestamptz END,"
        " dead_at = CASE WHEN acknowledged_at IS NULL AND $3::timestamptz IS NULL THEN $4::timestamptz END"
        " WHERE id = $1",
        number,
        failure,
        again,
        now,
    )


async def revive(connection: Any, number: int, client_id: str | None, now: datetime) -> bool:
    """Let a dead notice be tried again, counting from the beginning; False if it is not dead, or another system's.

    Args:
        client_id: whose it must be; None: anybody's.
    """
    done = await connection.execute(
        "UPDATE exchange.correction_notice SET next_attempt_at = $3, attempts = 0, dead_at = NULL"
        " WHERE id = $1 AND dead_at IS NOT NULL AND ($2::text IS NULL OR client_id = $2)",
        number,
        client_id,
        now,
    )
    return bool(done == "UPDATE 1")


async def revive_all(connection: Any, client_id: str | None, now: datetime) -> int:
    """Let all dead notices be tried again, of one system or of all (None); return how many."""
    rows = await connection.fetch(
        "UPDATE exchange.correction_notice SET next_attempt_at = $2, attempts = 0, dead_at = NULL"
        " WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR client_id = $1) RETURNING 1",
        client_id,
        now,
    )
    return len(rows)


async def dead(connection: Any, client_id: str | None, limit: int) -> list[Dead]:
    """Return notices that were given up, of one system or of all (None), the latest first."""
    rows = await connection.fetch(
        "SELECT id, client_id, correction, attempts, dead_at, last_failure FROM exchange.correction_notice"
        " WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR client_id = $1) ORDER BY dead_at DESC, id LIMIT $2",
        client_id,
        limit,
    )
    return [Dead(**row) for row in rows]
