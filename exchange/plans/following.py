"""Tolerance (容缺受理): until when a material may follow, and when to remind of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from foundation.civil import civil_date, day_begins
from foundation.workdays import Calendar


def following(calendar: Calendar, now: datetime, days: int, remind_days: int) -> tuple[datetime, datetime]:
    """Return the moment from which a material is late, and the moment to remind of it.

    Args:
        days: working days within which it may follow; today does not count, the last day counts to its end.
        remind_days: working days before the last day; no earlier than the next working day.
    """
    today = civil_date(now)
    last = calendar.add_working_days(today, days)
    remind = calendar.add_working_days(today, max(1, days - remind_days))
    return day_begins(last + timedelta(days=1)), day_begins(remind)
