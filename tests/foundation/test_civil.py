"""Days by the clock on the wall in China, not by the server's or Greenwich's."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from foundation.civil import CHINA, civil_date, day_begins, rfc3339


def test_before_eight_in_the_morning_it_is_already_today() -> None:
    assert civil_date(datetime(2026, 6, 30, 15, 59, tzinfo=UTC)) == date(2026, 6, 30)
    assert civil_date(datetime(2026, 6, 30, 16, 0, tzinfo=UTC)) == date(2026, 7, 1)


def test_a_day_begins_with_its_own_first_moment() -> None:
    begins = day_begins(date(2026, 7, 1))
    assert begins == datetime(2026, 6, 30, 16, 0, tzinfo=UTC)
    assert civil_date(begins) == date(2026, 7, 1)


@given(st.datetimes(timezones=st.sampled_from([UTC, CHINA])))
def test_moments_are_spelled_as_python_spells_them(moment: datetime) -> None:
    assert rfc3339(moment) == moment.isoformat()
