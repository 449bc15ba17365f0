"""Two departments speak of the same people: what leads, what is found, what was when, and what a snapshot ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import pipeline
from connectors.gates import GateClosed
from connectors.mapping import load_mapping, parse_mapping
from connectors.pipeline import Report, run
from connectors.sources.files import FileSource
from exchange.registers.history import Version, as_of
from exchange.registers.schemas import load_registers
from foundation.identifiers import CitizenId
from tests.connectors.test_pipeline import VAULT

PERSONS = load_registers()["persons"]
HEADER = "身份证号,姓名,住址,状态,迁入日期"
MAPPING = """
source: {source}
title: {source}
contact: {source}
register: persons
format: delimited
lead_rank: {rank}
{more}
columns:
  - {{column: 身份证号, field: citizen_id, kind: citizen-id}}
  - {{column: 姓名, field: name, kind: name}}
  - {{column: 住址, field: address, kind: address, lead_rank: {address_rank}}}
  - {{column: 状态, field: status}}
  - {{column: 迁入日期, field: moved_in_on, kind: date}}
"""


def person(number: int) -> str:
    return CitizenId.compute("990101", date(1980, 2, 29), number).reveal()


@dataclass(frozen=True, slots=True)
class City:
    """A database, and a folder of mappings beside those that come along."""

    address: str
    folder: Path

    def source(self, name: str, rank: int, address_rank: int, more: str = "") -> None:
        text = MAPPING.format(source=name, rank=rank, address_rank=address_rank, more=more)
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    def bring(self, source: str, *rows: str, batch_rows: int = 10) -> Report:
        path = self.folder / f"{source}.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
        mapping = load_mapping(source, self.folder)
        return run(
            mapping,
            FileSource(path, mapping),
            database=self.address,
            vault=VAULT,
            batch_rows=batch_rows,
            sources_folder=self.folder,
        )

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def at(self, number: int, moment: datetime | None = None) -> Version | None:
        subject = VAULT.blind_index("citizen-id", person(number))
        with psycopg.connect(self.address) as connection:
            return as_of(connection, VAULT, PERSONS, subject, moment or datetime.now(UTC))

    def now(self, number: int) -> Version:
        found = self.at(number)
        assert found is not None
        return found


@pytest.fixture
def city(database_url: str, tmp_path: Path) -> City:
    found = City(database_url, tmp_path)
    found.source("police", rank=1, address_rank=9)
    found.source("tax", rank=5, address_rank=2)
    return found


POLICE = f"{person(1)},张三,旧街1号,resident,"
TAX = f"{person(1)},张叁,新街2号,resident,2020/1/5"


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.inserted, report.changed, report.unchanged, report.quarantined


@pytest.mark.parametrize("first", ["police", "tax"])
def test_the_lead_source_of_each_field_wins_whoever_comes_first(city: City, first: str) -> None:
    rows = {"police": POLICE, "tax": TAX}
    second = ({"police", "tax"} - {first}).pop()
    assert counts(city.bring(first, rows[first])) == (1, 0, 0, 0)
    report = city.bring(second, rows[second])
    assert counts(report) == (0, 1, 0, 0)
    found = city.now(1)
    assert (found.record["name"], found.record["address"]) == ("张三", "新街2号")
    assert {name: where["source"] for name, where in found.provenance.items()} == {
        "citizen_id": "police",
        "name": "police",
        "status": "police",
        "address": "tax",
        "moved_in_on": "tax",
    }
    assert found.provenance["moved_in_on"]["transforms"] == ["date-normalised"]
    assert report.findings["differs-from-lead-source"] == 1
    for source, row in rows.items():
        assert counts(city.bring(source, row)) == (0, 0, 1, 0), "again it changes nothing"
    assert city.now(1) == found


def test_what_does_not_lead_makes_no_version_and_is_found(city: City) -> None:
    city.bring("police", POLICE)
    city.bring("tax", TAX)
    before = city.now(1)
    report = city.bring("tax", TAX.replace("张叁", "张散"))
    assert counts(report) == (0, 0, 1, 0)
    assert city.now(1).version == before.version and city.now(1).record == before.record
    ((row, field),) = city.sql("SELECT origin_row, field FROM exchange.finding WHERE code = 'differs-from-lead-source'"
                               f" AND run_id = '{report.run_id}'")  # fmt: skip
    assert (row, field) == (1, "name")


def test_two_rows_of_one_file_that_contradict_are_a_conflict_for_a_shared_subject_too(city: City) -> None:
    city.bring("police", POLICE)
    report = city.bring("tax", TAX, TAX.replace("新街2号", "新街3号"), batch_rows=1)
    assert counts(report) == (0, 1, 0, 1)
    assert city.now(1).record["address"] == "新街2号"
    again = city.bring("tax", TAX, TAX.replace("新街2号", "新街3号"), batch_rows=1)
    assert counts(again) == (0, 0, 1, 1)


def test_what_was_on_a_day_stays_to_be_asked(city: City) -> None:
    before = datetime.now(UTC)
    city.bring("police", POLICE)
    between = datetime.now(UTC)
    city.bring("police", POLICE.replace("张三", "张四"))
    city.bring("tax", TAX)
    assert city.at(1, before) is None
    old = city.at(1, between)
    assert old is not None and old.record["name"] == "张三" and old.valid_until is not None
    assert (city.now(1).version, city.now(1).valid_until) == (3, None)


def test_nothing_of_a_contribution_stands_in_clear_and_none_opens_as_anothers(city: City) -> None:
    city.bring("police", POLICE)
    city.bring("tax", TAX)
    rows = city.sql(
        "SELECT source, content::text, sealed, subject FROM exchange.person_contribution ORDER BY source"
    )
    assert [source for source, *_ in rows] == ["police", "tax"]
    for _source, content, sealed, _subject in rows:
        assert person(1) not in content and person(1).encode() not in sealed
    # Swapped in the database, they are refused.
    with psycopg.connect(city.address, autocommit=True) as connection:
        for (source, *_), (_, _, sealed, _) in zip(rows, reversed(rows), strict=True):
            connection.execute(
                "UPDATE exchange.person_contribution SET sealed = %s WHERE source = %s", [sealed, source]
            )
    with pytest.raises(ValueError, match="altered or belongs to another place"):
        city.bring("tax", TAX.replace("新街2号", "新街4号"))


SNAPSHOT = "snapshot: {ended_share: 0.4}"


def everybody(*numbers: int) -> list[str]:
    return [f"{person(number)},某人,某街{number}号,resident," for number in numbers]


def test_whom_a_snapshot_no_longer_names_is_ended_and_comes_back(city: City) -> None:
    city.source("police", 1, 9, SNAPSHOT)
    assert city.bring("police", *everybody(1, 2, 3)).ended == 0
    report = city.bring("police", *everybody(1, 2))
    assert (report.ended, report.unchanged) == (1, 2)
    assert city.at(3) is None
    assert city.bring("police", *everybody(1, 2)).ended == 0
    assert counts(city.bring("police", *everybody(1, 2, 3))) == (1, 0, 2, 0)
    assert city.now(3).version == 2
    assert counts(city.bring("police", *[row.replace("某人", "某某") for row in everybody(1, 2, 3)])) == (
        0,
        3,
        0,
        0,
    )


def test_too_many_at_once_end_nobody(city: City) -> None:
    city.source("police", 1, 9, SNAPSHOT)
    city.bring("police", *everybody(1, 2, 3, 4))
    report = city.bring("police", *everybody(1, 2))
    assert report.ended == 0
    (verdict,) = [v for v in report.gates if v.name == "snapshot.ended_share"]
    assert (verdict.measured, verdict.passed) == (0.5, False)
    assert city.now(4).record["name"] == "某人"


def test_a_row_that_waits_in_quarantine_is_no_absence(city: City) -> None:
    city.source("police", 1, 9, SNAPSHOT)
    city.bring("police", *everybody(1, 2, 3, 5, 6))
    # The row says whom it is about, though its date is none: nobody else is to blame.
    report = city.bring("police", *everybody(1, 5, 6), everybody(2)[0] + "2020-02-31")
    assert (report.quarantined, report.ended) == (1, 1)
    assert city.now(2).record["name"] == "某人" and city.at(3) is None
    # A row that does not even say that could be anybody's.
    report = city.bring("police", *everybody(1, 5, 6), "what is this?")
    assert (report.quarantined, report.ended) == (1, 0)
    assert [v.name for v in report.gates if not v.passed] == ["snapshot.unnamed_rows"]
    city.now(2)


def test_whom_another_source_still_names_goes_on_without_what_the_snapshot_said(city: City) -> None:
    city.source("police", 1, 9, SNAPSHOT)
    city.bring("police", POLICE, *everybody(2, 3))
    city.bring("tax", TAX)
    assert city.now(1).record["name"] == "张三"
    report = city.bring("police", *everybody(2, 3))
    assert report.ended == 0
    found = city.now(1)
    assert (found.record["name"], found.provenance["name"]["source"]) == ("张叁", "tax")
    assert city.sql("SELECT count(*) FROM exchange.person_contribution") == [(0,)]
    assert counts(city.bring("tax", TAX)) == (0, 0, 1, 0)


GATES = "gates: {shares_from_rows: 1, %s}"


@pytest.mark.parametrize(
    ("gate", "rows", "closed"),
    [
        ("quarantined_share: 0.3", [*everybody(1, 2), "x"], "quarantined_share 0.333333 > 0.3"),
        ("rows_at_least: 4", everybody(1, 2, 3), "rows_at_least 3 < 4"),
        ("completeness: {moved_in_on: 0.5}", everybody(1, 2), "completeness.moved_in_on 0 < 0.5"),
        ("uniqueness: 0.9", everybody(1, 1, 2), "uniqueness 0.666667 < 0.9"),
        ("freshness: {moved_in_on: 30}", [POLICE + "2001-01-01"], "freshness.moved_in_on"),
        ("freshness: {moved_in_on: 30}", [POLICE], "freshness.moved_in_on ? (30)"),
    ],
)
def test_a_closed_gate_stops_the_run_before_anything_of_it_is_visible(
    city: City, gate: str, rows: list[str], closed: str
) -> None:
    city.source("police", 1, 9, GATES % gate)
    with pytest.raises(GateClosed, match=r"police\.csv") as caught:
        city.bring("police", *rows)
    assert closed in str(caught.value)
    for table in ("person", "person_history", "quarantine", "finding", "ingest_cursor"):
        assert city.sql(f"SELECT count(*) FROM exchange.{table}") == [(0,)], table
    ((report,),) = city.sql("SELECT report FROM exchange.ingest_run")
    assert report["stopped"] and report["read"] == len(rows) and report["inserted"] == 0


def test_a_volume_that_jumps_is_judged_by_the_last_run_that_came_in(city: City) -> None:
    city.source("police", 1, 9, "gates: {rows_change: 0.5}")
    city.bring("police", *everybody(1, 2, 3, 4))
    for rows in (everybody(1), everybody(*range(1, 8))):
        with pytest.raises(GateClosed, match=r"rows_change 0\.75 > 0\.5"):
            city.bring("police", *rows)
    assert city.bring("police", *everybody(1, 2, 3, 4, 5, 6)).inserted == 2


def test_shares_of_a_few_rows_close_no_gate(city: City) -> None:
    city.source("police", 1, 9, "gates: {quarantined_share: 0.1, uniqueness: 1.0}")
    report = city.bring("police", *everybody(1, 1), "x")
    assert (report.inserted, report.quarantined) == (1, 1)
    assert [verdict.passed for verdict in report.gates] == [True, True]


def test_a_freshness_gate_asks_for_a_column_that_holds_dates() -> None:
    text = MAPPING.format(source="x", rank=1, address_rank=1, more="gates: {freshness: {name: 3}}")
    with pytest.raises(Exception, match=r"gates.freshness: no column of kind date for name"):
        parse_mapping("x", text)


def test_the_very_same_content_again_is_known_without_being_read(city: City) -> None:
    rows = [*everybody(1, 2), "what is this?"]
    first = city.bring("police", *rows)
    again = city.bring("police", *rows)
    assert (first.same_as, again.same_as) == (None, first.run_id)
    assert counts(again) == (0, 0, 2, 1) and again.reasons == first.reasons
    assert city.sql("SELECT seen FROM exchange.quarantine") == [(2,)]
    third = city.bring("police", *rows)
    assert third.same_as == again.run_id
    assert city.sql("SELECT seen FROM exchange.quarantine") == [(3,)]


@pytest.mark.parametrize("between", ["other content", "other rules", "a run that stopped", "a run that died"])
def test_what_happened_in_between_makes_the_same_content_worth_reading(city: City, between: str) -> None:
    rows = everybody(1, 2)
    city.bring("police", *rows)
    match between:
        case "other content":
            city.bring("police", everybody(1)[0].replace("某人", "某某"))
        case "other rules":
            city.source("police", 2, 9)
        case "a run that stopped":
            city.source("police", 1, 9, "gates: {rows_at_least: 5}")
            with pytest.raises(GateClosed):
                city.bring("police", *rows)
            city.source("police", 1, 9)
        case "a run that died":
            with psycopg.connect(city.address, autocommit=True) as connection:
                connection.execute(
                    "INSERT INTO exchange.ingest_run (id, source, started_at, origin)"
                    " VALUES (gen_random_uuid(), 'police', now(), 'x')"
                )
    report = city.bring("police", *rows)
    assert report.same_as is None
    assert report.changed == (1 if between == "other content" else 0)


@pytest.mark.parametrize("gates", ["", "gates: {rows_at_least: 1}"])
def test_a_batch_that_fails_says_why_and_leaves_nothing_of_a_run_with_gates(
    city: City, gates: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.source("police", 1, 9, gates)

    def failing(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("the third batch fails")

    done = iter([pipeline.bring_in, pipeline.bring_in, failing])
    monkeypatch.setattr(pipeline, "bring_in", lambda *some, **named: next(done)(*some, **named))
    with pytest.raises(RuntimeError, match="the third batch fails"):
        city.bring("police", *everybody(*range(1, 6)), batch_rows=1)
    assert city.sql("SELECT count(*) FROM exchange.person") == [(0 if gates else 2,)]
    assert city.sql("SELECT finished_at FROM exchange.ingest_run") == [(None,)]
    monkeypatch.undo()
    assert city.bring("police", *everybody(*range(1, 6))).inserted == (5 if gates else 3)
