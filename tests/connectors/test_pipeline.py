"""Whole runs against a real database: twice, changed, in any batches, killed, cut off; and nothing in clear."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from connectors import quarantine
from connectors.mapping import load_mapping
from connectors.pipeline import Report, run
from connectors.sources.files import FileSource
from connectors.sources.raw import SourceError
from demonstration.city import CityPlan, Mess, write_credentials, write_legal_entities, write_population
from demonstration.city import mess as kinds
from exchange.registers.schemas import load_registers, place
from foundation.identifiers import CitizenId, Uscc
from foundation.sensitive import Keyring, Vault
from tests.conftest import fresh_database

VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))
"""The same in all databases of this module, so that their registers can be compared."""
MESSY = Mess(
    dict.fromkeys(kinds.POPULATION, 0.04),
    dict.fromkeys(kinds.LEGAL_ENTITIES, 0.1),
    dict.fromkeys(kinds.CREDENTIALS, 0.1),
)
PLAN = CityPlan(people=300, mess=MESSY)
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
COMPANY = Uscc.compute("91990101MB2A00001").text
OFFICE = Uscc.compute("11990100MB2A00001").text
FIFTEEN = PERSON[:6] + PERSON[8:17]


@dataclass(frozen=True, slots=True)
class Land:
    """A database to bring files into, and what stands there afterwards, opened."""

    address: str

    def bring(
        self,
        path: Path,
        source: str = "population",
        batch_rows: int = 64,
        progress: Callable[[int], None] | None = None,
        encoding: str | None = None,
        gates: bool = False,
        workers: int = 0,
    ) -> Report:
        """Bring a file in; without its gates, since most files here are spoilt on purpose."""
        mapping = load_mapping(source)
        if not gates:
            mapping = mapping.model_copy(update={"gates": None})
        if encoding is not None:
            mapping = mapping.model_copy(update={"encoding": encoding})
        report = run(
            mapping,
            FileSource(path, mapping),
            database=self.address,
            vault=VAULT,
            batch_rows=batch_rows,
            progress=progress,
            workers=workers,
        )
        assert report.read == report.inserted + report.changed + report.unchanged + report.quarantined
        assert sum(report.reasons.values()) == report.quarantined
        return report

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def rows(self, table: str) -> dict[tuple[bytes, int], dict[str, Any]]:
        """Return (subject, version) → record, opened, of a register or of its history."""
        found = {}
        for subject, version, content, sealed in self.sql(
            f"SELECT subject, version, content, sealed FROM exchange.{table}"
        ):
            where = place(table.removesuffix("_history"), subject)
            found[subject, version] = content | (orjson.loads(VAULT.open(sealed, where)) if sealed else {})
        return found

    def registers(self) -> dict[str, Any]:
        """Return everything that may not depend on how the files came in."""
        names = [register.table for register in load_registers().values()]
        found: dict[str, Any] = {name: self.rows(name) for name in names}
        found |= {f"{name}_history": self.rows(f"{name}_history") for name in names}
        found["quarantine"] = self.quarantined()
        return found

    def quarantined(self) -> set[tuple[str, bytes, str | None, str]]:
        found = self.sql("SELECT source, digest, raw, field, reason FROM exchange.quarantine")
        return {
            (source, quarantine.original(VAULT, digest, raw), field, reason)
            for source, digest, raw, field, reason in found
        }

    def person(self, citizen_id: str = PERSON) -> dict[str, Any]:
        subject = VAULT.blind_index("citizen-id", citizen_id)
        (found,) = (record for (key, _), record in self.rows("person").items() if key == subject)
        return found


@pytest.fixture
def land(database_url: str) -> Land:
    return Land(database_url)


@pytest.fixture
def another_land(server_address: str, template: str) -> Callable[[], Any]:
    @contextmanager
    def made() -> Iterator[Land]:
        with fresh_database(server_address, template) as address:
            yield Land(address)

    return made


def population(path: Path, *rows: str) -> Path:
    path.write_bytes("\r\n".join((HEADER, *rows, "")).encode("gb18030"))
    return path


def row(citizen_id: str = PERSON, name: str = "张三丰", address: str = "东湖路1号") -> str:
    return f"{citizen_id},{name},男,,汉族,已婚,,H1,户主,990101,990102,{address},2001-05-06,正常,"


def moved(path: Path) -> Path:
    """Return the file of the next day: some people live elsewhere, one is new."""
    content = path.read_bytes().replace("东湖路".encode("gb18030"), "新湖路".encode("gb18030"))
    other = path.with_name(f"next-{path.name}")
    other.write_bytes(content + f"{row()}\r\n".encode("gb18030"))
    return other


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A messy population with every kind of mess in it."""
    path = tmp_path_factory.mktemp("city") / "population.csv"
    made = write_population(PLAN, path)
    assert made.mess.keys() == kinds.POPULATION.keys()
    return path


