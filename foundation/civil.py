"""Civil time: days begin and end by the clock on the wall, everywhere in China UTC+8."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "UTC+08:00")


def civil_date(moment: datetime) -> date:
    """Return the day that a moment (with its zone) belongs to."""
    return moment.astimezone(CHINA).date()


def day_begins(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return datetime.combine(day, time(), CHINA)
