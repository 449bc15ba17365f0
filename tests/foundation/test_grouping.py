"""Requests of the same moment share one piece of work, and each gets its own result or the common failure."""

from __future__ import annotations

import asyncio

import pytest

from foundation.grouping import LARGEST_GROUP, Grouped


class Work:
    """Doubles numbers, one group at a time, when let."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.groups.append(numbers)
        self.begun.set()
        await self.let.wait()
        if -1 in numbers:
            raise ConnectionError("gone")
        return [2 * number for number in numbers]


def test_what_comes_in_during_one_group_makes_the_next() -> None:
    async def story() -> None:
        work = Work()
        grouped = Grouped(work)
        async with grouped.running():
            first = asyncio.ensure_future(grouped(1))
            await work.begun.wait()
            others = [asyncio.ensure_future(grouped(number)) for number in (2, 3, 4)]
            await asyncio.sleep(0)
            work.let.set()
            assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
        assert work.groups == [[1], [2, 3, 4]]

    asyncio.run(story())


def test_no_group_is_larger_than_the_limit() -> None:
    async def story() -> None:
        work = Work()
        work.let.set()
        grouped = Grouped(work)
        numbers = list(range(2 * LARGEST_GROUP + 1))
        async with grouped.running():
            assert await asyncio.gather(*map(grouped, numbers)) == [2 * number for number in numbers]
        assert max(map(len, work.groups)) == LARGEST_GROUP

    asyncio.run(story())


def test_a_failure_reaches_everybody_of_its_group_and_nobody_else() -> None:
    async def story() -> None:
        work = Work()
        work.let.set()
        grouped = Grouped(work)
        async with grouped.running():
            failed = await asyncio.gather(grouped(-1), grouped(5), return_exceptions=True)
            assert [type(error) for error in failed] == [ConnectionError, ConnectionError]
            assert await grouped(5) == 10

    asyncio.run(story())


def test_somebody_who_went_away_costs_the_others_nothing() -> None:
    async def story() -> None:
        work = Work()
        grouped = Grouped(work)
        async with grouped.running():
            leaving, staying = asyncio.ensure_future(grouped(1)), asyncio.ensure_future(grouped(2))
            await work.begun.wait()
            leaving.cancel()
            work.let.set()
            assert await staying == 4
            with pytest.raises(asyncio.CancelledError):
                await leaving

    asyncio.run(story())


def test_what_still_waits_at_the_end_is_done_first() -> None:
    async def story() -> None:
        work = Work()
        grouped = Grouped(work)
        async with grouped.running():
            waiting = asyncio.ensure_future(grouped(7))
            await asyncio.sleep(0)
            work.let.set()
        assert await waiting == 14

    asyncio.run(story())
