"""What the service does by itself about plans, and beside them.

It reminds, closes what expired, forgets what is old, verifies commitments, finds who is entitled, and tells others.
Safe with several processes: each round takes what is due by rows that others skip.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from exchange import forgetting
from exchange.commitments.commitment import verify_due
from exchange.entitlements import find
from exchange.outbox.deliver import deliver
from exchange.plans import cases, offer_states
from exchange.plans.plan import Planning
from foundation.unavailable import UNAVAILABLE
from foundation.webhooks.sending import Sender

logger = logging.getLogger(__name__)

LOOKS_EVERY_SECONDS = 2.0


async def see_to_plans(planning: Planning, sender: Sender) -> None:
    """Do all of it again and again, until cancelled. What fails is logged and tried again in the next round."""
    while True:
        now = datetime.now(UTC)
        for name, work in (
            ("remind", partial(cases.remind, planning.exchange, now)),
            ("expire", partial(offer_states.expire, planning.exchange.pool, now)),
            ("verify", partial(verify_due, planning, now)),
            ("entitle", partial(find.go_on, planning.exchange, now)),
            ("forget", partial(forgetting.forget, planning.exchange, now)),
            ("deliver", partial(deliver, planning.exchange, sender, now)),
        ):
            await _do(name, work)
        await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def _do(name: str, work: Callable[[], Awaitable[int]]) -> None:
    try:
        await work()
    except UNAVAILABLE as error:
        logger.error("plans wait", extra={"step": name, "error": type(error).__name__})
    except Exception:  # one step must not hold up the others, and somebody must see it
        logger.exception("a round of plans failed", extra={"step": name})
