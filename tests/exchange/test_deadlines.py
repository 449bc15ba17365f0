"""Terms: those that come along, a city's own in their place, and files that cannot be read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest

from exchange.catalog.resources import SharingClass
from exchange.deadlines import CORRECTION, load_deadlines
from exchange.requests.request import NOT_ON_PLATFORM
from exchange.requests.states import STEPS
from foundation.settings import Settings, SettingsError

NOON = datetime(
    2026, 9, 24, 4, 0, tzinfo=UTC
)  # a Thursday before the mid-autumn festival and the national day


def test_the_terms_that_come_along_are_those_of_the_decree(tmp_path: Path) -> None:
    deadlines = load_deadlines(Settings(home=tmp_path))
    assert {kind: steps.get("answer") for kind, steps in deadlines.terms.items()} == {
        "unconditional": 1,
        "conditional": 10,
        "not-on-platform": 10,
        "not-shared": 10,
        "correction": 10,
    }
    assert deadlines.terms["conditional"] == {"check": 2, "answer": 10, "provide": 20, "decide": 10}
    sharing = {frozenset(steps) for kind, steps in deadlines.terms.items() if kind != CORRECTION}
    assert sharing == {frozenset(STEPS.values())}
    assert {*SharingClass, NOT_ON_PLATFORM, CORRECTION} == set(deadlines.terms)
    # 28 to 30 September, then 8, 9, 10 (a Saturday that is worked), 12 to 15 October.
    assert deadlines.due_on("any", "conditional", "answer", NOON) == date(2026, 10, 15)


def test_a_place_s_own_terms_count_and_what_it_does_not_name_is_as_everywhere(tmp_path: Path) -> None:
    (tmp_path / "deadlines.json").write_bytes(
        orjson.dumps(
            {"terms": {"correction": {"answer": 5}}, "places": {"one": {"conditional": {"answer": 5}}}}
        )
    )
    deadlines = load_deadlines(Settings(home=tmp_path))
    assert deadlines.due_on("one", "conditional", "answer", NOON) == date(2026, 10, 9)
    assert deadlines.due_on("other", "conditional", "answer", NOON) == date(2026, 10, 15)
    assert deadlines.due_on("one", "conditional", "check", NOON) == date(2026, 9, 29)
    assert deadlines.due_on("one", "correction", "answer", NOON) == date(2026, 10, 9)


def test_a_deadline_beyond_the_known_holidays_says_so(tmp_path: Path) -> None:
    deadlines = load_deadlines(Settings(home=tmp_path))
    assert deadlines.told(date(2026, 12, 31)) == {"due_on": "2026-12-31"}
    assert deadlines.told(date(2027, 1, 4)) == {
        "due_on": "2027-01-04",
        "calendar_until": "2026-12-31",
        "warnings": ["calendar-unknown"],
    }
    assert deadlines.told(None) == {"due_on": None}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "an object"),
        (b'{"term": {}}', "an object"),
        (b'{"places": []}', "/places"),
        (b'{"terms": {"sometimes": {}}}', "/terms/sometimes"),
        (b'{"terms": {"conditional": {"sleep": 1}}}', "/terms/conditional/sleep"),
        (b'{"terms": {"conditional": {"answer": -1}}}', "working days"),
        (b'{"terms": {"conditional": {"answer": true}}}', "working days"),
        (b'{"terms": {"conditional": {"answer": 1.5}}}', "working days"),
        (b'{"places": {"one": {"conditional": {"answer": "5"}}}}', "/places/one/conditional/answer"),
        (b'{"places": {"one": 5}}', "/places/one"),
    ],
)
def test_a_file_that_is_no_such_thing_stops_the_start_and_says_where(
    tmp_path: Path, document: bytes, said: str
) -> None:
    (tmp_path / "deadlines.json").write_bytes(document)
    with pytest.raises(SettingsError, match=said):
        load_deadlines(Settings(home=tmp_path))
