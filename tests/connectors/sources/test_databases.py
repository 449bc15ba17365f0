"""Tables of real databases: whole and only what is new, twice the same, changing meanwhile, broken off."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.datetime import TimestamptzLoader

from connectors.pipeline import run
from connectors.sources.databases import DatabaseSource
from connectors.sources.raw import HeaderDiffers, SourceError, Window
from foundation.civil import CHINA
from foundation.sensitive import Vault
from tests.connectors.sources.licences import connections, mapping, numbers, rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNT = 12_000
BASE = datetime(2026, 2, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Department:
    """A department's PostgreSQL with one table."""

    address: str

    def sql(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(statement, values)

    def add(self, first: int, last: int, seconds: int = 1) -> None:
        self.sql(
            "INSERT INTO licences SELECT n, CASE WHEN n %% 3 > 0 THEN '个体' END, '11990' || lpad(n::text, 8, '0'),"
            " '示范市第' || n || '商店', '2020-01-01'::date + (n %% 900)::int,"
            " %s::timestamptz + n * make_interval(secs => %s), n FROM generate_series(%s::bigint, %s) n",
            BASE,
            seconds,
            first,
            last,
        )

    def source(self, cursor: dict[str, Any] | None = None, **more: Any) -> DatabaseSource:
        origin = {"kind": "sql", "connection": "department", "table": "licences", "key": "id"}
        made = mapping(origin | ({"cursor": cursor} if cursor else {}))
        made = made.model_copy(update={"ignore": ["updated_at", "change"]})
        return DatabaseSource(made, made.origin, connections(self.address), more.pop("now", NOW), **more)  # type: ignore[arg-type]


@pytest.fixture
def department(database_url: str) -> Department:
    made = Department(database_url)
    made.sql(
        "CREATE TABLE licences (id bigint PRIMARY KEY, licence_type text, licence_number text, holder_name text,"
        " issued_on date, updated_at timestamptz, change bigint)"
    )
    return made


TIMESTAMP = {"kind": "timestamp", "column": "updated_at", "overlap_seconds": 60}
SEQUENCE = {"kind": "sequence", "column": "change"}


@pytest.mark.parametrize("cursor", [None, TIMESTAMP, SEQUENCE], ids=["key", "timestamp", "sequence"])
def test_all_rows_come_once_in_order_and_a_second_time_the_same(
    department: Department, cursor: dict[str, Any] | None
) -> None:
    department.add(1, COUNT)
    source = department.source(cursor)
    batches = list(source.batches(1000))
    assert numbers(batches) == [f"11990{n:08}" for n in range(1, COUNT + 1)]
    assert [batch.end for batch in batches] == [*range(1000, COUNT + 1, 1000)]
    assert rows(batches)[2] == (3, None, "1199000000003", "示范市第3商店", "2020-01-04")
    first = batches[0]
    assert first.part == "licences" and first.layout is not None and first.layout.format == "records"
    assert json.loads(first.raw[0])["holder_name"] == "示范市第1商店"
    # What comes between two readings belongs to the next run.
    department.add(COUNT + 1, COUNT + 50)
    assert rows(source.batches(700)) == rows(batches)


@pytest.mark.parametrize("cursor", [TIMESTAMP, SEQUENCE], ids=["timestamp", "sequence"])
def test_a_run_cut_off_anywhere_goes_on_exactly_there(department: Department, cursor: dict[str, Any]) -> None:
    department.add(1, 500, seconds=100)
    batches = department.source(cursor).batches(64)
    seen = [next(batches) for _ in range(3)]
    batches.close()  # type: ignore[attr-defined]
    rest = numbers(department.source(cursor).batches(64, seen[-1].cursor))
    again = 1 if cursor is TIMESTAMP else 0
    assert rest == [f"11990{n:08}" for n in range(3 * 64 + 1 - again, 501)]


def test_the_cursor_waits_until_all_rows_of_its_value_are_read(department: Department) -> None:
    department.add(1, 100)
    department.sql("UPDATE licences SET change = 7")
    first = next(iter(department.source(SEQUENCE).batches(40)))
    assert first.cursor is None
    assert [batch.cursor for batch in department.source(SEQUENCE).batches(40)] == [None, None, "7"]


def test_a_second_run_brings_in_what_is_new_and_the_overlap_changes_nothing(
    department: Department, database_url: str, vault: Vault
) -> None:
    department.add(1, 200)
    source = department.source(TIMESTAMP)
    made = source._mapping
    first = run(made, source, database=database_url, vault=vault)
    assert (first.read, first.inserted) == (200, 200)
    department.add(201, 210)
    # Behind the cursor that the first run left, and as much before it as the overlap says.
    second = run(made, department.source(TIMESTAMP), database=database_url, vault=vault)
    assert (second.inserted, second.unchanged, second.changed) == (10, 61, 0)


@pytest.mark.parametrize("stored", ["timestamptz", "timestamp", "text", "date"])
def test_windows_side_by_side_give_each_row_once_and_move_no_cursor(
    department: Department, database_url: str, vault: Vault, stored: str
) -> None:
    department.add(1, 200, seconds=3600)
    department.sql(
        f"ALTER TABLE licences ALTER updated_at TYPE {stored} USING (updated_at AT TIME ZONE 'PRC')::{stored}"
        if stored != "timestamptz"
        else "SELECT 1"
    )
    made = department.source(TIMESTAMP)._mapping
    run(made, department.source(TIMESTAMP), database=database_url, vault=vault)
    reached = cursor_of(database_url)
    # Days as China counts them: a column of days has no other.
    start = datetime(2026, 1, 31, 16, tzinfo=UTC)
    windows = [Window(start + timedelta(days=n), start + timedelta(days=n + 1)) for n in range(10)]
    found = [numbers(department.source(TIMESTAMP, window=each).batches(7)) for each in windows]
    assert [number for part in found for number in part] == [f"11990{n:08}" for n in range(1, 201)]
    assert [len(part) for part in found[1:3]] == [24, 24]
    department.sql("UPDATE licences SET holder_name = '新名' WHERE id = 30")
    for changed in (1, 0):
        report = run(
            made, department.source(TIMESTAMP, window=windows[1]), database=database_url, vault=vault
        )
        assert (report.read, report.changed) == (24, changed)
    assert cursor_of(database_url) == reached


def test_a_window_leaves_a_subject_alone_that_a_later_row_speaks_of(
    department: Department, database_url: str, vault: Vault
) -> None:
    """Whichever comes first, and however often: the register holds what the last row says."""
    department.add(1, 40, seconds=3600)
    department.sql(
        "INSERT INTO licences SELECT id + 100, licence_type, licence_number, '新名', issued_on,"
        " updated_at + interval '1 day', change FROM licences WHERE id = 5"
    )
    made = department.source(TIMESTAMP)._mapping
    first, second = (Window(BASE + timedelta(days=n), BASE + timedelta(days=n + 1)) for n in range(2))
    for window, read in ((second, 18), (first, 22), (second, 18)):
        origin = department.source(TIMESTAMP, window=window)
        report = run(made, origin, database=database_url, vault=vault)
        assert (report.read, report.changed, report.quarantined) == (read, 0, 0)
        with psycopg.connect(database_url) as connection:
            query = "SELECT content ->> 'name' FROM exchange.legal_entity WHERE content ->> 'registration_number' = %s"
            assert connection.execute(query, ["1199000000005"]).fetchall() == [("新名",)]


def cursor_of(address: str) -> Any:
    with psycopg.connect(address) as connection:
        return connection.execute("SELECT cursor FROM exchange.ingest_cursor").fetchall()


def test_a_window_before_the_first_run_leaves_everything_to_it(
    department: Department, database_url: str, vault: Vault
) -> None:
    department.add(1, 10)
    made = department.source(TIMESTAMP)._mapping
    window = Window(BASE + timedelta(seconds=5), BASE + timedelta(seconds=8))
    assert (
        run(made, department.source(TIMESTAMP, window=window), database=database_url, vault=vault).read == 3
    )
    assert run(made, department.source(TIMESTAMP), database=database_url, vault=vault).read == 10


def test_no_clock_moves_the_cursor_back_or_beyond_now(department: Department) -> None:
    department.add(1, 10)
    last = list(department.source(TIMESTAMP).batches(100))[-1].cursor
    assert last == (BASE + timedelta(seconds=10)).isoformat(timespec="microseconds")
    # A row of a clock that runs a year ahead is read, and read again, without hiding what comes before it.
    department.sql("UPDATE licences SET updated_at = '2027-03-01' WHERE id = 10")
    (batch,) = department.source(TIMESTAMP).batches(100, last)
    assert batch.cursor == NOW.isoformat(timespec="microseconds") and "1199000000010" in numbers([batch])
    # A clock that was set back: the cursor stays.
    department.sql("UPDATE licences SET updated_at = %s", BASE)
    (batch,) = department.source(TIMESTAMP).batches(100, last)
    assert (batch.cursor, batch.end) == (last, 10)


def test_a_table_that_changes_while_it_is_read_gives_every_row_that_stayed_once(
    department: Department,
) -> None:
    department.add(1, 1000)
    batches = department.source().batches(100)
    found = numbers([next(batches)])
    department.sql("DELETE FROM licences WHERE id BETWEEN 20 AND 60 OR id BETWEEN 500 AND 510")
    department.add(1001, 1100)
    found += numbers(batches)
    assert found == [f"11990{n:08}" for n in range(1, 1001) if not 500 <= n <= 510]


def test_a_connection_that_is_cut_is_told_and_a_new_run_reads_all(department: Department) -> None:
    department.add(1, 1000)
    batches = department.source().batches(100)
    next(batches)
    department.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(
        SourceError, match="cannot be read further: AdminShutdown 57P01; running again is safe"
    ):
        list(batches)
    assert len(numbers(department.source().batches(100))) == 1000


def test_ranges_of_keys_make_up_the_table(department: Department) -> None:
    department.add(1, 90)
    department.add(10_000_000_000, 10_000_000_009)
    ranges = department.source().key_ranges(4)
    assert len(ranges) == 4
    assert [tuple(each) for each in json.loads(json.dumps(ranges))] == ranges
    parts = [numbers(department.source(key_range=each).batches(7)) for each in ranges]
    assert [len(part) for part in parts] == [25, 25, 25, 25]
    assert [number for part in parts for number in part] == numbers(department.source().batches(1000))
    with pytest.raises(SourceError, match="read in one piece"):
        department.source(TIMESTAMP).key_ranges(4)


def test_faults_of_the_table_are_told(department: Department) -> None:
    department.add(1, 10)
    department.sql("ALTER TABLE licences RENAME holder_name TO holder")
    assert len(numbers(department.source().batches(100))) == 10, "a name that the mapping knows, too"
    department.sql("ALTER TABLE licences DROP holder, ADD phone text")
    with pytest.raises(HeaderDiffers, match=r"missing \[holder_name\], unknown \[phone\]"):
        list(department.source().batches(100))
    department.sql("ALTER TABLE licences RENAME phone TO holder_name")
    department.sql("ALTER TABLE licences DROP CONSTRAINT licences_pkey, ALTER id DROP NOT NULL")
    department.sql("UPDATE licences SET id = 5 WHERE id = 6")
    for size in (5, 100):
        with pytest.raises(SourceError, match="id of department:licences is no key"):
            list(department.source().batches(size))
    department.sql("UPDATE licences SET id = NULL WHERE id = 5")
    with pytest.raises(SourceError, match="id of department:licences is empty in some rows"):
        list(department.source().batches(100))
    department.sql("DROP TABLE licences")
    with pytest.raises(SourceError, match="there is no table department:licences"):
        list(department.source().batches(100))


def test_values_become_text_exactly_and_bytes_are_refused(department: Department) -> None:
    department.sql(
        "ALTER TABLE licences ALTER licence_number TYPE numeric USING 0, ALTER holder_name TYPE bytea USING NULL"
    )
    department.sql("ALTER TABLE licences ALTER issued_on TYPE timestamptz")
    department.sql("INSERT INTO licences VALUES (1, 'a', 0.00000001, NULL, '2024-01-01 16:00:00Z')")
    department.sql(r"INSERT INTO licences VALUES (2, 'a', 12345678901234567890.10, '\x00ff', NULL)")
    (batch,) = department.source().batches(10)
    assert rows([batch]) == [(1, "a", "0.00000001", None, "2024-01-02T00:00:00+08:00")]
    (bad,) = batch.bad
    assert (bad.origin_row, bad.reason) == (2, "binary-value") and json.loads(bad.raw)[
        "holder_name"
    ] == "00ff"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:geheim@127.0.0.1:1/x",
        "dm://u:geheim@127.0.0.1/x",
        "sqlite:////nowhere/x.db",
        "sqlite://",
        "postgresql://[",
    ],
)
def test_what_cannot_be_reached_is_told_without_the_password(uri: str) -> None:
    with pytest.raises(SourceError, match="department:licences cannot be reached") as caught:
        list(Department(uri).source().batches(10))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("separator", ["T", " "])
