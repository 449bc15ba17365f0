"""SQL of what live sources answered to rows of parts that are not whole yet (table `exchange.batch_live_answer`)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Table
from sqlalchemy.dialects.postgresql import BYTEA, UUID

from exchange.batches.tables import batch
from exchange.registers.tables import metadata

batch_live_answer = Table(
    "batch_live_answer",
    metadata,
    Column("batch_id", UUID, ForeignKey(batch.c.id), primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("sealed", BYTEA, nullable=False),
)


async def kept(connection: Any, batch_id: uuid.UUID, first: int, last: int) -> dict[int, bytes]:
    """Return row → what was kept of it, from a first to a last row."""
    rows = await connection.fetch(
        "SELECT row, sealed FROM exchange.batch_live_answer WHERE batch_id = $1 AND row BETWEEN $2 AND $3",
        batch_id,
        first,
        last,
    )
    return {row["row"]: row["sealed"] for row in rows}


async def keep(
    pool: Any, batch_id: uuid.UUID, holder: uuid.UUID, row: int, sealed: bytes, until: datetime
) -> bool:
    """Keep what was answered to a row while its batch is not over, and renew the lease; False: it is not ours to do.

    Of a batch that was paused or taken over it is kept all the same, so that the row is not asked about again.
    """
    async with pool.acquire() as connection, connection.transaction():
        # The lock on the batch keeps its end from missing what is kept here.
        ours: bool | None = await connection.fetchval(
            "UPDATE exchange.batch SET lease_until = CASE WHEN lease_holder = $2 AND state = 'running' THEN $3"
            " ELSE lease_until END WHERE id = $1 AND state IN ('accepted', 'running', 'paused')"
            " RETURNING coalesce(lease_holder = $2 AND state = 'running', false)",
            batch_id,
            holder,
            until,
        )
        if ours is None:
            return False
        await connection.execute(
            "INSERT INTO exchange.batch_live_answer (batch_id, row, sealed) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            batch_id,
            row,
            sealed,
        )
    return ours
