"""Work that goes on: also after the database was away."""

from __future__ import annotations

import asyncio
import logging

import pytest

from foundation.rounds import rounds

logger = logging.getLogger(__name__)


def test_a_round_that_finds_no_database_is_told_and_followed_by_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise ConnectionError
        if len(done) == 3:
            raise LookupError("what is no failure of the database ends the rounds")

    with pytest.raises(LookupError):
        asyncio.run(rounds(work, 0.001, logger, "work waits"))
    assert done == [0, 1, 2]
    assert [(each.message, each.levelname) for each in caplog.records] == [("work waits", "ERROR")]
