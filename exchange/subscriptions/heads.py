"""How far feeds have come, for many that wait for their next events at once."""

from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager
from typing import Any

from exchange.subscriptions import tables
from foundation.grouping import Grouped


class Heads:
    """Heads of feeds, asked for by many that wait: these share round trips (`Grouped`). One per process."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._grouped: Grouped[uuid.UUID, int] = Grouped(self._read)

    async def of(self, subscription_id: uuid.UUID) -> int:
        """Return the sequence of the newest event of a feed; 0 for none."""
        return await self._grouped(subscription_id)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run the task that does the work."""
        return self._grouped.running()

    async def _read(self, wanted: list[uuid.UUID]) -> list[int]:
        found = await tables.heads(self._pool, wanted)
        return [found.get(each, 0) for each in wanted]
