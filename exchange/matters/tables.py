"""SQL of matters (table `exchange.matter`): every version of a description; one of each code is published at most."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from exchange.registers.tables import metadata

matter = Table(
    "matter",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
)
Index("matter_published", matter.c.code, unique=True, postgresql_where=text("state = 'published'"))
Index("matter_department", matter.c.department)


async def put_draft(connection: Any, document: Mapping[str, Any], changed_by: str, now: datetime) -> bool:
    """Store a version as draft, or put another text in place of a draft; False where that version stands already.

    Args:
        connection: of asyncpg.
    """
    found = await connection.fetchval(
        "INSERT INTO exchange.matter AS m (code, version, state, department, document, changed_at, changed_by)"
        " VALUES ($1, $2, 'draft', $3, $4::jsonb, $5, $6) ON CONFLICT (code, version) DO UPDATE"
        " SET document = excluded.document, department = excluded.department, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by WHERE m.state = 'draft' RETURNING 1",
        document["code"],
        document["version"],
        document["department"],
        document,
        now,
        changed_by,
    )
    return found is not None


async def publish(connection: Any, code: str, version: int, changed_by: str, now: datetime) -> bool:
    """Publish a draft, and retire what was published before; False where there is no such draft."""
    await connection.execute(
        "UPDATE exchange.matter SET state = 'retired', changed_at = $3, changed_by = $4"
        " WHERE code = $1 AND state = 'published' AND EXISTS"
        " (SELECT FROM exchange.matter d WHERE d.code = $1 AND d.version = $2 AND d.state = 'draft')",
        code,
        version,
        now,
        changed_by,
    )
    found = await connection.fetchval(
        "UPDATE exchange.matter SET state = 'published', changed_at = $3, changed_by = $4"
        " WHERE code = $1 AND version = $2 AND state = 'draft' RETURNING 1",
        code,
        version,
        now,
        changed_by,
    )
    return found is not None


async def published(connection: Any, code: str) -> dict[str, Any] | None:
    """Return the published description of a matter."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT document FROM exchange.matter WHERE code = $1 AND state = 'published'", code
    )
    return found


async def version(connection: Any, code: str, number: int) -> dict[str, Any] | None:
    """Return one version of a description, whatever its state."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT document FROM exchange.matter WHERE code = $1 AND version = $2", code, number
    )
    return found
