"""Requests that run at the same moment share one round trip to the database.

While one group is on its way, the next gathers. Nobody waits for company: a request alone makes a group of one. So
under load a round trip, or a commit, is paid once for all that came in during the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_GROUP = 256


class Grouped(Generic[Item, Result]):
    """Does work for many callers in groups.

    Args:
        work: takes items and returns their results, in step. What it raises, every caller of the group gets.
    """

    def __init__(self, work: Callable[[list[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._wake = asyncio.Event()
        self._closing = False

    async def __call__(self, item: Item) -> Result:
        """Return the result for one item."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        self._wake.set()
        return await done

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the task that does the work; on leaving, what still waits is done first."""
        task = asyncio.create_task(self._work_until_closed())
        try:
            yield
        finally:
            self._closing = True
            self._wake.set()
            await task

    async def _work_until_closed(self) -> None:
        while True:
            await self._wake.wait()
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if group:
                await self._do(group)
            if not self._waiting:
                if self._closing:
                    return
                self._wake.clear()

    async def _do(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 -- handed to every request that waits for it
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
        else:
            for (_, done), result in zip(group, results, strict=True):
                if not done.done():
                    done.set_result(result)
