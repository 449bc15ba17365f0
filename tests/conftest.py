"""Fixtures for all rooms: a real PostgreSQL for the whole run, a fresh migrated database for each test that asks."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
import uvicorn
from sqlalchemy import make_url

import exchange.archives.pack
import exchange.commitments.rounds
import exchange.corrections.notices.deliver
from demonstration.parties import System, sign_in
from foundation import database
from foundation.identity.clients import Client
from foundation.identity.principals import Role
from foundation.identity.tables import put_client
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from tests.departments import MARKET
from tests.documented import DOCUMENTED
from zhengtong.app import create_app

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"

# Linux keeps what is here in memory; a container may give it 64 MB, which would not do.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30

INSTALLING_SECONDS = 1500
"""What a test may take where it may have to install something first, on a machine that does something else beside."""

# The same examples each time, and no clock: a busy machine is no defect.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is marked `thorough` unless all was asked for."""
    if os.environ.get("ZHENGTONG_TEST_ALL") == "1":
        # The first test that needs a server or Airflow pays for installing it, and others wait for their turn.
        for item in items:
            item.add_marker(pytest.mark.timeout(INSTALLING_SECONDS), append=False)
        return
    skip = pytest.mark.skip(reason="thorough: runs with ./test --all, as in CI")
    for item in items:
        if "thorough" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def server_address() -> Iterator[str]:
    """Address of a PostgreSQL that lives as long as the test run: the wheel's, or that of ZHENGTONG_TEST_DATABASE."""
    given = os.environ.get("ZHENGTONG_TEST_DATABASE")
    if given:
        yield given
        return
    with temporary_home() as folder, database.running_database(Settings(home=folder)) as address:
        _carefree(address)
        yield address


def _carefree(address: str) -> None:
    # Nothing here outlives the machine, so nothing need reach a disk: a new database for each test costs much of it.
    with psycopg.connect(address, autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '256MB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yield a data folder for an embedded database, in memory where there is room for it.

    Not under pytest's temporary folder: PostgreSQL runs as another user there when we are root.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix="zhengtong-test-", dir=MEMORY if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_address: str) -> str:
    """Name of a migrated database that the others are copied from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    _create(server_address, name, None)
    database.migrate(_with_name(server_address, name))
    return name


@pytest.fixture
def database_url(server_address: str, template: str) -> Iterator[str]:
    """Address of a fresh, migrated database."""
    with fresh_database(server_address, template) as address:
        yield address


@contextmanager
def fresh_database(server_address: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    _create(server_address, name, template)
    try:
        yield _with_name(server_address, name)
    finally:
        with psycopg.connect(server_address, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


# Copying files is faster than logging every page of the copy, which is the default.
COPY = ' TEMPLATE "{}" STRATEGY FILE_COPY'


def _create(server_address: str, name: str, template: str | None) -> None:
    with psycopg.connect(server_address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"' + (COPY.format(template) if template else ""))


def _with_name(address: str, name: str) -> str:
    return make_url(address).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a house of its own."""
    return Settings(
        home=tmp_path / "home",
        database_url=database_url,
        listen_port=free_port(),
        documents="when-asked",  # drawing costs more than most tests
        holder_register="if-known",  # most tests bring no registers; those of issuing require them
    )


@pytest.fixture
def vault(settings: Settings) -> Vault:
    return open_vault(settings, datetime.now(UTC))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Service:
    """A running house: real sockets, real database. `system(...)` registers a department's system and returns it."""

    settings: Settings
    address: str
    http: httpx.Client
    systems: dict[str, System] = field(default_factory=dict)

    def system(self, client_id: str, *roles: Role, department: str = MARKET) -> System:
        """Return a registered system, the same for the same id."""
        if client_id not in self.systems:
            system = System(client_id, client_id, department, frozenset(roles))
            put(self.address, system.registration())
            self.systems[client_id] = system
        return self.systems[client_id]

    def person(self, citizen_id: str, name: str = "测试人") -> dict[str, str]:
        """Return the headers of a signed-in person."""
        return {"Authorization": f"Bearer {sign_in(self.http, citizen_id, name)}"}

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the database."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


def put(address: str, client: Client) -> None:
    """Register a client, as the operator's command does."""

    async def work() -> None:
        engine = database.engine(address)
        await put_client(engine, client, datetime.now(UTC))
        await engine.dispose()

    asyncio.run(work())


IMPATIENT_SECONDS = 0.2
IMPATIENT = (
    exchange.archives.pack,
    exchange.commitments.rounds,
    exchange.corrections.notices.deliver,
)
"""What looks every second or two for what there is to do: most of the time of a test that waits for it would be that."""


@contextmanager
def serving(settings: Settings, address: str) -> Iterator[Service]:
    """Serve a house in a thread, on a real socket."""
    config = uvicorn.Config(
        create_app(settings, address),
        host="127.0.0.1",
        port=settings.listen_port,
        log_config=None,
        access_log=False,
    )
    for work in IMPATIENT:
        work.LOOKS_EVERY_SECONDS = IMPATIENT_SECONDS
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the service did not start")
        time.sleep(0.02)
    hooks = {"response": [DOCUMENTED.hold]}
    with httpx.Client(base_url=settings.base_url, timeout=30, event_hooks=hooks) as http:
        yield Service(settings, address, http)
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "the service did not stop"


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A running house with the development issuer, one per test module."""
    home = tmp_path_factory.mktemp("home")
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=home,
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            documents="when-asked",
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return the path of real data beside the project, or skip with the reason."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"real data {name} is not beside the project")
        return path

    return find
