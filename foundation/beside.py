"""Work without an end beside what a service answers: what stops it is told, and it begins again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn

from prometheus_client import Counter

from foundation.telemetry import METRICS

BEGINS_AGAIN_SECONDS: Final = 5.0

STOPPED = Counter(
    "zhengtong_work_stopped_total",
    "How often work beside the requests was stopped by an error that it does not know",
    ["work"],
    registry=METRICS,
)

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def beside(
    name: str, work: Callable[[], Awaitable[object]], pause: float = BEGINS_AGAIN_SECONDS
) -> AsyncIterator[None]:
    """Work beside the block until it ends.

    The work itself sees to the failures that it knows, such as a database that is away. Any other is an error of ours:
    it is logged whole and counted, and must not end the work unseen while requests are still answered.

    Args:
        name: of the work, for the log and the metric.
        work: has no end of its own; called again after it was stopped.
        pause: seconds before it begins again.
    """
    task = asyncio.create_task(_kept_up(name, work, pause))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _kept_up(name: str, work: Callable[[], Awaitable[object]], pause: float) -> NoReturn:
    while True:
        try:
            await work()
            logger.error("work ended that has no end", extra={"work": name})
        except Exception:
            logger.exception("work was stopped", extra={"work": name})
        STOPPED.labels(name).inc()
        await asyncio.sleep(pause)
