"""Documents at issue: due with the licence, drawn once wherever the process dies, and nothing fails unseen."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from click.testing import CliRunner

from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.documents import due
from license_registry.documents.at_issue import LEASE, TRIES, count, draw_due
from license_registry.documents.drawing import Format
from license_registry.documents.errors import NotDrawn
from license_registry.documents.keep import give
from license_registry.issuing.bulk.jobs import submit, work
from license_registry.issuing.issue import issue
from license_registry.issuing.requests import Key
from license_registry.lifecycle.states import Operation
from license_registry.lifecycle.versions import VersionRequest, new_version
from license_registry.ports import Registry
from license_registry.seals.register import SealWanted, change, register
from license_registry.seals.states import SealKind, SealOperation
from license_registry.store.objects import StoreUnavailable
from tests.conftest import MARKET, free_port, fresh_database, serving
from tests.license_registry.conftest import AUTHORITY, body, issued, registry, request
from tests.license_registry.issuing.test_killed import run
from zhengtong.cli import main

NOW = datetime.now(UTC)
DRAWN = "SELECT count(*) FROM license_registry.document"
MADE = "SELECT content FROM license_registry.event WHERE kind = 'document-made'"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"documents": "at-issue"})


def inside(settings: Settings, address: str, story: Callable[[Registry], Awaitable[None]]) -> None:
    async def told() -> None:
        async with registry(settings, address) as ports:
            await story(ports)

    asyncio.run(told())


async def seal(ports: Registry, kind: SealKind = SealKind.LEGAL_NAME) -> uuid.UUID:
    wanted = SealWanted(uuid.uuid4(), MARKET, kind, "示范章", None, None)
    made, _ = await register(ports, AUTHORITY, wanted, NOW)
    await change(ports, AUTHORITY, made.id, SealOperation.USE, None, NOW)
    return made.id


def later(**passed: int) -> Callable[[], datetime]:
    return lambda: NOW + timedelta(**passed)


async def one(ports: Registry, **changes: Any) -> str:
    return (await issue(ports, AUTHORITY, request(**changes), NOW)).licence.identifier


def test_one_many_and_a_new_version_get_their_document(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        made = await seal(ports)
        first = await one(ports)
        lines = b"\n".join(orjson.dumps(body()) for _ in range(7))
        job = await submit(ports, AUTHORITY, Key("client", "key"), "issue", lines, NOW)
        assert await work(ports, job.id)
        renewed = VersionRequest(Operation.CHANGE, "变更", {"business_scope": "茶叶销售"})
        second = (await new_version(ports, AUTHORITY, first, renewed, NOW)).licence.identifier
        moment = datetime.now(UTC)  # by which the job issued, too

        def now() -> datetime:
            return moment

        assert (await due.standing(ports.pool)).waiting == 9
        # However many are issued in bulk, those of single ones go first, and of the many a few.
        assert await draw_due(ports, now) == 7
        assert await ports.pool.fetchval(f"{DRAWN} WHERE identifier = ANY($1)", [first, second]) == 2
        assert await draw_due(ports, now) == 2
        assert await draw_due(ports, now) == 0
        assert await ports.pool.fetchval(f"{DRAWN} WHERE format = 'ofd'") == 9
        events = [orjson.loads(row["content"]) for row in await ports.pool.fetch(MADE)]
        assert {each["client"] for each in events} == {"zhengtong-document"}
        assert [each["seals"] for each in events] == [[str(made)]] * 9
        given = "SELECT count(*) FROM license_registry.event WHERE kind = 'document-given'"
        assert await ports.pool.fetchval(given) == 0

    inside(settings, database_url, story)


def test_two_who_draw_and_one_who_asks_make_one_document(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        await seal(ports)
        licences = [(await issue(ports, AUTHORITY, request(), NOW)).licence for _ in range(4)]
        asked = [give(ports, AUTHORITY, each, Format.OFD, NOW) for each in licences[:2]]
        tried = await asyncio.gather(draw_due(ports, later()), draw_due(ports, later()), *asked)
        assert sum(each for each in tried if isinstance(each, int)) <= 4
        assert await ports.pool.fetchval(DRAWN) == 4
        assert len(await ports.pool.fetch(MADE)) == 4
        assert await ports.pool.fetchval("SELECT count(*) FROM license_registry.document_due") == 0

    inside(settings, database_url, story)


def test_a_house_that_draws_when_asked_owes_nothing(settings: Settings, database_url: str) -> None:
    async def story(ports: Registry) -> None:
        await one(ports)
        assert (await due.standing(ports.pool)).waiting == 0

    inside(settings.model_copy(update={"documents": "when-asked"}), database_url, story)


def test_a_document_waits_for_the_seal_and_is_drawn_once_it_is_in_use(
    settings: Settings, database_url: str
) -> None:
    async def story(ports: Registry) -> None:
        identifier = await one(ports)
        assert await draw_due(ports, later()) == 1
        assert await ports.pool.fetchval(DRAWN) == 0
        assert (await due.standing(ports.pool)).troubled == {"seal-lacking": 1}
        assert await draw_due(ports, later(hours=1)) == 0
        await seal(ports, SealKind.CONTRACT)  # not the one that is asked for
        assert await draw_due(ports, later(minutes=1)) == 1
        assert await ports.pool.fetchval(DRAWN) == 0
        made = await seal(ports)
        assert await draw_due(ports, later(minutes=2)) == 1
        (event,) = await ports.pool.fetch(MADE)
        assert orjson.loads(event["content"])["seals"] == [str(made)]
        assert await ports.pool.fetchval(f"{DRAWN} WHERE identifier = $1", identifier) == 1

    inside(settings, database_url, story)


def test_what_cannot_be_drawn_is_listed_and_counted_until_somebody_sees_to_it(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    lacking = {**body()["fields"], "representative_name": "张\U0002a6a5"}
    identifiers: list[str] = []

    async def fails(ports: Registry) -> None:
        await seal(ports)
        identifiers.append(await one(ports, fields=lacking))
        await one(ports)
        # The next one is drawn all the same.
        assert await draw_due(ports, later()) == 2
        assert await ports.pool.fetchval(DRAWN) == 1
        assert await draw_due(ports, later(days=9)) == 0
        await count(ports, NOW)

    def command(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["document", *arguments], obj=settings, env=_env(settings))

    inside(settings, database_url, fails)
    done = command("waiting", "--json")
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    assert (told["waiting"], told["problems"]) == (0, {"document-character-lacking": 1})
    (troubled,) = told["troubled"]
    assert (troubled["licence"], troubled["again_at"]) == (identifiers[0], None)
    assert "\U0002a6a5" not in done.stdout
    assert identifiers[0] in command("waiting").stdout
    assert "0 " in command("again", "1.2.3").stdout
    assert "1 " in command("again", identifiers[0]).stdout

    async def again(ports: Registry) -> None:
        assert await draw_due(ports, lambda: datetime.now(UTC)) == 1

    inside(settings, database_url, again)
    assert orjson.loads(command("waiting", "--json").stdout)["problems"] == {"document-character-lacking": 1}


def _env(settings: Settings) -> dict[str, str]:
    assert settings.database_url is not None
    return {
        "ZHENGTONG_HOME": str(settings.home),
        "ZHENGTONG_DATABASE_URL": settings.database_url.get_secret_value(),
    }


@pytest.mark.parametrize("error", [StoreUnavailable("later"), NotDrawn("ended"), ZeroDivisionError()])
def test_what_fails_for_a_while_is_tried_again_each_time_later_and_not_for_ever(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_arguments: Any, **_named: Any) -> None:
        raise error

    async def story(ports: Registry) -> None:
        await one(ports)
        monkeypatch.setattr("license_registry.documents.at_issue.keep", fails)
        pauses = []
        moment = NOW

        def now() -> datetime:
            return moment

        for _ in range(TRIES - 1):
            assert await draw_due(ports, now) == 1
            (each,) = await due.troubled(ports.pool, 10)
            assert each.next_try_at is not None
            pauses.append(each.next_try_at - moment)
            moment = each.next_try_at
        assert pauses == [timedelta(seconds=30 * 2**turn) for turn in range(TRIES - 1)]
        assert await draw_due(ports, now) == 1
        (each,) = await due.troubled(ports.pool, 10)
        assert (each.next_try_at, each.problem) == (None, getattr(error, "code", "internal-error"))

    inside(settings, database_url, story)


@pytest.mark.parametrize(
    ("step", "when", "kept"),
    [
        ("add-document", "before", 0),
        *(
            pytest.param(*step, marks=pytest.mark.thorough)
            for step in (
                ("claim", "after", 0),
                ("put", "before", 0),
                ("put", "after", 0),
                ("add-document", "after", 1),
                ("settle", "before", 0),
                ("settle", "after", 0),
            )
        ),
    ],
)
def test_killed_at_any_step_the_document_is_kept_once(
    settings: Settings, database_url: str, step: str, when: str, kept: int
) -> None:
    async def prepared(ports: Registry) -> None:
        await seal(ports)
        await one(ports)

    inside(settings, database_url, prepared)
    moment = datetime.now(UTC)
    assert run(settings, database_url, step, when, 1, "document", moment.isoformat()) == -signal.SIGKILL
    assert documents(database_url) == kept

    async def next_one(ports: Registry) -> None:
        # Nobody else takes it up before the lease is over, since whoever has it may be slow.
        assert await draw_due(ports, lambda: moment + LEASE / 2) == 0
        assert await draw_due(ports, lambda: moment + LEASE) == 1 - kept
        assert await draw_due(ports, lambda: moment + 3 * LEASE) == 0
        assert await ports.pool.fetchval("SELECT count(*) FROM license_registry.document_due") == 0

    inside(settings, database_url, next_one)
    assert documents(database_url) == 1


def documents(address: str) -> int:
    with psycopg.connect(address) as connection:
        made = connection.execute(MADE).fetchall()
        ((number,),) = connection.execute(DRAWN).fetchall()
    assert len(made) == number
    return int(number)


def test_whatever_dies_of_a_document_does_not_die_of_it_for_ever(
    settings: Settings, database_url: str
) -> None:
    async def story(ports: Registry) -> None:
        await one(ports)
        moment = NOW
        for _ in range(TRIES):
            assert len(await due.claim(ports.pool, moment, LEASE, 9, bulk=False)) == 1  # and then it died
            moment += LEASE
        assert await draw_due(ports, lambda: moment) == 1
        (each,) = await due.troubled(ports.pool, 10)
        assert (each.problem, each.next_try_at) == ("document-not-drawn", None)

    inside(settings, database_url, story)


def test_a_service_draws_beside_what_it_answers_and_tells_how_far_it_is(
    server_address: str, template: str, tmp_path: Path
) -> None:
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path, database_url=address, listen_port=free_port(), holder_register="if-known"
        )
        with serving(settings, address) as service:
            authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
            wanted = {"id": str(uuid.uuid4()), "kind": "01", "name": "示范市市场监督管理局"}
            made = authority.call(service.http, "POST", "/registry/v1/seals", wanted).json()["id"]
            issued(service, authority)
            path = f"/registry/v1/seals/{made}/operations"
            assert authority.call(service.http, "POST", path, {"operation": "use"}).status_code == 200
            deadline = time.monotonic() + 60
            while service.sql(DRAWN) != [(1,)] and time.monotonic() < deadline:
                time.sleep(0.1)
            assert service.sql(DRAWN) == [(1,)]
            metrics = service.http.get("/metrics").text
            assert "zhengtong_documents_due" in metrics
            assert "zhengtong_documents_seconds_behind" in metrics
