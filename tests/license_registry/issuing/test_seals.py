"""No licence without the seals that its type asks for, one by one and in bulk, where the house asks for them."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import orjson
import pytest

from foundation.settings import Settings
from license_registry.issuing.bulk import tables as jobs
from license_registry.issuing.bulk.jobs import submit, work
from license_registry.issuing.issue import issue
from license_registry.issuing.requests import Key
from license_registry.lifecycle.states import Operation
from license_registry.lifecycle.versions import VersionRequest, new_version
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.seals.register import SealWanted, change, register
from license_registry.seals.states import SealKind, SealOperation
from tests.conftest import MARKET
from tests.license_registry.conftest import AUTHORITY, body, registry, request


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"required_seals": "required"})


async def sealed(ports: Registry, kind: SealKind) -> uuid.UUID:
    wanted = SealWanted(uuid.uuid4(), MARKET, kind, "示范章", None, None)
    made, _ = await register(ports, AUTHORITY, wanted, datetime.now(UTC))
    await operate(ports, made.id, SealOperation.USE)
    return made.id


async def operate(ports: Registry, seal: uuid.UUID, operation: SealOperation) -> None:
    await change(ports, AUTHORITY, seal, operation, None, datetime.now(UTC))


async def in_bulk(ports: Registry, key: str, rows: int) -> tuple[int, dict[str, int]]:
    lines = b"\n".join(orjson.dumps(body()) for _ in range(rows))
    job = await submit(ports, AUTHORITY, Key("client", key), "issue", lines, datetime.now(UTC))
    assert await work(ports, job.id)
    found = await jobs.find(ports.pool, job.id)
    assert found is not None
    return found.issued, await jobs.reasons(ports.pool, job.id)


def test_a_licence_waits_for_the_seal_and_stops_with_it(settings: Settings, database_url: str) -> None:
    async def story() -> None:
        now = datetime.now(UTC)
        async with registry(settings, database_url) as ports:
            await sealed(ports, SealKind.CONTRACT)  # not the one that is asked for
            with pytest.raises(SealLacking, match="01"):
                await issue(ports, AUTHORITY, request(), now)
            assert await in_bulk(ports, "before", 3) == (0, {"seal-lacking": 3})

            seal = await sealed(ports, SealKind.LEGAL_NAME)
            licence = (await issue(ports, AUTHORITY, request(), now)).licence.identifier
            assert await in_bulk(ports, "after", 3) == (3, {})

            await operate(ports, seal, SealOperation.SUSPEND)
            with pytest.raises(SealLacking):
                await issue(ports, AUTHORITY, request(), now)
            renamed = VersionRequest(Operation.CHANGE, "变更", {"business_scope": "茶叶销售"})
            with pytest.raises(SealLacking):
                await new_version(ports, AUTHORITY, licence, renamed, now)
            await operate(ports, seal, SealOperation.USE)
            assert (await new_version(ports, AUTHORITY, licence, renamed, now)).fresh

    asyncio.run(story())


def test_a_house_that_does_not_ask_yet_issues_without(settings: Settings, database_url: str) -> None:
    lenient = settings.model_copy(update={"required_seals": "not-yet"})

    async def story() -> None:
        async with registry(lenient, database_url) as ports:
            assert (await issue(ports, AUTHORITY, request(), datetime.now(UTC))).fresh

    asyncio.run(story())
