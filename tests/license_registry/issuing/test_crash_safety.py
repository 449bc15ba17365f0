"""Issuing when a step fails, with and without having taken effect: never half a licence, and a retry gives one."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.issuing import issue as story
from license_registry.issuing.errors import IssuerNotEntitled
from license_registry.issuing.issue import Issued, IssueRequest
from license_registry.issuing.issue import issue as issue_inside
from license_registry.presenting.present import lead_copy
from license_registry.store.objects import FileStore, StoreFull, StoreUnavailable
from tests.conftest import MARKET, Service, free_port, serving
from tests.license_registry.conftest import AUTHORITY, NOW, PERSON, body, issue, problem, registry, request

COUNTS = (
    "SELECT (SELECT count(*) FROM license_registry.licence), (SELECT count(*) FROM license_registry.event)"
)
LOG = "SELECT (SELECT count(*) FROM ledger.pending) + (SELECT count(*) FROM ledger.entry)"


def counted(address: str) -> tuple[int, ...]:
    with psycopg.connect(address) as connection:
        return (*connection.execute(COUNTS).fetchone(), *connection.execute(LOG).fetchone())


def objects(settings: Settings) -> list[str]:
    found = settings.objects_folder.rglob("*")
    return sorted(str(path.relative_to(settings.objects_folder)) for path in found if path.is_file())


class FaultyStore(FileStore):
    """A file store of which one put fails, before or after it has taken effect."""

    def __init__(self, root: Path, error: Exception, *, persisted: bool) -> None:
        super().__init__(root)
        self.error: Exception | None = error
        self.persisted = persisted

    def put(self, key: str, data: bytes) -> None:
        error, self.error = self.error, None
        if error is None or self.persisted:
            super().put(key, data)
        if error is not None:
            raise error


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("error", [StoreFull("full"), StoreUnavailable("gone")])
def test_a_put_that_fails_issues_nothing_and_a_retry_issues_one(
    settings: Settings, database_url: str, error: Exception, persisted: bool
) -> None:
    wanted = request()

    async def work() -> Issued:
        store = FaultyStore(settings.objects_folder, error, persisted=persisted)
        async with registry(settings, database_url, store) as ports:
            with pytest.raises(type(error)):
                await issue_inside(ports, AUTHORITY, wanted, NOW)
            assert counted(database_url) == (0, 0, 0)
            assert len(objects(settings)) == int(persisted)
            again = await issue_inside(ports, AUTHORITY, wanted, NOW)
            assert (await lead_copy(ports, again.licence)).endswith("~")
            return again

    again = asyncio.run(work())
    assert again.fresh
    assert counted(database_url) == (1, 1, 1)
    assert again.licence.object_key in objects(settings)


def test_a_commit_that_happened_though_nobody_heard_of_it_is_a_whole_licence(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, keep = request(), story._keep

    async def keep_and_lose_the_connection(*arguments: Any) -> None:
        await keep(*arguments)
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def work() -> Issued:
        async with registry(settings, database_url) as ports:
            monkeypatch.setattr(story, "_keep", keep_and_lose_the_connection)
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await issue_inside(ports, AUTHORITY, wanted, NOW)
            monkeypatch.undo()
            again = await issue_inside(ports, AUTHORITY, wanted, NOW)
            # The licence counts, so its object must be there.
            assert (await lead_copy(ports, again.licence)).endswith("~")
            return again

    assert not asyncio.run(work()).fresh
    assert counted(database_url) == (1, 1, 1)
    assert len(objects(settings)) == 1


def test_an_object_is_not_replaced_after_the_database_went_back_in_time(
    settings: Settings, database_url: str
) -> None:
    async def work() -> tuple[bytes, bytes, Issued, Issued]:
        async with registry(settings, database_url) as ports:
            first = await issue_inside(ports, AUTHORITY, request(), NOW)
            path = settings.objects_folder / first.licence.object_key
            before = path.read_bytes()
            # As after restoring a backup of before the licence: its row and its serial are gone.
            await ports.pool.execute("DELETE FROM license_registry.licence")
            await ports.pool.execute("ALTER SEQUENCE license_registry.serial RESTART")
            second = await issue_inside(ports, AUTHORITY, request(), NOW)
            return before, path.read_bytes(), first, second

    before, after, first, second = asyncio.run(work())
    assert after == before
    assert second.licence.identifier != first.licence.identifier
    assert len(objects(settings)) == 2


def test_a_type_that_names_its_authorities_is_issued_by_those_alone(
    settings: Settings, database_url: str
) -> None:
    async def attempt(issuers: frozenset[str], wanted: IssueRequest) -> Issued:
        async with registry(settings, database_url) as ports:
            named = replace(ports.types["business-licence"], issuers=issuers)
            return await issue_inside(
                replace(ports, types={"business-licence": named}), AUTHORITY, wanted, NOW
            )

    with pytest.raises(IssuerNotEntitled) as refused:
        asyncio.run(attempt(frozenset({"11990100MB2A00002U"}), request()))
    assert refused.value.pointer == "/licence_type"
    assert counted(database_url) == (0, 0, 0)
    assert objects(settings) == []
    assert asyncio.run(attempt(frozenset({MARKET}), request())).fresh


REFUSE_AT_COMMIT = """
CREATE FUNCTION license_registry.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no commit today'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON license_registry.licence
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION license_registry.refuse();
"""


def test_a_commit_that_fails_leaves_nothing_that_a_reader_can_reach(
    service: Service, authority: System
) -> None:
    wanted = body()
    before = counted(service.address)
    service.sql(REFUSE_AT_COMMIT)
    try:
        reply = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
    finally:
        service.sql("DROP FUNCTION license_registry.refuse CASCADE")
    assert problem(reply) == (500, "internal-error")
    assert "commit" not in reply.text
    assert reply.headers["connection"] == "close"
    assert counted(service.address) == before
    person = service.person(PERSON)
    assert service.http.get("/registry/v1/me/licences", headers=person).json() == {"licences": []}
    for key in objects(service.settings):
        identifier = key.removeprefix("licences/").removesuffix(".sdjwt")
        path = f"/registry/v1/me/licences/{identifier}/credential"
        assert problem(service.http.get(path, headers=person)) == (404, "not-found")
        reply = authority.call(service.http, "GET", f"/registry/v1/licences/{identifier}")
        assert problem(reply) == (404, "not-found")

    again = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
    assert again.status_code == 201
    (mine,) = service.http.get("/registry/v1/me/licences", headers=person).json()["licences"]
    assert mine["identifier"] == again.json()["identifier"]
    assert counted(service.address) == tuple(count + 1 for count in before)


@pytest.fixture
def small_disk(settings: Settings) -> Iterator[Path]:
    """The store's folder as a file system of its own, of 64 KiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    folder = settings.objects_folder
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let root mount: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("room", [0, 2500], ids=["no room at all", "room for a part"])
def test_a_full_disk_is_a_problem_of_its_own_and_heals(
    settings: Settings, database_url: str, small_disk: Path, room: int
) -> None:
    settings = settings.model_copy(update={"listen_port": free_port(), "development_issuer": True})
    wanted = body()
    wanted["fields"]["business_scope"] = "茶" * 9000
    with serving(settings, database_url) as service:
        authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
        assert issue(service, authority).status_code == 201  # with its folder made, only the file is missing
        before, stored = counted(database_url), objects(settings)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 4096):
                    pass
            except OSError:
                os.ftruncate(file.fileno(), file.tell() - room)
        reply = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
        assert problem(reply) == (507, "store-full")
        assert counted(database_url) == before
        assert objects(settings) == sorted([*stored, "filler"])

        filler.unlink()
        again = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
        assert again.status_code == 201
        assert counted(database_url) == tuple(count + 1 for count in before)
        assert len(objects(settings)) == len(stored) + 1
