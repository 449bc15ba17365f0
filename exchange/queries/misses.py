"""Misses: subjects that a client asked about and that are not known, or bear another name than was claimed.

Who tries identifiers out, or names, misses far more often than who has people in front of them. Each subject counts
once an hour, in the database, so for all processes together; a process that has not seen the count itself knows of it
within a second. A client that missed too often gets no answer at all until the hour is over: were only its misses
refused, the refusal would tell them. Auditors get a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from exchange.audit import findings
from exchange.registers.tables import metadata
from foundation.beside import beside
from foundation.civil import CHINA
from foundation.errors import DomainError
from foundation.language import _
from foundation.unavailable import UNAVAILABLE

LOOKS_EVERY_SECONDS = 1.0
FINDING = "too-many-unknown"

missed_subject = Table(
    "missed_subject",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("hour", TIMESTAMP(timezone=True), primary_key=True),
    Column("subject", BYTEA, primary_key=True),
    Index("missed_subject_hour", "hour"),
)

missed = Table(
    "missed",
    metadata,
    Column("hour", TIMESTAMP(timezone=True), primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("subjects", Integer, nullable=False),
)

_COUNT = """
WITH fresh AS (
    INSERT INTO exchange.missed_subject (client_id, hour, subject) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING client_id, hour
)
INSERT INTO exchange.missed AS m (client_id, hour, subjects) SELECT client_id, hour, 1 FROM fresh
ON CONFLICT (hour, client_id) DO UPDATE SET subjects = m.subjects + 1
RETURNING subjects
"""

logger = logging.getLogger(__name__)


class TooManyUnknown(DomainError):
    code = "too-many-unknown"


class Misses:
    """Counts misses and knows who missed too often. One per process.

    Args:
        pool: of asyncpg.
        limit: subjects an hour that a client may miss.
    """

    def __init__(self, pool: Any, limit: int) -> None:
        self._pool = pool
        self._limit = limit
        self._over: dict[str, datetime] = {}

    def require_few(self, client_id: str, now: datetime) -> None:
        """Raise TooManyUnknown when a client has missed too often within the hour."""
        if self._over and self._over.get(client_id) == _hour(now):
            raise _too_many(now)

    async def note(self, client_id: str, subject: bytes, now: datetime) -> None:
        """Count a miss before it is answered, so that many at once do not slip through.

        Raises:
            TooManyUnknown: it is one too many.
        """
        hour = _hour(now)
        missed_by_now = await self._pool.fetchval(_COUNT, client_id, hour, subject)
        if missed_by_now is None or missed_by_now <= self._limit:
            return
        self._over[client_id] = hour
        facts = {"hour": hour.isoformat(), "limit": self._limit}
        await findings.note(self._pool, FINDING, client_id, facts, now)
        raise _too_many(now)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow what other processes count until the block ends."""
        async with beside("misses", self._follow_forever):
            yield

    async def _follow_forever(self) -> None:
        forgotten = None
        while True:
            try:
                hour = _hour(datetime.now(UTC))
                rows = await self._pool.fetch(
                    "SELECT client_id FROM exchange.missed WHERE hour = $1 AND subjects > $2",
                    hour,
                    self._limit,
                )
                self._over = {client_id: hour for (client_id,) in rows}
                if forgotten != hour:
                    await self._forget(hour - timedelta(hours=1))
                    forgotten = hour
            except UNAVAILABLE as error:
                logger.error("misses cannot be followed", extra={"error": type(error).__name__})
            await asyncio.sleep(LOOKS_EVERY_SECONDS)

    async def _forget(self, before: datetime) -> None:
        await self._pool.execute("DELETE FROM exchange.missed_subject WHERE hour < $1", before)
        await self._pool.execute("DELETE FROM exchange.missed WHERE hour < $1", before)


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def _too_many(now: datetime) -> TooManyUnknown:
    until = (_hour(now) + timedelta(hours=1)).astimezone(CHINA)
    return TooManyUnknown(
        _(
            "too many subjects that were asked about are not known, or have other names; ask again from {until}"
        ),
        until=until.isoformat(timespec="minutes"),
    )
