"""Ranges of keys that travel: sealed, each brought in beside the others, and what the key has to be for that."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import cursors
from connectors.mapping import SourceMapping, parse_mapping
from connectors.pipeline import run
from connectors.sources.databases import DatabaseSource
from connectors.sources.key_ranges import cut, open_range
from connectors.sources.raw import SourceError
from foundation.identifiers import Uscc
from foundation.sensitive import SealBroken, Vault
from tests.connectors.sources.licences import mapping as unranged

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def mapping(source: str = "branches") -> SourceMapping:
    document = {
        "source": source,
        "title": "分支机构",
        "contact": "市场监管",
        "register": "legal_entities",
        "format": "records",
        "origin": {"kind": "sql", "connection": "market", "table": "branches", "key": "code", "ranges": 3},
        "columns": [
            {"column": "code", "field": "code", "kind": "uscc", "old_number_field": "registration_number"},
            {"column": "name", "field": "name", "kind": "name"},
        ],
    }
    return parse_mapping(source, json.dumps(document))


def code(number: int) -> str:
    return Uscc.compute(f"91990101MB2A{number:05}").text


@pytest.fixture
def connections(tmp_path: Path) -> Callable[[str], str]:
    path = tmp_path / "market.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE branches (code TEXT PRIMARY KEY, name TEXT)")
        connection.executemany(
            "INSERT INTO branches VALUES (?, ?)", [(code(n), f"第{n}店") for n in range(30)]
        )
    connection.close()
    return lambda _name: f"sqlite:///{path}"


def add(connections: Callable[[str], str], key: str, name: str) -> None:
    with sqlite3.connect(connections("market").removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO branches VALUES (?, ?)", (key, name))
    connection.close()


def test_ranges_travel_as_json_that_shows_no_key_and_open_for_their_source_only(
    connections: Callable[[str], str], vault: Vault
) -> None:
    made = mapping()
    ranges = json.loads(json.dumps(cut(made, connections, NOW, vault)))
    assert [each["name"] for each in ranges] == ["1/3", "2/3", "3/3"]
    assert not any(code(n) in json.dumps(ranges) for n in range(30))
    found = [open_range(made, connections, NOW, vault, each) for each in ranges]
    assert [source.name for source in found] == [f"market:branches {n}/3" for n in (1, 2, 3)]
    read = [code for source in found for batch in source.batches(4) for code in batch.columns[0]]
    assert read == sorted(code(n) for n in range(30))
    for other in (mapping("others"), made):
        with pytest.raises(SealBroken):
            open_range(other, connections, NOW, vault, {**ranges[0], "name": "2/3"})
    with pytest.raises(SourceError, match="licences is no table that could be cut"):
        cut(unranged({"kind": "rest", "connection": "market"}), connections, NOW, vault)


@pytest.mark.parametrize("late", ["", "９", " "], ids=["same kind", "wide", "space"])
def test_the_order_of_the_ranges_makes_no_difference(
    connections: Callable[[str], str], database_url: str, vault: Vault, late: str
) -> None:
    """Two keys that become one stand in two ranges: only the one that is as it is to be comes in, in any order."""
    made = mapping()
    spelled = {"": "110000012345678", "９": code(0).replace("9", "９"), " ": code(0) + " "}[late]
    add(connections, spelled, "另一店")
    ranges = cut(made, connections, NOW, vault)
    for order in (ranges, ranges[::-1]):
        reports = [
            run(
                made,
                open_range(made, connections, NOW, vault, each),
                database=database_url,
                vault=vault,
                beside=True,
            )
            for each in order
        ]
        assert sum(report.read for report in reports) == 31
        reasons = [report.reasons for report in reports if report.reasons]
        assert reasons == ([{"key-not-normal": 1}] if late else [])
    assert sum(report.changed + report.inserted for report in reports) == 0, "the second time, backwards"
    whole = DatabaseSource(made, made.origin, connections, NOW)  # type: ignore[arg-type]
    report = run(made, whole, database=database_url, vault=vault)
    assert report.changed + report.inserted == 0, "and in one piece"


def begin(address: str, origin: str, beside: bool) -> psycopg.Connection:
    connection = psycopg.connect(address, autocommit=True)
    connection.execute("SET lock_timeout = '300ms'")
    cursors.begin_run(connection, uuid.uuid4(), "branches", origin, NOW, beside)
    return connection


def test_ranges_run_beside_each_other_but_not_twice_and_not_beside_the_whole(database_url: str) -> None:
    first = begin(database_url, "market:branches 1/3", True)
    begin(database_url, "market:branches 2/3", True).close()
    refused: list[tuple[str, Any]] = [("market:branches 1/3", True), ("market:branches", False)]
    for origin, beside in refused:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            begin(database_url, origin, beside)
    first.close()
    whole = begin(database_url, "market:branches", False)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        begin(database_url, "market:branches 1/3", True)
    whole.close()
