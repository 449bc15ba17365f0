"""Quality over time: what runs measured field by field, and how that changed from one period to the next."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from connectors.deadlines import MissedDeadline, note
from connectors.mapping import SourceMapping, parse_mapping
from connectors.pipeline import Report, run
from connectors.replay import replay
from connectors.sources.files import FileSource
from connectors.trend import Change, trend
from foundation.identifiers import CitizenId
from foundation.sensitive import Vault

PEOPLE = [CitizenId.compute("990101", date(1980, 2, 28), n).reveal() for n in range(1, 12)]
CENSUS = parse_mapping(
    "census",
    """
source: census
title: 普查
contact: 统计局
register: persons
format: delimited
columns:
  - {column: 号码, field: citizen_id, kind: citizen-id}
  - {column: 姓名, field: name, kind: name}
  - {column: 迁入, field: moved_in_on, kind: date}
  - {column: 住址, field: address, kind: address}
  - {column: 状态, field: status, kind: dictionary, dictionary: {在: resident}}
""",
)
MONTH = timedelta(days=30)


class Town:
    """Deliveries of a census, each as many days ago as is said."""

    def __init__(self, folder: Path, database: str, vault: Vault) -> None:
        self.folder, self.database, self.vault = folder, database, vault

    def deliver(self, *rows: str, days_ago: int = 0, mapping: SourceMapping = CENSUS) -> Report:
        path = self.folder / "census.csv"
        path.write_text("\n".join(["号码,姓名,迁入,住址,状态", *rows]) + "\n", encoding="utf-8")
        report = run(mapping, FileSource(path, mapping), database=self.database, vault=self.vault)
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(
                "UPDATE exchange.ingest_run SET started_at = started_at - %s WHERE id = %s",
                [timedelta(days=days_ago), report.run_id],
            )
        return report


@pytest.fixture
def town(tmp_path: Path, database_url: str, vault: Vault) -> Town:
    return Town(tmp_path, database_url, vault)


def test_a_run_measures_each_field(town: Town) -> None:
    report = town.deliver(
        f"{PEOPLE[0]},张,2003-1-5,东湖路１号,在",
        f"{PEOPLE[1]},李,2003-01-05,,在",
        f"{PEOPLE[2]},王,20030105,西湖路1号,走",
        f"{PEOPLE[3]},,2003-13-05,,在",
        f"{PEOPLE[0]},赵,,,在",
        "x",
    )
    assert (report.read, report.inserted, report.quarantined) == (6, 2, 4)
    measured = report.fields
    # Three rows passed the checks; that one of them contradicts another is of the row as a whole.
    assert {of["good"] for of in measured.values()} == {3}
    assert {name: of["present"] for name, of in measured.items()} == {
        "": 0, "address": 1, "citizen_id": 3, "moved_in_on": 2, "name": 3, "status": 3,
    }  # fmt: skip
    assert measured["moved_in_on"]["transformed"] == {"date-normalised": 1}
    assert measured["address"]["transformed"] == {"width-normalised": 1}
    assert measured["moved_in_on"]["quarantined"] == {"impossible-date": 1}
    assert measured["status"]["quarantined"] == {"unknown-value": 1}
    assert measured[""]["quarantined"] == {"conflict-within-source": 1, "wrong-column-count": 1}


def test_what_the_database_finds_in_conflict_is_measured_as_well(town: Town) -> None:
    rows = [f"{PEOPLE[0]},张,,,在", f"{PEOPLE[0]},李,,,在"]
    path = town.folder / "census.csv"
    path.write_text("\n".join(["号码,姓名,迁入,住址,状态", *rows]) + "\n", encoding="utf-8")
    report = run(CENSUS, FileSource(path, CENSUS), database=town.database, vault=town.vault, batch_rows=1)
    assert report.reasons == {"conflict-within-source": 1}
    assert report.fields[""]["quarantined"] == {"conflict-within-source": 1}


def test_a_trend_sets_a_period_beside_the_one_before(town: Town) -> None:
    town.deliver(f"{PEOPLE[0]},张,2003-1-5,东湖路1号,在", f"{PEOPLE[1]},李,,,走", days_ago=70)
    town.deliver(
        f"{PEOPLE[2]},王,2003-01-05,东湖路1号,在", f"{PEOPLE[3]},赵,2003-01-05,东湖路1号,在", days_ago=45
    )
    town.deliver(f"{PEOPLE[4]},钱,2003-1-5,,在", f"{PEOPLE[5]},孙,2003-01-05,东湖路1号,在", days_ago=5)
    town.deliver(f"{PEOPLE[6]},周,,,在", f"{PEOPLE[7]},吴,20990228,,走", days_ago=1)
    with psycopg.connect(town.database) as connection:
        for days_ago in (3, 3, 40):
            noted = datetime.now(UTC) - timedelta(days=days_ago)
            note(connection, "census", MissedDeadline(f"run-{days_ago}", 90, noted))
        note(connection, "another", MissedDeadline("run-3", 90, datetime.now(UTC)))
        found = trend(connection, "census", MONTH, datetime.now(UTC))
        years = trend(connection, "census", timedelta(days=365), datetime.now(UTC))
        nothing = trend(connection, "census", MONTH, datetime.now(UTC) - timedelta(days=3650))
    assert (found.previous.runs, found.previous.read, found.now.runs, found.now.read) == (1, 2, 2, 4)
    assert found.previous.until == found.now.since
    assert (found.previous.late, found.now.late) == (1, 1), "each run counts once, and only the source's own"
    assert found.fields["address"].completeness == Change(1.0, pytest.approx(1 / 3), pytest.approx(-2 / 3))
    assert found.fields["moved_in_on"].completeness == Change(
        1.0, pytest.approx(2 / 3), pytest.approx(-1 / 3)
    )
    assert found.fields["moved_in_on"].transformed == {
        "date-normalised": Change(0.0, pytest.approx(1 / 3), pytest.approx(1 / 3))
    }
    assert found.fields["status"].quarantined == {"unknown-value": Change(0.0, 0.25, 0.25)}
    assert found.fields["status"].valid == Change(1.0, 0.75, -0.25)
    assert found.fields["name"].valid == Change(1.0, 1.0, 0.0)
    # There is nothing to compare with a period without deliveries.
    assert years.previous.runs == 0
    assert years.fields["status"].valid == Change(None, 0.75, None)
    assert nothing.fields == {}


def test_findings_for_a_steward_are_in_the_trend(town: Town) -> None:
    future = CitizenId.compute("990101", date(2099, 2, 28), 1).reveal()
    town.deliver(f"{PEOPLE[0]},张,,,在", f"{future},李,,,在")
    with psycopg.connect(town.database) as connection:
        found = trend(connection, "census", MONTH, datetime.now(UTC))
    assert found.fields["citizen_id"].findings == {"birth-in-the-future": Change(None, 0.5, None)}


def test_replays_and_content_that_was_known_are_no_deliveries(town: Town) -> None:
    rows = (f"{PEOPLE[0]},张,,,在", f"{PEOPLE[1]},李,,,走")
    town.deliver(*rows)
    again = town.deliver(*rows)
    assert again.same_as is not None
    assert again.fields["status"]["quarantined"] == {"unknown-value": 1}
    replay(CENSUS, database=town.database, vault=town.vault)
    with psycopg.connect(town.database) as connection:
        found = trend(connection, "census", MONTH, datetime.now(UTC))
    assert (found.now.runs, found.now.read) == (1, 2)
