"""When each source was last brought in, for what an answer says of its freshness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

REMEMBERED_SECONDS = 30

# A run that a gate stopped brought nothing in; one that found all as it was did confirm it. A replay is no delivery.
_LAST = """
SELECT source, max(finished_at) FROM exchange.ingest_run
WHERE finished_at IS NOT NULL AND NOT coalesce((report ->> 'stopped')::boolean, false)
  AND NOT starts_with(origin, 'quarantine/')
GROUP BY source
"""


class Freshness:
    """Remembers for half a minute when each source was last brought in. One per process.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._times: Mapping[str, str] = {}
        self._read: float | None = None
        self._reading = asyncio.Lock()

    async def of(self, sources: Iterable[str]) -> dict[str, str]:
        """Return source → when a run of it last came to its end (RFC 3339), for those that a run brought in."""
        if self._read is None or time.monotonic() - self._read > REMEMBERED_SECONDS:
            await self._look()
        return {source: self._times[source] for source in sources if source in self._times}

    async def _look(self) -> None:
        if self._read is not None and self._reading.locked():
            return  # somebody looks already; what is remembered does meanwhile
        async with self._reading:
            if self._read is not None and time.monotonic() - self._read <= REMEMBERED_SECONDS:
                return
            rows = await self._pool.fetch(_LAST)
            self._times = {source: at.isoformat(timespec="seconds") for source, at in rows}
            self._read = time.monotonic()
