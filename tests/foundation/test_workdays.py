"""Working days: as the State Council's notices have them, counted forwards and back, and a city's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.settings import SettingsError
from foundation.workdays import is_past, load_calendar

CALENDAR = load_calendar()
DAYS = st.dates(date(2019, 6, 1), date(2028, 6, 30))
COUNTS = st.integers(0, 300)


def test_every_day_that_is_known_is_as_an_independent_calendar_has_it() -> None:
    day = date(2020, 1, 1)
    while day <= CALENDAR.known_until:
        assert CALENDAR.is_working(day) == chinese_calendar.is_workday(day), day
        day += timedelta(days=1)
    assert day == date(2027, 1, 1)


def test_days_that_the_notices_name() -> None:
    assert not CALENDAR.is_working(date(2020, 1, 31))  # the spring festival that was made longer
    assert CALENDAR.is_working(date(2026, 2, 14))  # a Saturday
    assert not CALENDAR.is_working(date(2026, 2, 23))  # a Monday
    assert CALENDAR.add_working_days(date(2026, 9, 30), 2) == date(2026, 10, 9)
    assert CALENDAR.add_working_days(date(2026, 10, 9), 1) == date(2026, 10, 10)


def test_beyond_the_last_notice_weekends_alone_are_known() -> None:
    assert CALENDAR.known_until == date(2026, 12, 31)
    assert CALENDAR.is_working(date(2027, 10, 1))
    assert not CALENDAR.is_working(date(2027, 10, 2))


@given(DAYS, COUNTS)
def test_counting_back_gives_what_was_added(day: date, count: int) -> None:
    end = CALENDAR.add_working_days(day, count)
    assert CALENDAR.working_days_between(day, end) == count
    assert CALENDAR.working_days_between(end, day) == -count
    assert count == 0 or CALENDAR.is_working(end)


@given(DAYS, COUNTS, COUNTS)
def test_terms_in_a_row_are_one_term(day: date, first: int, second: int) -> None:
    at_once = CALENDAR.add_working_days(day, first + second)
    assert CALENDAR.add_working_days(CALENDAR.add_working_days(day, first), second) == at_once


@given(DAYS, DAYS, DAYS)
def test_days_between_add_up(one: date, two: date, three: date) -> None:
    between = CALENDAR.working_days_between
    assert between(one, two) + between(two, three) == between(one, three)


@given(DAYS, COUNTS)
def test_a_later_start_never_ends_earlier(day: date, count: int) -> None:
    later = CALENDAR.add_working_days(day + timedelta(days=1), count)
    assert later >= CALENDAR.add_working_days(day, count)


@pytest.mark.parametrize("count", [-1, 10_001])
def test_terms_that_no_law_gives_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="working days"):
        CALENDAR.add_working_days(date(2026, 1, 1), count)


def test_a_term_ends_with_its_last_day_by_the_clock_on_the_wall() -> None:
    # 00:30 on Friday in China, still Thursday in Greenwich: Friday does not count.
    moment = datetime(2026, 7, 9, 16, 30, tzinfo=UTC)
    due = CALENDAR.due_on(moment, 1)
    assert due == date(2026, 7, 13)
    assert not is_past(due, datetime(2026, 7, 13, 15, 59, 59, tzinfo=UTC))
    assert is_past(due, datetime(2026, 7, 13, 16, 0, tzinfo=UTC))


HEADER = "date,kind,name,notice\n"


def test_a_city_adds_days_and_they_count_first(tmp_path: Path) -> None:
    own = tmp_path / "workdays.csv"
    own.write_text(HEADER + "2026-04-15,off,泼水节,\n2026-10-10,off,本市另有安排,\n", encoding="utf-8")
    calendar = load_calendar(own)
    assert not calendar.is_working(date(2026, 4, 15))
    assert not calendar.is_working(date(2026, 10, 10))
    assert calendar.is_working(date(2026, 9, 20))
    assert calendar.known_until == date(2026, 12, 31)


def test_a_new_notice_makes_its_year_known_without_a_release(tmp_path: Path) -> None:
    own = tmp_path / "workdays.csv"
    own.write_text(HEADER + "2027-10-01,off,国庆节,another notice\n2028-01-05,off,本市,\n", encoding="utf-8")
    calendar = load_calendar(own)
    assert calendar.known_until == date(2027, 12, 31)
    assert not calendar.is_working(date(2027, 10, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("day,kind\n", "columns"),
        (HEADER + "2026-02-30,off,x,\n", "line 2"),
        (HEADER + "2026-02-20,off,x,\n2026-02-21,perhaps,x,\n", "line 3"),
        (HEADER + "2026-02-20\n", "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "workdays.csv"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load_calendar(own)
