"""Data intervals: a day of the past is brought in again, and the run after it goes on where the last one ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundation.identifiers import Uscc
from tests.dags.conftest import RUN, Land

pytestmark = pytest.mark.thorough

BRANCHES = """
source: branches
title: 分支机构
contact: 市场监管
register: legal_entities
format: records
schedule: 0 0 * * *
origin:
  kind: sql
  connection: market
  table: branches
  key: id
  cursor: {kind: timestamp, column: changed_at, overlap_seconds: 0}
ignore: [id, changed_at]
columns:
  - {column: code, field: code, kind: uscc}
  - {column: name, field: name, kind: name}
"""


def ordered(land: Land, text: str = BRANCHES) -> None:
    """Put the mapping and a table whose rows changed one an hour, from the beginning of 2026-02-01 on."""
    folder = land.home / "sources"
    folder.mkdir(parents=True)
    (folder / "branches.yaml").write_text(text, encoding="utf-8")
    land.sql("CREATE TABLE branches (id int PRIMARY KEY, code text, name text, changed_at timestamptz)")
    for n in range(72):
        land.sql(
            "INSERT INTO branches VALUES (%s, %s, %s, '2026-02-01T00:00Z'::timestamptz + make_interval(hours => %s))",
            n,
            Uscc.compute(f"91990101MB2A{n:05}").text,
            f"第{n}分店",
            n,
        )


def fetch(land: Land, *asked: str) -> Any:
    market = {"AIRFLOW_CONN_MARKET": land.address}
    land.airflow.python(RUN, "dags.sources", "zhengtong-branches", *asked, **land.settings(), **market)
    ((run,),) = land.airflow.sql(
        "SELECT run_id FROM dag_run WHERE dag_id = 'zhengtong-branches' ORDER BY id DESC LIMIT 1"
    )
    ((report,),) = land.results(str(run), "fetch_in")
    return report


def test_a_day_of_the_past_is_brought_in_again_and_moves_no_cursor(land: Land) -> None:
    ordered(land)
    day = ("2026-02-03T00:00:00+00:00", json.dumps({"window": True}))
    report = fetch(land, *day)
    assert (report["read"], report["inserted"]) == (24, 24)
    assert land.sql("SELECT min(content ->> 'name'), count(*) FROM exchange.legal_entity") == [
        ("第24分店", 24)
    ]
    assert fetch(land)["read"] == 72, "nothing is taken for brought in that only a window brought"
    cursor = land.sql("SELECT cursor FROM exchange.ingest_cursor")
    before = land.registers()
    assert fetch(land, *day)["unchanged"] == 24
    assert land.registers() == before
    assert land.sql("SELECT cursor FROM exchange.ingest_cursor") == cursor
    assert fetch(land)["read"] == 1, "the last row, and no more"


def test_a_source_without_timestamps_is_not_asked_for_a_window(land: Land) -> None:
    ordered(
        land,
        BRANCHES.replace(
            "kind: timestamp, column: changed_at, overlap_seconds: 0", "kind: sequence, column: id"
        ),
    )
    with pytest.raises(AssertionError, match="no-"):
        fetch(land, "2026-02-03T00:00:00+00:00", json.dumps({"window": True}))
    assert land.sql("SELECT count(*) FROM exchange.ingest_run") == [(0,)]
