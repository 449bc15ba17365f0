"""SQL of sources that are asked live (table `exchange.live_source`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from exchange.registers.tables import metadata
from exchange.relaying.source import Kind, LiveSource, read_keys

live_source = Table(
    "live_source",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("jwks", JSONB, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("client_id", Text),
    Column("remote_resource", Text),
    Column("registered_by", Text, nullable=False),
    Column("registered_at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("kind IN ('department', 'cascade')", name="live_source_kind"),
    CheckConstraint("kind <> 'cascade' OR client_id IS NOT NULL", name="live_source_client"),
)

_PUT = """
INSERT INTO exchange.live_source (resource, kind, department, address, jwks, timeout_ms, client_id, remote_resource,
                                  registered_by, registered_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9, $10)
ON CONFLICT (resource) DO UPDATE SET
    kind = excluded.kind, department = excluded.department, address = excluded.address, jwks = excluded.jwks,
    timeout_ms = excluded.timeout_ms, client_id = excluded.client_id, remote_resource = excluded.remote_resource,
    registered_by = excluded.registered_by, registered_at = excluded.registered_at
"""

_ALL = """
SELECT resource, kind, department, address, jwks::text AS jwks, timeout_ms, client_id, remote_resource
FROM exchange.live_source ORDER BY resource
"""


async def put(pool: Any, source: LiveSource, jwks: Mapping[str, Any], by: str, now: datetime) -> None:
    """Register a source in the place of the one before."""
    await pool.execute(
        _PUT,
        source.resource,
        source.kind.value,
        source.department,
        source.address,
        orjson.dumps(jwks).decode(),
        source.timeout_ms,
        source.client_id,
        source.remote_resource,
        by,
        now,
    )


async def end(pool: Any, resource: str) -> bool:
    """Let a resource be looked up here again; False when it was not live."""
    done = await pool.execute("DELETE FROM exchange.live_source WHERE resource = $1", resource)
    return bool(done == "DELETE 1")


async def all_sources(pool: Any) -> dict[str, LiveSource]:
    """Return all sources by their resource."""
    return {
        row["resource"]: LiveSource(
            resource=row["resource"],
            kind=Kind(row["kind"]),
            department=row["department"],
            address=row["address"],
            keys=read_keys(orjson.loads(row["jwks"])),
            timeout_ms=row["timeout_ms"],
            client_id=row["client_id"],
            remote_resource=row["remote_resource"],
        )
        for row in await pool.fetch(_ALL)
    }
