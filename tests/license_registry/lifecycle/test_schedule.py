"""What a day brings: each licence lapses, comes back and is reminded of on its day, once, and with its signed change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from foundation.settings import Settings
from license_registry import tables
from license_registry.issuing.issue import issue
from license_registry.lifecycle import schedule
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.states import Actor, Operation, State
from license_registry.ports import Registry
from tests.license_registry.conftest import AUTHORITY, NOW, registry, request

LAST = date(2025, 8, 31)
"""Last day of validity, far enough from NOW, 30 June 2025 at noon in China."""
BEFORE_MIDNIGHT = datetime(2025, 8, 31, 15, 59, 59, tzinfo=UTC)
AFTER_MIDNIGHT = datetime(2025, 8, 31, 16, 0, 0, tzinfo=UTC)


def told(settings: Settings, address: str, story: Callable[[Registry], Awaitable[None]]) -> None:
    async def work() -> None:
        async with registry(settings, address) as ports:
            await story(ports)

    asyncio.run(work())


async def made(ports: Registry, last: date | None = LAST) -> str:
    until = None if last is None else last.isoformat()
    return (await issue(ports, AUTHORITY, request(valid_until=until), NOW)).licence.identifier


async def state(ports: Registry, identifier: str) -> State:
    found = await tables.find(ports.pool, identifier)
    assert found is not None
    return found.state


async def events(ports: Registry, kind: str) -> int:
    count = "SELECT count(*) FROM license_registry.event WHERE kind = $1"
    found: int = await ports.pool.fetchval(count, kind)
    return found


def test_a_licence_lapses_when_its_last_day_is_over_in_china_and_only_once(
    settings: Settings, database_url: str
) -> None:
    async def story(ports: Registry) -> None:
        valid, endless, suspended, ended = [await made(ports, last) for last in (LAST, None, LAST, LAST)]
        await change_state(ports, AUTHORITY, suspended, Wanted(Operation.SUSPEND, "查处"), NOW)
        cancel = Wanted(Operation.CANCEL, "申请注销", State.CANCELLED)
        await change_state(ports, AUTHORITY, ended, cancel, NOW)
        assert await schedule.expire(ports, BEFORE_MIDNIGHT) == 0
        assert await schedule.expire(ports, AFTER_MIDNIGHT) == 2
        assert await schedule.expire(ports, AFTER_MIDNIGHT) == 0
        assert [await state(ports, each) for each in (valid, endless, suspended, ended)] == [
            State.EXPIRED,
            State.VALID,
            State.EXPIRED,
            State.CANCELLED,
        ]
        changes = await life_tables.changes_of(ports.pool, [suspended])
        assert [(each.sequence, each.operation, each.actor) for each in changes] == [
            (1, Operation.SUSPEND, Actor.ISSUER),
            (2, Operation.EXPIRE, Actor.SCHEDULER),
        ]

    told(settings, database_url, story)


def test_more_than_a_batch_lapses_and_a_death_in_between_loses_nothing(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "BATCH", 3)

    class Died(BaseException):
        pass

    async def story(ports: Registry) -> None:
        identifiers = [await made(ports) for _turn in range(8)]
        applied = schedule.apply
        turns = iter(range(100))

        async def dying(*arguments: Any) -> Any:
            if next(turns) == 4:  # the second of the second batch
                raise Died
            return await applied(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(schedule, "apply", dying)
            with pytest.raises(Died):
                await schedule.expire(ports, AFTER_MIDNIGHT)
        states = [await state(ports, each) for each in identifiers]
        assert states.count(State.EXPIRED) == 3
        assert await events(ports, "state-changed") == 3
        assert await schedule.expire(ports, AFTER_MIDNIGHT) == 5
        assert await events(ports, "state-changed") == 8

    told(settings, database_url, story)


def test_of_two_runs_at_once_each_licence_lapses_in_one(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        for _turn in range(10):
            await made(ports)
        counts = await asyncio.gather(*(schedule.expire(ports, AFTER_MIDNIGHT) for _turn in range(3)))
        assert sum(counts) + await schedule.expire(ports, AFTER_MIDNIGHT) == 10
        assert await events(ports, "state-changed") == 10

    told(settings, database_url, story)


def test_a_suspension_ends_on_its_day_unless_it_has_no_day(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        until = date(2025, 7, 15)
        with_day, without, returned = [await made(ports, None) for _turn in range(3)]
        for identifier in (with_day, returned):
            suspend = Wanted(Operation.SUSPEND, "查处", until=until)
            await change_state(ports, AUTHORITY, identifier, suspend, NOW)
        await change_state(ports, AUTHORITY, without, Wanted(Operation.SUSPEND, "查处"), NOW)
        await change_state(ports, AUTHORITY, returned, Wanted(Operation.RETURN, "申诉成立"), NOW)
        await change_state(ports, AUTHORITY, returned, Wanted(Operation.SUSPEND, "再次查处"), NOW)
        assert await schedule.return_suspended(ports, datetime(2025, 7, 14, 15, 59, tzinfo=UTC)) == 0
        on_the_day = datetime(2025, 7, 14, 16, 0, tzinfo=UTC)
        assert await schedule.return_suspended(ports, on_the_day) == 1
        assert await schedule.return_suspended(ports, on_the_day) == 0
        assert await state(ports, with_day) is State.VALID
        assert await state(ports, without) is State.SUSPENDED
        assert await state(ports, returned) is State.SUSPENDED
        assert (await life_tables.life_of(ports.pool, with_day)).suspended_until is None

    told(settings, database_url, story)


def test_each_reminder_comes_once_and_only_the_nearest(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        await made(ports)
        await made(ports, None)
        noon = datetime(2025, 8, 31, 4, 0, tzinfo=UTC)
        seen = []
        for days in range(62, -2, -1):
            for _again in range(2):
                found = await schedule.remind(ports, noon - timedelta(days=days))
                seen += [(days, which) for which, count in found.items() if count]
        assert seen == [(60, 60), (30, 30), (7, 7)]
        # Issued late, or after the job stood still: one reminder, not three.
        await made(ports)
        assert await schedule.remind(ports, noon - timedelta(days=5)) == {7: 1, 30: 0, 60: 0}
        assert await schedule.remind(ports, noon - timedelta(days=5)) == {7: 0, 30: 0, 60: 0}
        assert await events(ports, "expiry-reminder") == 4

    told(settings, database_url, story)
