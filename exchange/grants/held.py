"""The grants as the hot path reaches them, and the counting of their use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from exchange.grants import tables
from exchange.grants.grant import Grant
from foundation.civil import CHINA, civil_date, day_begins
from foundation.errors import DomainError
from foundation.language import _


class QuotaExceeded(DomainError):
    code = "quota-exceeded"


class Grants:
    """The grants of all clients. One per process.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def of(self, client_id: str, resource: str) -> Sequence[Grant]:
        """Return the grants of a client for a resource that nobody has ended, the oldest first."""
        return await tables.standing(self._pool, client_id, resource)

    async def take(self, grants: Iterable[Grant], now: datetime, count: int = 1) -> Grant:
        """Count one use, or `count`, of the first of these grants whose quotas leave room for it; return that grant.

        What was taken stays taken, whatever becomes of the request.

        Raises:
            QuotaExceeded: none has room; says when the first has.
        """
        full: datetime | None = None
        for grant in grants:
            again = await self._full_until(grant, now, count)
            if again is None:
                return grant
            full = again if full is None else min(full, again)
        assert full is not None, "at least one grant is asked for"
        raise QuotaExceeded(
            _("the quota of the grant is used up until {until}"),
            until=full.astimezone(CHINA).isoformat(timespec="minutes"),
        )

    async def _full_until(self, grant: Grant, now: datetime, count: int) -> datetime | None:
        if grant.quota_per_minute is not None:
            begins = now.replace(second=0, microsecond=0)
            if not await self._use(grant, "minute", begins, count, grant.quota_per_minute):
                return begins + timedelta(minutes=1)
        if grant.quota_per_day is not None:
            begins = day_begins(civil_date(now))
            if not await self._use(grant, "day", begins, count, grant.quota_per_day):
                return begins + timedelta(days=1)
        return None

    async def _use(self, grant: Grant, span: str, begins: datetime, count: int, quota: int) -> bool:
        return await tables.use(self._pool, grant.id, span, begins, count, quota) is not None
