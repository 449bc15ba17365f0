"""Civil time: days begin and end by the clock on the wall, everywhere in China UTC+8."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

import orjson

CHINA = timezone(timedelta(hours=8), "UTC+08:00")


def civil_date(moment: datetime) -> date:
    """Return the day that a moment (with its zone) belongs to."""
    return moment.astimezone(CHINA).date()


def rfc3339(moment: datetime) -> str:
    """Return what `moment.isoformat()` does, for moments with a zone, in a tenth of the time."""
    return orjson.dumps(moment)[1:-1].decode()


def day_begins(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return datetime.combine(day, time(), CHINA)
