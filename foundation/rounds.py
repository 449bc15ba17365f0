"""Work that is done again and again beside what a service answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from foundation.unavailable import UNAVAILABLE


async def rounds(
    work: Callable[[], Awaitable[object]], seconds: float, logger: logging.Logger, waiting: str
) -> NoReturn:
    """Work every so many seconds until cancelled, the first time after as many.

    While the database is away, `waiting` is logged as what waits for it.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except UNAVAILABLE as error:
            logger.error(waiting, extra={"error": type(error).__name__})
