"""Working days (工作日): weekdays but for public holidays, and the weekend days that are worked instead (调休)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path

from foundation.civil import civil_date, day_begins
from foundation.settings import SettingsError

MAXIMUM_DAYS = 10_000
"""More working days than any law gives: 40 years."""

_DAY = timedelta(days=1)
_COLUMNS = ["date", "kind", "name", "notice"]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked.

    Args:
        off: days that are not worked, whatever day of the week; weekends need not be named.
        on: days that are worked, though of a weekend. A day that is in both is not worked.
        known_until: last day of the last year whose notice is in here. Beyond it the weekends alone are known, and
            a deadline that lies there may still move.
    """

    off: frozenset[date]
    on: frozenset[date]
    known_until: date

    def is_working(self, day: date) -> bool:
        """True if the offices are open on a day."""
        return day not in self.off and (day.weekday() < 5 or day in self.on)

    def add_working_days(self, day: date, count: int) -> date:
        """Return the `count`th working day after a day, which does not count itself; for 0 the day as it is.

        Raises:
            ValueError: below 0 or above `MAXIMUM_DAYS`.
        """
        if not 0 <= count <= MAXIMUM_DAYS:
            raise ValueError(f"from 0 to {MAXIMUM_DAYS} working days can be counted, not {count}")
        while count:
            day += _DAY
            count -= self.is_working(day)
        return day

    def working_days_between(self, start: date, end: date) -> int:
        """Return how many working days come after `start`, up to and including `end`; negative if `end` is earlier."""
        if end < start:
            return -self.working_days_between(end, start)
        return sum(self.is_working(start + _DAY * number) for number in range(1, (end - start).days + 1))

    def due_on(self, moment: datetime, count: int) -> date:
        """Return the last day, until its end, of a term of working days that a moment begins.

        The day of the moment itself does not count.
        """
        return self.add_working_days(civil_date(moment), count)


def is_past(due_on: date, now: datetime) -> bool:
    """True once the last day of a term has ended, by the clock on the wall."""
    return now >= day_begins(due_on + _DAY)


@cache
def load_calendar(own_file: Path | None = None) -> Calendar:
    """Return the calendar that comes along, with a city's own days if it has a file of them.

    Args:
        own_file: CSV as `workdays.csv`: date, kind (`off` or `on`), name, notice. A day in it counts before the same
            day of the calendar that comes along. `notice` stands in rows that are the State Council's: these make
            their year known, as soon as it is told, and without a new release. None, or no such file: nothing more.

    Raises:
        SettingsError: a row of the file that cannot be read, by its number.
    """
    text = (resources.files("foundation") / "workdays.csv").read_text(encoding="utf-8")
    days: dict[date, str] = {}
    years = set(_read(text, "workdays.csv", days))
    if own_file is not None and own_file.exists():
        years.update(_read(own_file.read_text(encoding="utf-8-sig"), str(own_file), days))
    last = min(years)
    while last + 1 in years:
        last += 1
    return Calendar(
        off=frozenset(day for day, kind in days.items() if kind == "off"),
        on=frozenset(day for day, kind in days.items() if kind == "on"),
        known_until=date(last, 12, 31),
    )


def _read(text: str, name: str, days: dict[date, str]) -> Iterable[int]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if reader.fieldnames != _COLUMNS:
        raise SettingsError(f"{name}: the columns are {','.join(_COLUMNS)}")
    for row in reader:
        try:
            day = date.fromisoformat(row["date"])
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{name}, line {reader.line_num}: not a date, written YYYY-MM-DD") from error
        if row["kind"] not in {"off", "on"}:
            raise SettingsError(f"{name}, line {reader.line_num}: kind is `off` or `on`")
        days[day] = row["kind"]
        if row["notice"]:
            yield day.year
