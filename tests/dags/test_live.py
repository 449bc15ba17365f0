"""A whole Airflow: scheduler, triggerer, workers. What waits, is late, comes and is followed up, under two executors."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import httpx
import psycopg
import pytest

from demonstration.airflow import PARTS, Client, free_port
from demonstration.city import CityPlan, write_population
from tests.dags.conftest import Airflow, installed, sql
from tests.debian import debian_program

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(500)]


@pytest.fixture
def variables(tmp_path: Path, database_url: str) -> dict[str, str]:
    return {
        "ZHENGTONG_HOME": str(tmp_path / "home"),
        "ZHENGTONG_DATABASE_URL": database_url,
        "ZHENGTONG_INBOX": str(tmp_path / "inbox"),
        "ZHENGTONG_INBOX_SCHEDULE": "",
    }


def put(inbox: Path, people: int) -> None:
    part = inbox / "day.csv.part"
    write_population(CityPlan(people=people), part)
    part.rename(inbox / "day.csv")


def state(client: Client, dag: str, run: str, task: str) -> str | None:
    return client.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}")["state"]


def followed_up(client: Client, run_id: str) -> bool:
    """Say whether the DAG behind the registers was told of a connector run."""
    dag = "zhengtong-after-registers"
    for run in client.get(f"dags/{dag}/dagRuns")["dag_runs"]:
        if run["state"] == "success" and run_id in client.result(dag, run["dag_run_id"], "sum_up")["runs"]:
            return True
    return False


def test_a_file_is_waited_for_missed_brought_in_and_followed_up(
    airflow: Airflow, server_address: str, database_url: str, variables: dict[str, str], tmp_path: Path
) -> None:
    """Under LocalExecutor. While it waits, no worker is taken; when it is late, somebody is told."""
    mapping = (resources.files("connectors.mapping") / "files" / "population.yaml").read_text("utf-8")
    sources = tmp_path / "home" / "sources"
    sources.mkdir(parents=True)
    (sources / "own.yaml").write_text(
        mapping.replace("source: population", "source: own")
        + "department: police\nschedule: 0 6 31 12 *\ndeadline_minutes: 1\n",
        encoding="utf-8",
    )
    inbox = tmp_path / "inbox" / "own"
    inbox.mkdir(parents=True)
    home, dag = tmp_path / "airflow", "zhengtong-own"
    with (
        installed(server_address, home, "LocalExecutor", variables) as installation,
        installation.running() as client,
    ):
        client.unpause("zhengtong-after-registers")
        client.unpause(dag)
        run = client.trigger(dag)
        client.until(lambda: state(client, dag, run, "find") == "deferred", 60, "deferred")

        def told() -> bool:
            logs = [*home.glob("*.out"), *(home / "logs").rglob("*.log")]
            return any(
                "deadline missed: source=own" in path.read_text("utf-8", errors="replace") for path in logs
            )

        client.until(told, 150, "deadline")
        late = "SELECT source, run, minutes FROM exchange.missed_deadline"
        client.until(lambda: sql(database_url, late) == [("own", run, 1)], 30, "note of the deadline")
        put(inbox, 200)
        client.succeed(dag, run)
        report = client.result(dag, run, "each_file.bring_in", 0)
        assert report["inserted"] == sql(database_url, "SELECT count(*) FROM exchange.person")[0][0] > 150
        assert client.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        client.until(lambda: followed_up(client, report["run_id"]), 60, "follow-up")
        assert sql(installation.metadata, "SELECT DISTINCT pool FROM task_instance WHERE map_index >= 0"
                   " AND task_id LIKE '%bring_in'") == [("zhengtong-police",)]  # fmt: skip
        address = installation.address
    with pytest.raises(httpx.TransportError):
        httpx.get(address)
    left = [p for p in Path("/proc").glob("[0-9]*/environ") if str(home).encode() in _read(p)]
    assert left == [], "all its parts ended"


SLEEP = """
CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.position > 10000 THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
CREATE TRIGGER sleep BEFORE INSERT OR UPDATE ON exchange.ingest_cursor FOR EACH ROW EXECUTE FUNCTION sleep()
"""
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


def test_a_task_that_is_killed_is_tried_again_by_the_scheduler(
    airflow: Airflow, server_address: str, database_url: str, variables: dict[str, str], tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox" / "population"
    inbox.mkdir(parents=True)
    put(inbox, 12_000)
    dag = "zhengtong-population"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SLEEP)
    with (
        installed(server_address, tmp_path / "airflow", "LocalExecutor", variables) as installation,
        installation.running() as client,
    ):
        client.unpause(dag)
        run = client.trigger(dag)
        client.until(lambda: sql(database_url, SLEEPING) != [], 90, "the second batch")
        ((task,),) = sql(installation.metadata, "SELECT pid FROM task_instance WHERE state = 'running'")
        os.kill(task, signal.SIGKILL)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", sql(database_url, SLEEPING)[0])
            connection.execute("DROP TRIGGER sleep ON exchange.ingest_cursor")
        # The source has gates: of a run that did not come to its end there is nothing to be seen.
        assert sql(database_url, "SELECT count(*) FROM exchange.person") == [(0,)]
        client.succeed(dag, run)
        report = client.result(dag, run, "each_file.bring_in", 0)
        tries = sql(
            installation.metadata,
            "SELECT try_number FROM task_instance WHERE task_id = 'each_file.bring_in' AND map_index = 0",
        )
    assert tries == [(2,)]
    assert report["inserted"] > 8_000 > report["unchanged"], "all of it was left to bring in"
    assert sql(database_url, "SELECT count(*) FROM exchange.person") == [(report["inserted"],)]
    assert not (inbox / "day.csv").exists()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """Address of a Redis, installed from the system's packages where that is ours to do."""
    program = debian_program("redis-server", "redis-server")
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


def test_a_file_is_brought_in_by_a_worker_of_celery(
    airflow: Airflow,
    redis: str,
    server_address: str,
    database_url: str,
    variables: dict[str, str],
    tmp_path: Path,
) -> None:
    inbox = tmp_path / "inbox" / "population"
    inbox.mkdir(parents=True)
    put(inbox, 200)
    variables |= {
        "AIRFLOW__CELERY__BROKER_URL": redis,
        "AIRFLOW__CELERY__RESULT_BACKEND": redis,
    }
    worker = ("celery", "worker", "--concurrency", "2")
    dag = "zhengtong-population"
    with (
        installed(server_address, tmp_path / "airflow", "CeleryExecutor", variables) as installation,
        installation.running((*PARTS, worker)) as client,
    ):
        client.unpause(dag)
        run = client.trigger(dag)
        client.succeed(dag, run)
        report = client.result(dag, run, "each_file.bring_in", 0)
        said = (tmp_path / "airflow" / "celery.out").read_text("utf-8", errors="replace")
    assert report["inserted"] == sql(database_url, "SELECT count(*) FROM exchange.person")[0][0] > 150
    assert said.count("] received") >= 3, "find, bring_in and put_away were tasks of Celery"
    assert not (inbox / "day.csv").exists()
