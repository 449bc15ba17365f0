"""Which source a mapping opens, and a whole run of one that is fetched, by the command."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from click.testing import CliRunner, Result

from connectors.mapping import Snapshot, load_mapping
from connectors.sources.databases import DatabaseSource
from connectors.sources.files import FileSource
from connectors.sources.opening import NoWindows, named, open_source
from connectors.sources.raw import SourceError, Window
from connectors.sources.rest import RestSource
from foundation.settings import Settings
from tests.connectors.sources.licences import mapping
from zhengtong.cli import main

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SQL = {"kind": "sql", "connection": "market", "table": "licences", "key": "id"}
REST = {"kind": "rest", "connection": "market"}


def test_each_origin_opens_its_source_and_a_file_goes_before() -> None:
    find = named({"market": "sqlite:///x"})
    (found,) = open_source(mapping(SQL), None, find, NOW)
    assert isinstance(found, DatabaseSource) and found.name == "market:licences"
    (found,) = open_source(mapping(REST), None, find, NOW)
    assert isinstance(found, RestSource)
    made = load_mapping("population")
    (found,) = open_source(made, Path("a.csv"), find, NOW)
    assert isinstance(found, FileSource)
    with pytest.raises(SourceError, match="population has no origin to fetch from; hand in a file"):
        open_source(made, None, find, NOW)
    with pytest.raises(SourceError, match="licences is fetched as records, not from files"):
        open_source(mapping(SQL), Path("a.csv"), find, NOW)


def test_only_a_table_with_a_cursor_of_timestamps_can_be_asked_for_a_window() -> None:
    find = named({"market": "sqlite:///x"})
    window = Window(NOW - timedelta(days=1), NOW)
    stamped = mapping(SQL | {"cursor": {"kind": "timestamp", "column": "at"}})
    assert len(open_source(stamped, None, find, NOW, window=window)) == 1
    sequence = mapping(SQL | {"cursor": {"kind": "sequence", "column": "n"}})
    snapshot = stamped.model_copy(update={"snapshot": Snapshot(ended_share=1)})
    for made in (mapping(SQL), sequence, mapping(REST), snapshot):
        with pytest.raises(NoWindows, match="licences cannot be asked for a window of time"):
            open_source(made, None, find, NOW, window=window)


@pytest.mark.parametrize("connections", [{}, {"market": "geheim"}])
def test_a_connection_that_is_none_is_told_by_its_name(connections: dict[str, str]) -> None:
    (found,) = open_source(mapping(SQL), None, named(connections), NOW)
    with pytest.raises(SourceError, match="no connection market is configured") as caught:
        list(found.batches(10, None))
    assert "geheim" not in str(caught.value)


def command(settings: Settings, database_url: str, uri: str, *arguments: str) -> Result:
    given = {"ZHENGTONG_DATABASE_URL": database_url, "ZHENGTONG_CONNECTIONS": json.dumps({"market": uri})}
    done = CliRunner().invoke(main, ["--home", str(settings.home), *arguments], env=given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_command_fetches_and_shows_no_secret(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "market.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE licences (id INTEGER PRIMARY KEY, licence_type, licence_number, holder_name, issued_on)"
        )
        rows = [(n, "个体", f"11990{n:08}", "店", "2024-01-01") for n in range(50)]
        connection.executemany(
            "INSERT INTO licences VALUES (?, ?, ?, ?, ?)", [*rows, (50, "个体", b"\0", "店", None)]
        )
    connection.close()
    settings.sources_folder.mkdir(parents=True)
    document = mapping(SQL).model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"ignore": ["id"]}
    (settings.sources_folder / "licences.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    ingest = ("ingest", "licences", "--json")
    first: dict[str, Any] = json.loads(command(settings, database_url, f"sqlite:///{path}", *ingest).stdout)
    assert (first["read"], first["inserted"], first["reasons"]) == (51, 50, {"binary-value": 1})
    second = json.loads(command(settings, database_url, f"sqlite:///{path}", *ingest).stdout)
    assert (second["read"], second["inserted"], second["unchanged"]) == (51, 0, 50)
    with psycopg.connect(database_url) as look:
        assert look.execute("SELECT DISTINCT origin FROM exchange.ingest_run").fetchall() == [
            ("market:licences",)
        ]
    secret = "postgresql://u:geheim@127.0.0.1:1/x"
    told = command(settings, database_url, secret, *ingest)
    assert told.exit_code == 1 and "market:licences" in told.stderr and "geheim" not in told.stderr
    shown = command(settings, database_url, secret, "config", "--json").stdout
    assert json.loads(shown)["connections"] == {"market": "**********"}
