"""The grants as the hot path reaches them: held in memory, followed, and not trusted when the last look is too old.

Each process holds all grants that nobody has ended. It looks for changes every second, and at once when another process
says that there are some (`NOTIFY`). What is held is as of the last look; where that is older than two seconds the
database is asked instead. So a change that is committed is in effect in every process two seconds later, whatever is
lost or slow in between, and if the database is away nothing is decided by what was once granted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.grants import tables
from exchange.grants.grant import Grant
from exchange.grants.quotas import Quotas
from foundation.beside import beside
from foundation.civil import CHINA
from foundation.errors import DomainError
from foundation.language import _
from foundation.unavailable import UNAVAILABLE

TRUSTED_SECONDS = 2.0
LOOKS_EVERY_SECONDS = 1.0
FORGETS_EVERY_SECONDS = 600.0

logger = logging.getLogger(__name__)


class QuotaExceeded(DomainError):
    code = "quota-exceeded"


class Grants:
    """The grants of all clients. One per process.

    Args:
        pool: of asyncpg; following takes one of its connections.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._quotas = Quotas(pool)
        self._by_client: dict[tuple[str, str], tuple[Grant, ...]] = {}
        self._seen = -1
        self._as_of = float("-inf")
        self._looking = asyncio.Lock()
        self._wake = asyncio.Event()

    async def of(self, client_id: str, resource: str) -> Sequence[Grant]:
        """Return the grants of a client for a resource that nobody has ended, the oldest first."""
        if time.monotonic() - self._as_of > TRUSTED_SECONDS:
            return await tables.standing(self._pool, client_id, resource)
        return self._by_client.get((client_id, resource), ())

    async def take(self, grants: Iterable[Grant], now: datetime, count: int = 1) -> Grant:
        """Count one use, or `count`, of the first of these grants whose quotas leave room for it; return that grant.

        What was taken stays taken, whatever becomes of the request.

        Raises:
            QuotaExceeded: none has room; says when the first has.
        """
        full: datetime | None = None
        for grant in grants:
            again = await self._quotas.full_until(grant, now, count)
            if again is None:
                return grant
            full = again if full is None else min(full, again)
        assert full is not None, "at least one grant is asked for"
        raise QuotaExceeded(
            _("the quota of the grant is used up until {until}"),
            until=full.astimezone(CHINA).isoformat(timespec="minutes"),
        )

    async def look(self) -> None:
        """Take in what has changed. Whoever changes grants calls it, so that the same process knows at once."""
        async with self._pool.acquire() as connection:
            await self._look(connection)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Hold the grants and follow their changes until the block ends."""
        await self.look()
        try:
            async with beside("grants", self._follow_forever):
                yield
        finally:
            with contextlib.suppress(*UNAVAILABLE):
                await self._quotas.give_back(0)

    async def _follow_forever(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._follow(connection)
            except UNAVAILABLE as error:
                logger.error("grants cannot be followed", extra={"error": type(error).__name__})
            await asyncio.sleep(LOOKS_EVERY_SECONDS)

    async def _follow(self, connection: Any) -> None:
        await connection.add_listener(tables.CHANNEL, self._heard)
        try:
            forgets_at = time.monotonic()
            while True:
                self._wake.clear()
                await self._look(connection)
                await self._quotas.give_back()
                if time.monotonic() >= forgets_at:
                    await tables.forget_use(connection, datetime.now(UTC) - timedelta(hours=1))
                    forgets_at = time.monotonic() + FORGETS_EVERY_SECONDS
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOKS_EVERY_SECONDS)
        finally:
            with contextlib.suppress(*UNAVAILABLE):
                await connection.remove_listener(tables.CHANNEL, self._heard)

    def _heard(self, *_said: object) -> None:
        self._wake.set()

    async def _look(self, connection: Any) -> None:
        async with self._looking:
            # What is held afterwards is as of before the question was sent.
            begun = time.monotonic()
            if await tables.last_change(connection) > self._seen or self._seen < 0:
                changed = await tables.changed_since(connection, self._seen)
                self._take_in(changed)
            self._as_of = begun

    def _take_in(self, changed: Sequence[tuple[int, Grant]]) -> None:
        gone: dict[tuple[str, str], set[uuid.UUID]] = {}
        come: dict[tuple[str, str], list[Grant]] = {}
        for number, grant in changed:
            key = (grant.client_id, grant.resource)
            gone.setdefault(key, set()).add(grant.id)
            if grant.ended_at is None:
                come.setdefault(key, []).append(grant)
            self._seen = max(self._seen, number)
        for key, ids in gone.items():
            stay = [grant for grant in self._by_client.get(key, ()) if grant.id not in ids]
            held = sorted([*stay, *come.get(key, ())], key=lambda grant: (grant.granted_at, grant.id))
            if held:
                self._by_client[key] = tuple(held)
            else:
                self._by_client.pop(key, None)
        self._seen = max(self._seen, 0)
