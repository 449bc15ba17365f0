"""Work beside the requests goes on after errors that it does not know, and ends with the block."""

from __future__ import annotations

import asyncio
import logging

import pytest

from foundation.beside import STOPPED, beside


def stopped(name: str) -> float:
    return float(STOPPED.labels(name)._value.get())


@pytest.mark.parametrize("fails", [True, False])
def test_work_that_stops_is_told_and_begins_again(caplog: pytest.LogCaptureFixture, fails: bool) -> None:
    begun: list[int] = []
    third = asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) == 3:
            third.set()
            await asyncio.Event().wait()
        if fails:
            raise KeyError("nobody foresaw it")

    async def serve() -> None:
        async with beside("testing", work, pause=0):
            await asyncio.wait_for(third.wait(), 5)

    before = stopped("testing")
    with caplog.at_level(logging.ERROR):
        asyncio.run(serve())
    assert begun == [0, 1, 2]
    assert stopped("testing") == before + 2
    told = [record for record in caplog.records if record.name == "foundation.beside"]
    assert [record.__dict__["work"] for record in told] == ["testing", "testing"]
    assert all(bool(record.exc_info) is fails for record in told)


def test_work_is_cancelled_when_the_block_ends() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def serve() -> None:
        async with beside("testing", work):
            await asyncio.sleep(0)
        assert ended == ["cancelled"]

    asyncio.run(serve())


def test_what_the_block_raises_is_raised() -> None:
    async def serve() -> None:
        async with beside("testing", asyncio.Event().wait):
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        asyncio.run(serve())
