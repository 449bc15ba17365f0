"""A table brought in by ranges of its key, as tasks of their own: like the command in one piece, twice, and killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
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
department: market
origin:
  kind: sql
  connection: market
  table: branches
  key: code
  ranges: 4
columns:
  - {column: code, field: code, kind: uscc}
  - {column: name, field: name, kind: name}
"""
ROWS = 400


def code(number: int) -> str:
    return Uscc.compute(f"91990101MB2A{number:05}").text


@pytest.fixture
def branches(land: Land, by_command: Land) -> Land:
    """A land whose sources have the mapping, beside a table of 400 rows, one with a key that is not normal."""
    folder = land.home / "sources"
    folder.mkdir(parents=True)
    (folder / "branches.yaml").write_text(BRANCHES, encoding="utf-8")
    land.sql("CREATE TABLE branches (code text PRIMARY KEY, name text)")
    for n in range(ROWS):
        land.sql("INSERT INTO branches VALUES (%s, %s)", code(n), f"第{n}分店")
    # By normalising it becomes the first, and would stand in another range with another name.
    wide = code(0).translate({c: c + 0xFEE0 for c in range(0x30, 0x5B)})
    land.sql("INSERT INTO branches VALUES (%s, %s)", wide, "另一分店")
    land.airflow.python("-m", "airflow", "pools", "set", "zhengtong-market", "4", "market")
    return land


def market(land: Land) -> dict[str, str]:
    return {**land.settings(), "AIRFLOW_CONN_MARKET": land.address}


def fetch(land: Land) -> tuple[str, list[Any]]:
    """Run the DAG; return its run and the reports of the ranges."""
    land.airflow.python(RUN, "dags.sources", "zhengtong-branches", **market(land))
    ((run,),) = land.airflow.sql(
        "SELECT run_id FROM dag_run WHERE dag_id = 'zhengtong-branches' ORDER BY id DESC LIMIT 1"
    )
    return str(run), land.results(str(run), "each_range.fetch_range")


def test_ranges_bring_in_what_one_piece_brings_in_and_twice_changes_nothing(
    branches: Land, by_command: Land
) -> None:
    run, reports = fetch(branches)
    assert [report["read"] for report in reports] == [101, 100, 100, 100]
    assert sum(report["inserted"] for report in reports) == ROWS
    assert [r["reasons"] for r in reports if r["reasons"]] == [{"key-not-normal": 1}]
    (total,) = branches.results(run, "all_in")
    assert total == {"read": 401, "inserted": 400, "changed": 0, "unchanged": 0, "quarantined": 1}
    names = branches.sql("SELECT origin FROM exchange.ingest_run ORDER BY 1")
    assert names == [(f"market:branches {n}/4",) for n in range(1, 5)]
    assert branches.sql("SELECT cursor FROM exchange.ingest_cursor WHERE source = 'branches'") == [(None,)]
    told = branches.airflow.sql("SELECT source_task_id, extra FROM asset_event WHERE source_run_id = %s", run)
    assert [(task, len(extra["reports"])) for task, extra in told] == [("all_in", 4)]
    (ranges,) = branches.results(run, "cut")
    assert not any(code(n) in json.dumps(ranges) for n in range(ROWS)), "no key stands in an XCom"
    before = branches.registers()

    run, reports = fetch(branches)
    assert branches.results(run, "all_in")[0]["unchanged"] == ROWS
    assert branches.registers() == before

    by_command.ingest("branches", None, ZHENGTONG_CONNECTIONS=json.dumps({"market": branches.address}))
    assert by_command.registers() == before


def test_killed_in_the_middle_of_a_range_and_run_again_it_leads_to_the_same_registers(
    branches: Land, by_command: Land
) -> None:
    # Four batches of 30 rows for each range: the sixth is in the one that comes second.
    program = branches.airflow.start(
        str(Path(__file__).with_name("dying_dag.py")),
        "merging", "6", "dags.sources", "zhengtong-branches",
        **market(branches), BATCH_ROWS="30",
    )  # fmt: skip
    said, _ = program.communicate(timeout=100)
    assert program.returncode == -signal.SIGKILL, said[-2000:]
    assert branches.sql("SELECT count(*) FROM exchange.ingest_run WHERE finished_at IS NULL") == [(1,)]
    ((stored,),) = branches.sql("SELECT count(*) FROM exchange.legal_entity")
    # Airflow does not say which range goes first.
    ((done,),) = branches.sql(
        "SELECT (report ->> 'inserted')::int FROM exchange.ingest_run WHERE report IS NOT NULL"
    )
    assert stored == done + 30 >= 99 + 30, "one range, and of another whole batches"
    _run, reports = fetch(branches)
    assert sum(report["unchanged"] for report in reports) == stored
    assert branches.sql("SELECT count(*) FROM exchange.legal_entity_history") == [(0,)]
    by_command.ingest("branches", None, ZHENGTONG_CONNECTIONS=json.dumps({"market": branches.address}))
    assert by_command.registers() == branches.registers()


def test_an_empty_table_has_no_ranges_and_the_run_succeeds(branches: Land) -> None:
    branches.sql("DELETE FROM branches")
    assert fetch(branches)[1] == []


def test_ranges_need_as_many_slots_of_their_department(branches: Land) -> None:
    said = branches.airflow.python("-m", "dags.pools", **branches.settings())
    assert json.loads(said.splitlines()[-1])["zhengtong-market"]["slots"] == 4
