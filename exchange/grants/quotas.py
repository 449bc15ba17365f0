"""Quotas of grants, counted exactly enough by several processes at once.

One row of `exchange.grant_use` counts for all processes what is used of a grant in a span of time. A process takes a
little in advance from it, at most a sixteenth of what is left and never more than 64, and uses that up without asking
again. So the quota is never passed, whoever counts; near its end every use is counted by itself; and what a process
took and does not use it gives back after a quarter of a minute. One that dies keeps what it took: at most that
sixteenth is then lost until the span is over.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exchange.grants import tables
from exchange.grants.grant import Grant
from foundation.civil import civil_date, day_begins

LARGEST_ADVANCE = 64
IDLE_SECONDS = 15


@dataclass(slots=True)
class _Taken:
    """What a process took in advance of one quota.

    Args:
        left: taken and not used yet.
        room: what nobody had taken by the last look; None before the first.
        moved: when it was last used or taken, by the monotonic clock.
    """

    left: int = 0
    room: int | None = None
    moved: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quotas:
    """Counts the use of grants. One per process.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._taken: dict[tuple[uuid.UUID, str, datetime], _Taken] = {}

    async def full_until(self, grant: Grant, now: datetime, count: int) -> datetime | None:
        """Count the use of a grant; None when there is room for it, else when there will be."""
        if grant.quota_per_minute is not None:
            begins = now.replace(second=0, microsecond=0)
            if not await self._use(grant.id, "minute", begins, count, grant.quota_per_minute):
                return begins + timedelta(minutes=1)
        if grant.quota_per_day is not None:
            begins = day_begins(civil_date(now))
            if not await self._use(grant.id, "day", begins, count, grant.quota_per_day):
                return begins + timedelta(days=1)
        return None

    async def give_back(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """Give back what was taken and has not been used for a while; forget spans that are over."""
        for key, taken in list(self._taken.items()):
            if time.monotonic() - taken.moved < idle_seconds or taken.lock.locked():
                continue
            async with taken.lock:
                back, taken.left = taken.left, 0
                if back:
                    await tables.give_back(self._pool, *key, back)
                if time.monotonic() - taken.moved >= idle_seconds:
                    del self._taken[key]

    async def _use(self, grant_id: uuid.UUID, span: str, begins: datetime, count: int, quota: int) -> bool:
        key = (grant_id, span, begins)
        taken = self._taken.get(key)
        if taken is None:
            taken = self._taken[key] = _Taken()
        taken.moved = time.monotonic()
        if taken.left >= count and not taken.lock.locked():
            taken.left -= count
            return True
        async with taken.lock:
            if taken.left >= count:
                taken.left -= count
                return True
            needed = count - taken.left
            advance = min(LARGEST_ADVANCE, (quota if taken.room is None else taken.room) // 16)
            for more in sorted({advance, 0}, reverse=True):
                used = await tables.use(self._pool, grant_id, span, begins, needed + more, quota)
                if used is not None:
                    taken.left = taken.left + needed + more - count
                    taken.room = quota - used
                    return True
            taken.room = 0
            return False
