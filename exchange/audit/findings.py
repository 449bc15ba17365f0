"""Findings for auditors (table `exchange.audit_finding`): what was noticed about a client, for a person to see.

Whatever happens again while nobody has looked adds to the finding that stands, so that a list of findings stays short.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from exchange.registers.tables import metadata

audit_finding = Table(
    "audit_finding",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
    Column("last", TIMESTAMP(timezone=True), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("noted", TIMESTAMP(timezone=True)),
    Column("noted_by", Text),
)
Index(
    "audit_finding_open",
    audit_finding.c.kind,
    audit_finding.c.client,
    unique=True,
    postgresql_where=text("noted IS NULL"),
)
Index("audit_finding_since", audit_finding.c.since)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noticed.

    Args:
        client: id of the client that it is about.
        since: when it was noticed first; `last`: when it was last, `count` times by then.
        facts: of the last time; never identifiers or values.
        noted: when an auditor looked, and `noted_by` who.
    """

    id: uuid.UUID
    kind: str
    client: str
    since: datetime
    last: datetime
    count: int
    facts: Mapping[str, Any]
    noted: datetime | None
    noted_by: str | None


async def note(connection: Any, kind: str, client: str, facts: Mapping[str, Any], now: datetime) -> None:
    """Note something about a client.

    Args:
        connection: of asyncpg, or a pool, with the codec of `database.pool`.
        kind: such as `too-many-unknown`.
    """
    await connection.execute(
        "INSERT INTO exchange.audit_finding AS f (id, kind, client, since, last, count, facts)"
        " VALUES ($1, $2, $3, $4, $4, 1, $5) ON CONFLICT (kind, client) WHERE noted IS NULL"
        " DO UPDATE SET last = excluded.last, count = f.count + 1, facts = excluded.facts",
        uuid.uuid4(),
        kind,
        client,
        now,
        dict(facts),
    )


async def listed(connection: Any, *, everything: bool = False, limit: int = 200) -> list[Finding]:
    """Return findings, the latest first.

    Args:
        everything: those that an auditor has looked at, too.
    """
    rows = await connection.fetch(
        "SELECT id, kind, client, since, last, count, facts, noted, noted_by FROM exchange.audit_finding"
        " WHERE $1 OR noted IS NULL ORDER BY last DESC, id LIMIT $2",
        everything,
        limit,
    )
    return [Finding(*row) for row in rows]


async def look(connection: Any, finding_id: uuid.UUID, by: str, now: datetime) -> bool:
    """Note that an auditor looked; again changes nothing. False when there is no such finding."""
    done = await connection.fetchval(
        "UPDATE exchange.audit_finding SET noted = coalesce(noted, $2), noted_by = coalesce(noted_by, $3)"
        " WHERE id = $1 RETURNING 1",
        finding_id,
        now,
        by,
    )
    return done is not None
