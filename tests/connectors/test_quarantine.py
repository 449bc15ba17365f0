"""Quarantine: the original bytes sealed, the same row once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from connectors import quarantine
from connectors.sources.raw import BadRow
from foundation.sensitive import Keyring, SealBroken, Vault
from tests.conftest import fresh_database

NOW = datetime(2025, 6, 30, tzinfo=UTC)
VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))
RAW = "990101198002281234,张三,".encode() + b"\xff"
ROW = BadRow(7, "citizen_id", "wrong-check-character", RAW)


@pytest.fixture(scope="module")
def shared_connection(server_address: str, template: str) -> Iterator[psycopg.Connection]:
    with (
        fresh_database(server_address, template) as address,
        psycopg.connect(address, autocommit=True) as opened,
    ):
        yield opened


@pytest.fixture
def connection(shared_connection: psycopg.Connection) -> psycopg.Connection:
    shared_connection.execute("TRUNCATE exchange.quarantine")
    return shared_connection


def put(connection: psycopg.Connection, *rows: BadRow, source: str = "s", days: int = 0) -> uuid.UUID:
    run_id = uuid.uuid4()
    with connection.transaction():
        quarantine.put(connection, VAULT, source, run_id, rows, NOW + timedelta(days=days))
    return run_id


def standing(connection: psycopg.Connection, columns: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {columns} FROM exchange.quarantine ORDER BY source, reason").fetchall()


def test_a_row_is_kept_with_its_place_its_reason_and_its_sealed_bytes(connection: psycopg.Connection) -> None:
    put(connection, ROW)
    ((row, field, reason, digest, raw),) = standing(connection, "origin_row, field, reason, digest, raw")
    assert (row, field, reason) == (7, "citizen_id", "wrong-check-character")
    assert RAW[:17] not in raw
    assert quarantine.original(VAULT, digest, raw) == RAW
    with pytest.raises(SealBroken):
        quarantine.original(VAULT, bytes(16), raw)


def test_the_same_row_in_the_next_file_is_counted_and_not_stored_again(
    connection: psycopg.Connection,
) -> None:
    put(connection, ROW)
    later = put(connection, BadRow(9, ROW.field, ROW.reason, RAW), days=1)
    assert standing(connection, "origin_row, run_id, first_seen, last_seen, seen") == [
        (9, later, NOW, NOW + timedelta(days=1), 2)
    ]
    ((digest, raw),) = standing(connection, "digest, raw")
    assert quarantine.original(VAULT, digest, raw) == RAW


def test_the_same_row_twice_in_one_file_is_counted_too(connection: psycopg.Connection) -> None:
    put(connection, ROW, BadRow(8, ROW.field, ROW.reason, RAW))
    assert standing(connection, "seen") == [(2,)]


def test_another_source_reason_or_row_stands_by_itself(connection: psycopg.Connection) -> None:
    put(
        connection,
        ROW,
        BadRow(7, None, "wrong-column-count", RAW),
        BadRow(8, ROW.field, ROW.reason, RAW + b"!"),
    )
    put(connection, ROW, source="t")
    assert standing(connection, "source, reason, seen") == [
        ("s", "wrong-check-character", 1),
        ("s", "wrong-check-character", 1),
        ("s", "wrong-column-count", 1),
        ("t", "wrong-check-character", 1),
    ]


@pytest.mark.parametrize("raw", [b"", b"\0", bytes(range(256)) * 4096], ids=["empty", "NUL", "a megabyte"])
def test_any_bytes_are_kept(connection: psycopg.Connection, raw: bytes) -> None:
    put(connection, BadRow(1, None, "malformed-row", raw))
    ((digest, sealed),) = standing(connection, "digest, raw")
    assert quarantine.original(VAULT, digest, sealed) == raw


def test_what_waits_is_grouped_by_source_reason_and_field(connection: psycopg.Connection) -> None:
    others = [BadRow(n, None, "wrong-column-count", f"{n},".encode()) for n in (3, 1, 2)]
    put(connection, ROW, *others)
    put(connection, ROW, days=2)
    put(connection, ROW, source="t")
    found = quarantine.groups(connection)
    assert [(g.source, g.reason, g.field, g.rows, g.seen) for g in found] == [
        ("s", "wrong-column-count", None, 3, 3),
        ("s", "wrong-check-character", "citizen_id", 1, 2),
        ("t", "wrong-check-character", "citizen_id", 1, 1),
    ]
    assert (found[1].first_seen, found[1].last_seen) == (NOW, NOW + timedelta(days=2))
    assert [g.source for g in quarantine.groups(connection, "t")] == ["t"]


def test_rows_that_wait_come_in_the_order_of_their_file_and_can_be_released(
    connection: psycopg.Connection,
) -> None:
    put(connection, *(BadRow(n, None, "wrong-column-count", f"{n},".encode()) for n in (3, 1, 2)), ROW)
    rows = quarantine.waiting(connection, "s", "wrong-column-count")
    assert [row.origin_row for row in rows] == [1, 2, 3]
    assert [quarantine.original(VAULT, row.digest, row.sealed) for row in rows] == [b"1,", b"2,", b"3,"]
    assert len(quarantine.waiting(connection, "s", limit=2)) == 2
    quarantine.release(connection, "s", [row.digest for row in rows[:2]])
    assert [row.origin_row for row in quarantine.waiting(connection, "s")] == [3, 7]
    quarantine.release(connection, "t", [rows[2].digest])
    assert len(quarantine.waiting(connection, "s")) == 2


@pytest.mark.parametrize(
    ("raw", "encoding", "shape"),
    [
        ("990101198002281234,张三,A-b".encode(), "utf-8", "999999999999999999,字字,a-a"),
        ("张三,1980年".encode("gb18030"), "gb18030", "字字,9999字"),
        ("１２Ａ".encode(), "utf-8", "99a"),
        (b"a\0\tb", "utf-8", "a<0000><0009>a"),
        (b"\xff,1", "utf-8", "\ufffd,9"),
        ("𠮷é".encode(), "utf-8", "字a"),
    ],
)
def test_the_shape_of_a_row_shows_its_form_and_nothing_it_says(raw: bytes, encoding: str, shape: str) -> None:
    assert quarantine.shape(raw, encoding) == shape
