"""Grants in memory: followed, not trusted when the last look is old, and counted by several processes together."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from exchange.grants import held, tables
from exchange.grants.grant import Grant
from exchange.grants.held import Grants, QuotaExceeded
from foundation import database
from foundation.identity.principals import Role
from tests.conftest import Service, free_port
from tests.exchange.queries.asking import ask, bring_person, code_of, give

NOW = datetime(2025, 11, 25, 4, 0, 30, tzinfo=UTC)


def grant(**changes: Any) -> Grant:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "client_id": "a",
        "resource": "r",
        "fields": frozenset({"name"}),
        "matters": frozenset({"m"}),
        "purpose": "p",
        "legal_basis": "l",
        "valid_from": datetime(2025, 1, 1, tzinfo=UTC),
        "valid_until": datetime(2026, 1, 1, tzinfo=UTC),
        "granted_by": "bureau",
        "granted_at": datetime(2025, 1, 1, tzinfo=UTC),
        **changes,
    }
    return Grant(**values)


@contextlib.asynccontextmanager
async def land(address: str) -> AsyncIterator[tuple[Any, Any]]:
    engine = database.engine(address)
    async with database.pool(address, 8) as pool:
        yield engine, pool
    await engine.dispose()


async def until(said: Any, within: float) -> None:
    deadline = time.monotonic() + within
    while not await said():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_changes_of_others_are_followed_by_notice_and_without_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with land(database_url) as (engine, pool):
            first = grant()
            await tables.add(engine, first)
            grants = Grants(pool)
            async with grants.followed():
                assert await grants.of("a", "r") == (first,)
                second = grant(granted_at=datetime(2025, 1, 2, tzinfo=UTC))
                await tables.add(engine, second)

                async def both() -> bool:
                    return await grants.of("a", "r") == (first, second)

                await until(both, 0.5)  # by the notice: no look is due yet
                await tables.end(engine, first.id, NOW)

                async def one() -> bool:
                    return await grants.of("a", "r") == (second,)

                await until(one, 0.5)
            monkeypatch.setattr(tables, "CHANNEL", "nothing_is_said_here")
            grants = Grants(pool)
            async with grants.followed():
                await tables.end(engine, second.id, NOW)

                async def none() -> bool:
                    return not await grants.of("a", "r")

                await until(none, held.TRUSTED_SECONDS)

    asyncio.run(work())


def test_what_is_held_is_not_trusted_when_the_last_look_is_old(database_url: str) -> None:
    async def work() -> None:
        async with land(database_url) as (engine, pool):
            given = grant()
            await tables.add(engine, given)
            grants = Grants(pool)
            await grants.look()  # and nobody follows
            await tables.end(engine, given.id, NOW)
            assert await grants.of("a", "r") == (given,)
            await asyncio.sleep(held.TRUSTED_SECONDS)
            assert not await grants.of("a", "r")

    asyncio.run(work())


@pytest.mark.parametrize(("quota", "askers"), [(5, 2), (100, 3), (1000, 3)])
def test_several_processes_never_pass_a_quota_together(database_url: str, quota: int, askers: int) -> None:
    async def work() -> None:
        async with land(database_url) as (engine, pool):
            given = grant(quota_per_day=quota)
            await tables.add(engine, given)
            processes = [Grants(pool) for _ in range(askers)]
            taken = [0] * askers

            async def use(number: int) -> bool:
                try:
                    await processes[number].take([given], NOW)
                except QuotaExceeded as refused:
                    assert refused.values["until"] == "2025-11-26T00:00+08:00"
                    return False
                taken[number] += 1
                return True

            async def exhaust(number: int) -> None:
                while all(await asyncio.gather(*(use(number) for _ in range(7)))):
                    pass

            await asyncio.gather(*(exhaust(number) for number in range(askers)))
            assert quota * 15 // 16 <= sum(taken) <= quota
            # What one took in advance and does not use, another may have.
            for each in processes:
                await each._quotas.give_back(0)
            while await use(0):
                pass
            assert sum(taken) == quota

    asyncio.run(work())


def test_quotas_by_the_minute_begin_anew_and_many_count_as_many(database_url: str) -> None:
    async def work() -> None:
        async with land(database_url) as (engine, pool):
            given = grant(quota_per_minute=10, quota_per_day=15)
            await tables.add(engine, given)
            grants = Grants(pool)
            await grants.take([given], NOW, 10)
            with pytest.raises(QuotaExceeded) as refused:
                await grants.take([given], NOW)
            assert refused.value.values["until"] == "2025-11-25T12:01+08:00"
            later = NOW + timedelta(minutes=1)
            with pytest.raises(QuotaExceeded) as refused:
                await grants.take([given], later, 6)
            assert refused.value.values["until"] == "2025-11-26T00:00+08:00"
            with pytest.raises(QuotaExceeded):
                await grants.take([given], later, 16)

    asyncio.run(work())


@pytest.fixture(scope="module")
def second_process(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Another process that serves the same house."""
    bring_person(service, tmp_path_factory.mktemp("data"))
    port = free_port()
    environment = {
        "ZHENGTONG_DATABASE_URL": service.address,
        "ZHENGTONG_PUBLIC_URL": service.settings.base_url,
        "PATH": str(Path(sys.executable).parent),
    }
    command = [sys.executable, "-m", "zhengtong", "--home", str(service.settings.home)]
    process = subprocess.Popen([*command, "serve", "--port", str(port)], env=environment)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if http.get("/readyz").status_code == 200:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield http
    process.terminate()
    process.wait(20)


def there(service: Service, second: httpx.Client, system: System) -> str:
    reply = ask(Service(service.settings, service.address, second), system, "verifications", claims=CLAIM)
    return str(reply.json()["results"]["name"]) if reply.status_code == 200 else code_of(reply)


CLAIM = {"name": "张三丰"}


def test_a_change_is_in_effect_in_the_other_process_within_two_seconds(
    service: Service, second_process: httpx.Client
) -> None:
    system = service.system("neighbour", Role.DEPARTMENT_SYSTEM)
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    system.token(service.http, "urn:zhengtong:exchange")
    given = give(service, "neighbour")
    place = f"/exchange/v1/grants/{given['id']}"

    def waits_for(expected: str) -> None:
        begun = time.monotonic()
        while there(service, second_process, system) != expected:
            assert time.monotonic() - begun < 2
        # and it stays so: no other memory answers differently.
        assert [there(service, second_process, system) for _ in range(5)] == [expected] * 5

    waits_for("match")
    assert bureau.call(service.http, "PATCH", place, {"matters": ["another"]}).is_success
    waits_for("matter-not-granted")
    assert bureau.call(service.http, "PATCH", place, {"matters": ["withdrawal"]}).is_success
    waits_for("match")
    assert bureau.call(service.http, "DELETE", place).is_success
    waits_for("not-granted")


def test_two_processes_do_not_pass_a_quota_together(service: Service, second_process: httpx.Client) -> None:
    system = service.system("two-doors", Role.DEPARTMENT_SYSTEM)
    system.token(service.http, "urn:zhengtong:exchange")
    give(service, "two-doors", quota_per_day=30)
    time.sleep(0.2)
    doors = [service.http, second_process]
    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(lambda n: there(service, doors[n % 2], system), range(60)))
    assert said.count("match") + said.count("quota-exceeded") == 60
    assert 28 <= said.count("match") <= 30