def test_sqlite_with_timestamps_as_text(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "department.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE licences (id TEXT PRIMARY KEY, licence_type, licence_number, holder_name, issued_on,"
            " updated_at, change)"
        )
        moments = [(BASE + timedelta(minutes=n)).astimezone(CHINA).replace(tzinfo=None) for n in range(300)]
        connection.executemany(
            "INSERT INTO licences VALUES (?, '证', ?, '店', NULL, ?, 1)",
            [(f"k{n:04}", n, moment.isoformat(separator)) for n, moment in enumerate(moments)],
        )
    connection.close()
    department = Department(f"sqlite:///{path}")
    batches = list(department.source(TIMESTAMP).batches(100))
    assert numbers(batches) == [str(n) for n in range(300)]
    assert numbers(department.source(TIMESTAMP).batches(100, batches[1].cursor)) == [
        str(n) for n in range(198, 300)
    ]
    assert numbers(department.source(key_range=("k0100", "k0103")).batches(9)) == ["100", "101", "102"]
    assert [low for low, _ in department.source().key_ranges(3)] == ["k0000", "k0100", "k0200"]


@pytest.fixture
def coarse() -> Iterator[None]:
    """A driver that knows milliseconds only, as ours for SQL Server knows less than is stored there."""

    class Coarse(TimestamptzLoader):
        def load(self, data: Any) -> datetime:
            found = super().load(data)
            return found.replace(microsecond=found.microsecond // 1000 * 1000)

    psycopg.adapters.register_loader("timestamptz", Coarse)
    yield
    psycopg.adapters.register_loader("timestamptz", TimestamptzLoader)


@pytest.mark.usefixtures("coarse")
def test_stamps_that_are_finer_than_can_be_read_leave_no_row_out_and_end(department: Department) -> None:
    department.add(1, 100)
    department.sql("UPDATE licences SET updated_at = updated_at + make_interval(secs => 0.0004567)")
    for size in (3, 30, 1000):
        assert sorted(numbers(department.source(TIMESTAMP).batches(size))) == sorted(
            f"11990{n:08}" for n in range(1, 101)
        )
    # Several within what counts as one: those of a page come again, and are not taken twice.
    department.sql(
        "UPDATE licences SET updated_at = %s + make_interval(secs => (id / 5) + 0.0000001 * id)", BASE
    )
    assert sorted(numbers(department.source(TIMESTAMP).batches(7))) == [f"11990{n:08}" for n in range(1, 101)]
    with pytest.raises(SourceError, match="updated_at of department:licences is finer than can be read"):
        list(department.source(TIMESTAMP).batches(4))


def test_floating_point_is_no_key(department: Department) -> None:
    department.add(1, 3)
    department.sql("ALTER TABLE licences ALTER id TYPE real USING id / 10.0")
    with pytest.raises(SourceError, match="id of department:licences is a floating-point number"):
        list(department.source().batches(2))


@pytest.mark.parametrize(
    "says", ["(openGauss 5.0.0 build a07d57c3) compiled at 2023-03-29", "KingbaseES V008R006"]
)
def test_what_speaks_as_postgresql_does_is_read_whatever_it_calls_itself(
    department: Department, says: str
) -> None:
    department.add(1, 10)
    department.sql(
        "CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql AS"
        f" $$ SELECT '{says} on x86_64'::text $$"
    )
    assert len(numbers(department.source(TIMESTAMP).batches(4))) == 10


def test_an_empty_table_is_no_fault(department: Department) -> None:
    assert list(department.source().batches(10)) == [] and department.source().key_ranges(4) == []
    assert list(department.source(TIMESTAMP).batches(10, "2026-01-01T00:00:00+00:00")) == []
