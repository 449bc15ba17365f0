"""Forgetting what plans and messages keep sealed, once its time is over; what proves it stays.

Of a plan these are the identifiers, the inputs and the answers, and what people were asked and released. The access
records with the digests of the answers, what became of each material, and signed commitments stay: an answer that a
department filed verifies as before. Of a message to another system its text goes, and that it arrived stays.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exchange.outbox import tables as outbox
from exchange.plans import tables
from exchange.ports import Exchange

AT_ONCE = 500


async def forget(exchange: Exchange, now: datetime) -> int:
    """Forget what is older than the setting says; return of how many plans and messages.

    A plan keeps what somebody still needs: whose offers are open, whose commitments are to be verified, or whose case
    is closed and not archived yet. Safe in several processes at once, and after dying at any point.
    """
    before = now - timedelta(days=exchange.settings.case_content_days)
    done = 0
    for work in (tables.forget, outbox.forget):
        while True:
            async with exchange.pool.acquire() as connection, connection.transaction():
                count = await work(connection, before, AT_ONCE)
            done += count
            if count < AT_ONCE:
                break
    return done