def test_the_same_file_again_changes_nothing(land: Land, city: Path) -> None:
    first = land.bring(city)
    before = land.registers()
    stamps = land.sql("SELECT subject, version, run_id, valid_from FROM exchange.person ORDER BY 1")
    second = land.bring(city)
    assert (first.changed, first.quarantined > 0) == (0, True)
    assert (second.inserted, second.changed) == (0, 0)
    assert second.unchanged == first.inserted + first.unchanged
    assert (second.reasons, second.findings) == (first.reasons, first.findings)
    assert land.registers() == before
    assert before["person_history"] == {}
    assert land.sql("SELECT subject, version, run_id, valid_from FROM exchange.person ORDER BY 1") == stamps
    assert land.sql("SELECT DISTINCT seen FROM exchange.quarantine") == [(2,)], "nothing piles up"


def test_a_city_comes_in_as_its_maker_expects(land: Land, tmp_path: Path) -> None:
    plan = CityPlan(people=1000, mess=MESSY)
    for source, write in (("population", write_population), ("legal-entities", write_legal_entities)):
        made = write(plan, tmp_path / source)
        report = land.bring(tmp_path / source, source)
        expected = Counter(made.expected)
        duplicates = expected.pop("duplicate")
        assert (report.read, report.unchanged) == (made.rows, duplicates)
        assert Counter(report.reasons) == expected
    made = write_credentials(plan, tmp_path / "credentials")
    report = land.bring(tmp_path / "credentials", "credentials")
    assert (report.read, report.reasons) == (made.rows, dict(made.expected))
    assert report.findings["differs-from-lead-source"] == made.mess["other-name"]


def test_a_changed_row_is_changed_and_history_keeps_the_old(land: Land, tmp_path: Path) -> None:
    land.bring(population(tmp_path / "1", row()))
    assert land.bring(population(tmp_path / "2", row(address="中山路2号"))).changed == 1
    assert land.bring(population(tmp_path / "3", row(citizen_id=FIFTEEN, address="中山路2号"))).unchanged == 1
    assert land.person()["address"] == "中山路2号"
    ((_, version), old), *more = land.rows("person_history").items()
    assert (version, old["address"], more) == (1, "东湖路1号", [])
    ((began, ended, since),) = land.sql(
        "SELECT h.valid_from, h.valid_until, p.valid_from FROM exchange.person p JOIN exchange.person_history h"
        " USING (subject)"
    )
    assert began < ended == since


def test_any_batches_and_workers_lead_to_the_same_registers(
    another_land: Callable[[], Any], city: Path, tmp_path: Path
) -> None:
    found = []
    for batch_rows, workers in ((3, 0), (20, 2), (50, 1), (10_000, 0)):
        with another_land() as land:
            reports = [
                land.bring(path, batch_rows=batch_rows, workers=workers) for path in (city, moved(city))
            ]
            assert reports[1].changed > 5
            findings = land.sql("SELECT r.origin, f.origin_row, f.field, f.code FROM exchange.finding f"
                                " JOIN exchange.ingest_run r ON r.id = f.run_id ORDER BY 1, 2, 3, 4")  # fmt: skip
            rows = land.sql("SELECT subject, origin_row FROM exchange.person ORDER BY 1")
            counts = [replace(report, run_id="", seconds=0.0) for report in reports]
            found.append((land.registers(), findings, rows, counts))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_a_row_that_contradicts_one_before_stays_behind(land: Land, tmp_path: Path, batch_rows: int) -> None:
    other = row(citizen_id=FIFTEEN, address="中山路2号")
    path = population(tmp_path / "population.csv", row(), row(), other, row())
    for attempt in (1, 2):
        report = land.bring(path, batch_rows=batch_rows)
        assert (report.reasons, report.unchanged) == ({"conflict-within-source": 1}, 1 + attempt)
        assert report.findings == {}, "findings are of rows that were brought in"
        assert land.person()["address"] == "东湖路1号"
    assert land.rows("person_history") == {}
    assert land.quarantined() == {("population", other.encode("gb18030"), None, "conflict-within-source")}


