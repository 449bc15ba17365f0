"""Notices: signed so that a stranger's library agrees, tried again, dead in the end, and seen by somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.webhooks.addresses import WebhookRefused
from foundation.webhooks.sending import WAITS, sender
from license_registry.issuing.issue import issue
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.states import Operation
from license_registry.notices import tables
from license_registry.notices.deliver import (
    KINDS,
    Delivered,
    deliver,
    require_kinds,
)
from license_registry.ports import Registry
from tests.conftest import MARKET, Service, free_port
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier
from tests.license_registry.conftest import AUTHORITY, NOW, problem, registry, request


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",)})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as here:
        yield here


async def suspended(ports: Registry, url: str) -> str:
    """Subscribe, and let something happen."""
    await tables.put_subscription(ports.pool, MARKET, url, KINDS, NOW)
    made = (await issue(ports, AUTHORITY, request(), NOW)).licence.identifier
    await change_state(ports, AUTHORITY, made, Wanted(Operation.SUSPEND, "查处"), NOW)
    return made


def test_a_notice_arrives_signed_and_once(settings: Settings, database_url: str, receiver: Receiver) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports, sender(settings) as http:
            made = await suspended(ports, receiver.url)
            assert await deliver(ports, http, NOW) == Delivered(1, 0, 0)
            assert await deliver(ports, http, NOW + timedelta(days=9)) == Delivered(0, 0, 0)
            (got,) = receiver.got
            told = orjson.loads(got.content)
            assert (told["kind"], told["licence"]) == ("state-changed", made)
            assert (told["state_before"], told["state_after"]) == ("01", "02")
            check = verifier(ports.keys.jwks())
            # The clock of this test stands elsewhere; a signature is good for its moment only.
            (result,) = check.verify(got, max_age=timedelta(days=36500), body=got.content)
            assert set(result.covered_components) - {'"@signature-params"'} == {
                '"@method"',
                '"@target-uri"',
                '"content-digest"',
                '"content-type"',
            }
            altered = httpx.Request("POST", f"{got.url}1", headers=got.headers, content=got.content)
            with pytest.raises(HTTPMessageSignaturesException):
                check.verify(altered, max_age=timedelta(days=36500))
            with pytest.raises(HTTPMessageSignaturesException):
                check.verify(got, max_age=timedelta(days=36500), body=got.content + b" ")

    asyncio.run(story())


def test_a_failure_is_tried_again_later_and_at_last_lies_dead(
    settings: Settings, database_url: str, receiver: Receiver
) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports, sender(settings) as http:
            await suspended(ports, receiver.url)
            # Moved elsewhere is a failure: nobody registered elsewhere.
            receiver.answers[:] = [500, 307] + [503] * (len(WAITS) - 1)
            now = NOW
            for wait in WAITS:
                assert await deliver(ports, http, now) == Delivered(0, 1, 0)
                assert await deliver(ports, http, now + wait - timedelta(seconds=1)) == Delivered(0, 0, 0)
                now += wait
            assert await deliver(ports, http, now) == Delivered(0, 1, 1)
            assert len(receiver.got) == len(WAITS) + 1
            assert len({orjson.loads(got.content)["id"] for got in receiver.got}) == 1
            assert await deliver(ports, http, now + timedelta(days=99)) == Delivered(0, 0, 1)
            (dead,) = await tables.deliveries(ports.pool, MARKET, dead=True, limit=9)
            assert (dead.attempts, dead.last_failure) == (len(WAITS) + 1, "HTTP 503")
            assert await tables.deliveries(ports.pool, "another", dead=True, limit=9) == []
            assert not await tables.revive(ports.pool, dead.id, "another", now)
            assert await tables.revive(ports.pool, dead.id, MARKET, now)
            assert await deliver(ports, http, now) == Delivered(1, 0, 0)
            (arrived,) = await tables.deliveries(ports.pool, MARKET, dead=False, limit=9)
            assert (arrived.delivered_at, arrived.dead_at, arrived.last_failure) == (now, None, None)

    asyncio.run(story())


def test_nobody_there_is_a_failure_that_is_named(settings: Settings, database_url: str) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports, sender(settings) as http:
            await suspended(ports, f"http://127.0.0.1:{free_port()}/none")
            assert await deliver(ports, http, NOW) == Delivered(0, 1, 0)
            (found,) = await tables.deliveries(ports.pool, MARKET, dead=False, limit=9)
            assert found.last_failure == "ConnectError"

    asyncio.run(story())


def test_what_is_refused_leaves_no_notice(settings: Settings, database_url: str) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports:
            made = await suspended(ports, "http://127.0.0.1:9/none")
            with pytest.raises(Exception, match="does not start"):
                await change_state(ports, AUTHORITY, made, Wanted(Operation.SUSPEND, "查处"), NOW)
            assert len(await tables.deliveries(ports.pool, None, dead=False, limit=9)) == 1
            # Only kinds that were asked for.
            await tables.put_subscription(ports.pool, MARKET, "http://127.0.0.1:9/none", {"task-raised"}, NOW)
            await change_state(ports, AUTHORITY, made, Wanted(Operation.RETURN, "发还"), NOW)
            assert len(await tables.deliveries(ports.pool, None, dead=False, limit=9)) == 1

    asyncio.run(story())


def test_kinds_that_there_are() -> None:
    assert require_kinds(KINDS) == KINDS
    for kinds in (frozenset[str](), frozenset({"gossip"})):
        with pytest.raises(WebhookRefused):
            require_kinds(kinds)


def test_departments_see_their_own_dead_notices_and_the_operator_all(service: Service) -> None:
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    operator = service.system("operator", Role.OPERATOR)
    other = service.system("other", Role.ISSUING_AUTHORITY, department="11990100MB2A00003U")
    rows: Any = service.sql(
        "WITH s AS (INSERT INTO license_registry.subscription VALUES"
        " (gen_random_uuid(), %s, 'https://example.org/', '{task-raised}', now()) RETURNING id)"
        " INSERT INTO license_registry.delivery (id, subscription, kind, body, created_at, dead_at)"
        " SELECT gen_random_uuid(), id, 'task-raised', '', now(), now() FROM s RETURNING id",
        MARKET,
    )
    notice = str(rows[0][0])
    path = "/registry/v1/notices?dead=true"
    for system, seen in ((authority, [notice]), (operator, [notice]), (other, [])):
        reply = system.call(service.http, "GET", path)
        assert [each["id"] for each in reply.json()["notices"]] == seen
    retry = f"/registry/v1/notices/{notice}/retry"
    assert problem(other.call(service.http, "POST", retry)) == (404, "not-found")
    assert authority.call(service.http, "POST", retry).status_code == 204
    assert problem(authority.call(service.http, "POST", retry)) == (404, "not-found")
    counter = service.system("counter", Role.COUNTER)
    assert problem(counter.call(service.http, "GET", path)) == (403, "role-missing")
