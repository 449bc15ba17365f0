"""Airflow's own backfill over past intervals: like the days one after the other, in order, in reverse, and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demonstration.airflow import Client
from tests.dags.conftest import RUN, Land, installed, sql
from tests.dags.test_windows import ordered

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(500)]

DAG = "zhengtong-branches"
DAYS = [f"2026-02-0{day}T00:00:00+00:00" for day in (1, 2, 3)]


def fill(land: Land) -> None:
    """Put rows of three days, 24, 20 and 10 of them; one of the first day has another name on the third."""
    land.sql("DELETE FROM branches WHERE id BETWEEN 44 AND 47 OR id > 57")
    land.sql(
        "INSERT INTO branches SELECT 100, code, '改名分店', changed_at + interval '2 days' FROM branches WHERE id = 3"
    )


def read_in_order(address: str) -> list[int]:
    runs = "SELECT (report ->> 'read')::int FROM exchange.ingest_run WHERE source = 'branches' ORDER BY started_at"
    return [count for (count,) in sql(address, runs)]


def through(client: Client, number: int) -> None:
    """Wait for a backfill and its runs."""
    path = f"/api/v2/backfills/{number}"

    def ended() -> bool:
        return client.http.get(path).json()["completed_at"] is not None

    client.until(ended, 240, f"backfill {number}")
    runs = client.get(f"dags/{DAG}/dagRuns")["dag_runs"]
    states = {run["logical_date"]: run["state"] for run in runs if run["run_type"] == "backfill"}
    assert list(states.values()) == ["success"] * 3, states


def test_a_backfill_leaves_what_the_days_one_after_the_other_leave(
    land: Land, by_command: Land, server_address: str, tmp_path: Path
) -> None:
    ordered(land)
    rows = land.sql("SELECT * FROM branches")
    land.sql("DELETE FROM branches")
    market = {"AIRFLOW_CONN_MARKET": land.address}
    with (
        installed(
            server_address, tmp_path / "whole", "LocalExecutor", land.settings() | market
        ) as installation,
        installation.running() as client,
    ):
        # The run that is due when it is let go finds nothing yet, and leaves no cursor.
        client.unpause(DAG)
        client.until(lambda: read_in_order(land.address) == [0], 90, "the run that is due")
        with psycopg.connect(land.address, autocommit=True) as connection:
            connection.cursor().executemany("INSERT INTO branches VALUES (%s, %s, %s, %s)", rows)
        fill(land)

        span = ("--from-date", "2026-02-01", "--to-date", "2026-02-03", "--max-active-runs", "1")
        installation.command("airflow", "backfill", "create", "--dag-id", DAG, *span)
        through(client, 1)
        assert read_in_order(land.address) == [0, 23, 20, 11]
        found = land.registers()
        assert len(found["legal_entity"]) == 54
        assert any(row[2]["name"] == "改名分店" for row in found["legal_entity"])
        assert sql(land.address, "SELECT cursor FROM exchange.ingest_cursor") == [(None,)]

        def again(**more: Any) -> None:
            asked = {"dag_id": DAG, "from_date": DAYS[0], "to_date": DAYS[2], "max_active_runs": 1, **more}
            reply = client.http.post("/api/v2/backfills", json=asked | {"reprocess_behavior": "completed"})
            reply.raise_for_status()
            through(client, reply.json()["id"])

        again()
        assert read_in_order(land.address)[4:] == [23, 20, 11]
        assert land.registers() == found, "a second time changes nothing"
        land.sql("TRUNCATE exchange.legal_entity, exchange.legal_entity_history, exchange.ingest_run CASCADE")
        again(run_backwards=True)
        assert read_in_order(land.address) == [11, 20, 23]
        assert land.registers() == found

    for day in DAYS:
        conf = json.dumps({"window": True})
        # The interval of a run that is triggered is the one before its date.
        following = day.replace("02-03", "02-04").replace("02-02", "02-03").replace("02-01", "02-02")
        by_command.airflow.python(
            RUN, "dags.sources", DAG, following, conf, **by_command.settings(), **market
        )
    assert read_in_order(by_command.address) == [23, 20, 11]
    assert by_command.registers() == found