def credential(number: int, **members: Any) -> dict[str, Any]:
    return {
        "licence_type": "business-licence",
        "licence_number": f"9901002020{number:08d}",
        "holder_code": COMPANY,
        "holder_name": "示范市光明有限公司",
        "representative_id": PERSON,
        "representative_name": "张三丰",
        "issuer_code": OFFICE,
        "issued_on": "2020-01-02",
        "state": "01",
    } | members


def test_the_lead_source_stays_and_a_disagreement_is_a_finding(land: Land, tmp_path: Path) -> None:
    land.bring(population(tmp_path / "population.csv", row()))
    before = land.rows("person")
    stranger = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
    path = tmp_path / "credentials.json"
    path.write_bytes(
        orjson.dumps(
            [
                credential(1),
                credential(2, representative_name="张三"),
                credential(3, representative_name="N/A"),
                credential(4, representative_id=stranger),
                credential(5, representative_id=None),
            ]
        )
    )
    report = land.bring(path, "credentials")
    assert (report.inserted, report.quarantined) == (5, 0), report.reasons
    found = land.sql(
        "SELECT origin_row, field, code FROM exchange.finding WHERE field <> 'holder_code' ORDER BY 1"
    )
    assert found == [
        (2, "representative_name", "differs-from-lead-source"),
        (4, "representative_id", "not-in-register"),
    ]
    assert report.findings["not-in-register"] == 1 + 5, "the company is in no register"
    assert land.rows("person") == before
    assert {record["representative_name"] for record in land.rows("credential").values()
            if record["licence_number"].endswith("2")} == {"张三"}  # fmt: skip


def test_the_run_and_its_cursor_are_on_record(land: Land, city: Path) -> None:
    report = land.bring(city)
    ((origin, started, finished, kept),) = land.sql(
        "SELECT origin, started_at, finished_at, report FROM exchange.ingest_run"
    )
    assert (origin, kept["read"], kept["reasons"]) == ("population.csv", report.read, report.reasons)
    assert started < finished
    ((run_id, position, digest),) = land.sql(
        "SELECT run_id, position, origin_digest FROM exchange.ingest_cursor"
    )
    assert (str(run_id), position, len(digest)) == (report.run_id, report.read, 64)


