"""A real MariaDB, with the columns that departments have: GBK, dates of many kinds, keys as text."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from connectors.sources.databases import DatabaseSource
from connectors.sources.raw import SourceError
from tests.conftest import free_port, temporary_home
from tests.connectors.sources.licences import connections, mapping, numbers, rows
from tests.connectors.sources.test_databases import COUNT, NOW
from tests.debian import debian_program

# The first one may have to install the server.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]
USER, PASSWORD = "department", "ge:h@im"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Port of a MariaDB of its own folder."""
    program = debian_program("mariadbd", "mariadb-server")
    install = debian_program("mariadb-install-db", "mariadb-server")
    with temporary_home() as folder:
        options = [f"--datadir={folder}/data", "--user=root"]
        subprocess.run(
            [
                install,
                "--no-defaults",
                *options,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )
        port = free_port()
        started = [program, "--no-defaults", *options, f"--port={port}", "--bind-address=127.0.0.1"]
        started += [f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(started, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection:
                connection.cursor().execute("CREATE DATABASE department CHARACTER SET gbk")
                connection.cursor().execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
                connection.cursor().execute(f"GRANT SELECT ON department.* TO {USER}@'%'")
                return
        except pymysql.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)


@pytest.fixture
def owner(server: int) -> Iterator[pymysql.Connection]:  # type: ignore[type-arg]
    """The owner's connection to a full table."""
    with pymysql.connect(
        host="127.0.0.1", port=server, user="root", database="department", autocommit=True
    ) as connection:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS licences")
            cursor.execute(
                "CREATE TABLE licences (id VARCHAR(20) PRIMARY KEY, licence_type VARCHAR(40), licence_number BIGINT,"
                " holder_name VARCHAR(40), issued_on DATE, updated_at DATETIME(6)) CHARACTER SET gbk"
            )
            cursor.execute(
                "INSERT INTO licences SELECT concat('k', lpad(seq, 6, '0')), IF(seq % 3 = 0, NULL, '个体'), seq,"
                " '示范市商店', '2020-02-29', '2026-02-01' + INTERVAL seq SECOND FROM seq_1_to_" + str(COUNT)
            )
        yield connection


def source(
    port: int, cursor: bool = False, key_range: tuple[str, str | None] | None = None
) -> DatabaseSource:
    steering = (
        {"cursor": {"kind": "timestamp", "column": "updated_at", "overlap_seconds": 10}} if cursor else {}
    )
    made = mapping({"kind": "sql", "connection": "department", "table": "licences", "key": "id"} | steering)
    made = made.model_copy(update={"ignore": ["updated_at"]})
    uri = f"mysql://{USER}:ge%3Ah%40im@127.0.0.1:{port}/department"
    return DatabaseSource(made, made.origin, connections(uri), NOW, key_range)  # type: ignore[arg-type]


def test_gbk_columns_come_as_text_and_all_rows_once(server: int, owner: pymysql.Connection) -> None:  # type: ignore[type-arg]
    with owner.cursor() as cursor:
        cursor.execute("SELECT hex(holder_name) FROM licences LIMIT 1")
        assert cursor.fetchone() == ("示范市商店".encode("gbk").hex().upper(),)
    every = source(server)
    batches = list(every.batches(5000))
    assert numbers(batches) == [str(n) for n in range(1, COUNT + 1)]
    assert rows(batches)[2] == (3, None, "3", "示范市商店", "2020-02-29")
    assert rows(every.batches(700)) == rows(batches)


def test_ranges_and_the_timestamp_go_on_exactly(server: int, owner: pymysql.Connection) -> None:  # type: ignore[type-arg]
    ranges = source(server).key_ranges(3)
    parts = [numbers(source(server, key_range=each).batches(1000)) for each in ranges]  # type: ignore[arg-type]
    assert [number for part in parts for number in part] == [str(n) for n in range(1, COUNT + 1)]
    first = next(iter(source(server, cursor=True).batches(5000)))
    later = numbers(source(server, cursor=True).batches(5000, first.cursor))
    assert later == [str(n) for n in range(4990, COUNT + 1)]


def test_a_connection_that_is_cut_is_told(server: int, owner: pymysql.Connection) -> None:  # type: ignore[type-arg]
    batches = source(server).batches(1000)
    next(batches)
    with owner.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", [USER])
        for (process,) in cursor.fetchall():
            cursor.execute(f"KILL {process}")
    with pytest.raises(
        SourceError, match="cannot be read further: OperationalError 2013; running again is safe"
    ):
        list(batches)
