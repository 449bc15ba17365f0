"""The story through a real Airflow, as a user runs it, and what stands in Airflow afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from connectors.gates import GateVerdict
from connectors.pipeline import Report
from demonstration.airflow import AirflowBroken, Client, Installation, free_port, report_of
from foundation import database
from foundation.settings import Settings
from tests.conftest import temporary_home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_told_through_airflow_it_comes_out_as_told(home: Path) -> None:
    options = ["--airflow", "--once", "--people", "1000", "--port", str(free_port()), "--home", str(home)]
    told = subprocess.run(["./run", *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    assert "✗" not in told.stdout
    with database.running_database(Settings(home=home)) as address:
        metadata = make_url(address).set(database="airflow").render_as_string(hide_password=False)
        with psycopg.connect(metadata) as airflow, psycopg.connect(address) as ours:
            states = dict(airflow.execute("SELECT dag_id, min(state) FROM dag_run GROUP BY 1").fetchall())
            events = airflow.execute("SELECT extra->>'run_id', extra->>'source' FROM asset_event").fetchall()
            runs = ours.execute("SELECT id::text, source FROM exchange.ingest_run").fetchall()
    for source in ("population", "legal-entities", "credentials"):
        assert states[f"zhengtong-{source}"] == "success"
    assert "zhengtong-after-registers" in states, "the registers as assets started it"
    assert sorted(events) == sorted(runs), "the event of the asset tells of the connector run"
    assert len(runs) == 3
    left = [path for path in (home / "inbox").rglob("*") if path.is_file() and "done" not in path.parts]
    assert left == []
    for path in (home / "airflow" / "secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, "nobody else reads its secrets"


def test_a_part_that_ends_is_told_with_what_it_said(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho there is no Airflow here\nexit 3\n", encoding="ascii")
    broken.chmod(0o755)
    airflow = Installation(broken, tmp_path, "postgresql://nobody@127.0.0.1:1/none", free_port())
    with pytest.raises(AirflowBroken) as refused, airflow.running():
        pass
    assert "there is no Airflow here" in str(refused.value.values["said"])
    with pytest.raises(AirflowBroken) as refused:
        airflow.command("airflow", "version")
    assert "there is no Airflow here" in str(refused.value.values["said"])


def test_what_does_not_come_is_told_in_time() -> None:
    looks: list[int] = []
    client = Client(None, lambda: looks.append(1))  # type: ignore[arg-type]
    with pytest.raises(AirflowBroken):
        client.until(lambda: False, 0.01, "nothing")
    assert looks, "meanwhile it is seen to that all parts live"


def test_a_report_comes_back_as_it_was_sent() -> None:
    verdict = GateVerdict("uniqueness", 0.99, 0.95, True)
    report = Report("population", "r", 3, 1, 1, 0, 1, {"impossible-date": 1}, {}, 0.5, [verdict])
    assert report_of({**report.as_json(), "file": "a.csv", "mark": "1-1"}) == report