def test_a_file_that_breaks_later_leaves_the_batches_before_it(land: Land, tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_bytes(orjson.dumps([credential(number) for number in range(25)])[:-40])
    with pytest.raises(SourceError, match="element 25"):
        land.bring(path, "credentials", batch_rows=10)
    assert len(land.rows("credential")) == 20
    assert land.sql("SELECT position FROM exchange.ingest_cursor") == [(20,)]
    assert land.sql("SELECT finished_at, report FROM exchange.ingest_run") == [(None, None)]


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.position = {position} THEN RAISE 'disk full'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON exchange.ingest_cursor FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("refused", [1, 3])
def test_a_batch_whose_cursor_cannot_move_is_not_there_nor_any_behind_it(
    land: Land, city: Path, refused: int
) -> None:
    land.sql(REFUSE.format(position=refused * 50))
    with pytest.raises(psycopg.Error, match="disk full"):
        land.bring(city, batch_rows=50)
    assert {row for (row,) in land.sql("SELECT (origin_row - 1) / 50 FROM exchange.person")} == set(
        range(refused - 1)
    )
    assert all(row <= (refused - 1) * 50 for (row,) in land.sql("SELECT origin_row FROM exchange.quarantine"))
    assert all(row <= (refused - 1) * 50 for (row,) in land.sql("SELECT origin_row FROM exchange.finding"))
    cursor = land.sql("SELECT position FROM exchange.ingest_cursor")
    assert cursor == ([((refused - 1) * 50,)] if refused > 1 else [])


def test_a_database_that_goes_away_leaves_whole_batches_only(
    land: Land, another_land: Callable[[], Any], city: Path
) -> None:
    read = 0

    def cut_off(rows: int) -> None:
        nonlocal read
        read += rows
        if read == 90:
            land.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(psycopg.OperationalError):
        land.bring(city, batch_rows=30, progress=cut_off)
    ((position,),) = land.sql("SELECT position FROM exchange.ingest_cursor")
    assert position >= 90
    assert position % 30 == 0
    ((greatest,),) = land.sql("SELECT max(origin_row) FROM exchange.person")
    assert position - 30 < greatest <= position
    land.bring(city, batch_rows=30)
    with another_land() as whole:
        whole.bring(city)
        assert land.registers() == whole.registers()


DRIVER = """
import os, signal, sys
from pathlib import Path
from connectors import cursors, pipeline, quarantine
from connectors.mapping import load_mapping
from connectors.sources.files import FileSource
from foundation.sensitive import Keyring, Vault

VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))
address, path, point, number = sys.argv[1:]
calls = 0

def dying(work, before):
    def wrapped(*args, **named):
        global calls
        calls += 1
        if before and calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*args, **named)
        if calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

progress = None
match point:
    case "brought":
        pipeline.bring_in = dying(pipeline.bring_in, False)
    case "merging":
        pipeline.bring_in = dying(pipeline.bring_in, True)
    case "quarantined":
        quarantine.put = dying(quarantine.put, False)
    case "cursor moved":
        cursors.move = dying(cursors.move, False)
    case "committed":
        progress = dying(lambda rows: None, True)
mapping = load_mapping("population").model_copy(update={"gates": None})
origin = FileSource(Path(path), mapping)
pipeline.run(mapping, origin, database=address, vault=VAULT, batch_rows=30, progress=progress)
"""
POINTS = [("committed", 1), ("brought", 3), ("quarantined", 4), ("merging", 6), ("cursor moved", 8)]


def test_killed_at_every_step_and_run_again_it_ends_as_one_run(
    land: Land, another_land: Callable[[], Any], city: Path
) -> None:
    """The second day's file is killed again and again, each time further on; then it is left to end."""
    land.bring(city)
    second = moved(city)
    positions = []
    for point, number in POINTS:
        killed = subprocess.run(
            [sys.executable, "-c", DRIVER, land.address, str(second), point, str(number)],
            cwd=Path(__file__).resolve().parents[2],
            timeout=60,
            check=False,
            stderr=subprocess.PIPE,
        )
        assert killed.returncode == -signal.SIGKILL, (point, killed.stderr.decode()[-500:])
        ((position, done),) = land.sql(
            "SELECT c.position, r.finished_at FROM exchange.ingest_cursor c JOIN exchange.ingest_run r"
            " ON r.id = c.run_id"
        )
        assert (position % 30, done) == (0, None)
        positions.append(position)
    # Dying before the commit leaves the batch out; in the last case seven batches stand.
    assert positions[1:] == [(number - 1) * 30 for _, number in POINTS[1:]]
    assert positions[0] >= 30
    report = land.bring(second, batch_rows=30)
    assert report.changed + report.inserted > 0, "something was left to do"
    with another_land() as whole:
        whole.bring(city)
        once = whole.bring(second, batch_rows=30)
        assert (report.read, report.reasons) == (once.read, once.reasons)
        assert land.registers() == whole.registers()


def test_two_runs_of_one_source_at_once_wait_for_each_other(land: Land, city: Path) -> None:
    reports: list[Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(land.bring(city, batch_rows=20))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    first, second = sorted(reports, key=lambda report: -report.inserted)
    assert (second.inserted, second.changed) == (0, 0)
    assert second.unchanged == first.inserted + first.unchanged
    ((overlap,),) = land.sql(
        "SELECT count(*) FROM exchange.person WHERE run_id <> %s OR version <> 1", first.run_id
    )
    assert overlap == 0


def test_no_citizen_id_stands_anywhere_in_the_database(land: Land, tmp_path: Path, city: Path) -> None:
    """Neither of 18 nor of 15 digits, neither as text nor as bytes, in registers, history, quarantine or elsewhere."""
    people, entities, licences = city, tmp_path / "entities.csv", tmp_path / "credentials.json"
    write_legal_entities(PLAN, entities)
    write_credentials(PLAN, licences)
    for path in (people, moved(people)):
        land.bring(path)
    land.bring(entities, "legal-entities")
    land.bring(licences, "credentials")
    assert land.rows("person_history"), "history is searched too"
    ids = set()
    for line in people.read_bytes().split(b"\r\n")[1:-1]:
        cells = line.split(b",")
        ids |= {cells[0], *(cell for cell in cells[6:7] if len(cell) == 18)}
    ids |= {found[:6] + found[8:17] for found in ids if len(found) == 18} | {found[:17] for found in ids}
    assert len(ids) > 600
    dumped = 0
    with psycopg.connect(land.address, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copy:
                text = b"".join(bytes(piece) for piece in copy)
            dumped += len(text)
            for found in ids:
                assert found not in text, table
                assert found.hex().encode() not in text, table
    assert dumped > 100_000
    assert {table.split(".")[0] for (table,) in tables} >= {
        "exchange",
        "license_registry",
        "ledger",
        "identity",
    }
