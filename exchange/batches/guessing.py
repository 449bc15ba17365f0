"""Whether batches try identifiers out, or names: who has people in front of them misses few of them.

A large batch misses many subjects and is no guessing, and many small ones may be. So what counts is the share of a
batch that is missed: not known, or of another name than claimed. What batches beyond that share miss adds up over the
client's day, by the clock in China. It stops nothing, since a batch is not answered at once to who tries; it becomes a
finding for auditors.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Table, Text

from exchange.audit import findings
from exchange.batches.batch import Batch
from exchange.registers.tables import metadata
from foundation.civil import civil_date
from foundation.settings import Settings

FINDING = "batch-mostly-unknown"

batch_missed = Table(
    "batch_missed",
    metadata,
    Column("day", Date, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("subjects", BigInteger, nullable=False),
)


async def look(connection: Any, batch: Batch, settings: Settings, now: datetime) -> None:
    """Count what a batch missed, in the transaction that ends it, and note a finding where that is too much.

    Args:
        connection: of asyncpg.
    """
    missed, asked = batch.counts.missed, batch.counts.answered + batch.counts.unknown
    if missed * 100 <= asked * settings.batch_misses_percent:
        return
    today = civil_date(now)
    await connection.execute("DELETE FROM exchange.batch_missed WHERE day < $1", today)
    of_today = await connection.fetchval(
        "INSERT INTO exchange.batch_missed AS m (day, client_id, subjects) VALUES ($1, $2, $3)"
        " ON CONFLICT (day, client_id) DO UPDATE SET subjects = m.subjects + excluded.subjects RETURNING subjects",
        today,
        batch.client_id,
        missed,
    )
    if of_today >= settings.batch_misses:
        facts = {"batch": str(batch.id), "missed": missed, "asked": asked, "missed_today": of_today}
        await findings.note(connection, FINDING, batch.client_id, facts, now)
