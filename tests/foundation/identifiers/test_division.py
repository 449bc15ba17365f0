"""Divisions have dates: one that was abolished still stands in many identifiers, and some codes were used anew."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from foundation.identifiers import find, findings


@pytest.mark.parametrize(
    ("code", "year", "found"),
    [
        ("990101", None, ()),
        ("990101", 1984, ()),
        ("990101", 1983, ("not-yet-division",)),
        ("990111", 2013, ()),  # the year of its end counts
        ("990111", 2014, ("abolished-division",)),
        ("990111", None, ("abolished-division",)),
        ("990119", None, ("unknown-division",)),
        ("990119", 2000, ("unknown-division",)),
        ("330113", 2024, ()),
        ("330114", 2024, ()),
        ("130107", 1985, ()),  # two spans: 1983 to 1989, and again from 1992
        ("130107", 1990, ("abolished-division",)),
        ("130107", 1992, ()),
        ("130107", 1982, ("not-yet-division",)),
        ("130107", None, ()),
        ("", None, ("unknown-division",)),
    ],
)
def test_a_code_is_judged_by_the_year(code: str, year: int | None, found: tuple[str, ...]) -> None:
    assert findings(code, year) == found


@pytest.mark.parametrize("year", [None, 1990, 2030])
def test_an_abolished_division_names_who_took_over(year: int | None) -> None:
    old = find("990111", year)
    assert old is not None
    assert (old.name, old.valid_until, old.successors) == ("老城区", 2013, ("990101",))
    assert not findings(old.successors[0])


def test_a_code_that_was_used_anew_gives_the_span_of_the_year_asked_for() -> None:
    first, again, latest = find("511402", 1996), find("511402", 2005), find("511402")
    assert first is not None
    assert again is not None
    assert first.name != again.name
    assert first.valid_until == 1997
    assert again == latest


def test_every_span_of_the_table_is_found_in_its_years_and_every_successor_is_known() -> None:
    with (resources.files("foundation.identifiers") / "divisions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 6000
    for row in rows:
        for year in {int(row["from"]), int(row["until"] or 2024)}:
            found = find(row["code"], year)
            assert found is not None
            assert found.is_in_force(year)
            assert findings(row["code"], year) == ()
    codes = {row["code"] for row in rows}
    unknown = {s for row in rows for s in row["successors"].split(";") if s and s not in codes}
    assert not unknown
    # Whatever has ended needs an end that is not before its beginning.
    assert all(int(row["from"]) <= int(row["until"]) for row in rows if row["until"])
    assert {row["level"] for row in rows} == {"province", "city", "county"}
