"""Terms in working days: by class of what is asked for, by step, and by the department that has to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from foundation.settings import Settings, SettingsError
from foundation.workdays import Calendar, load_calendar

MAXIMUM_TERM = 1000
CORRECTION = "correction"

Terms = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How many working days each step may take. Data, since places differ in it.

    Args:
        calendar: which days are worked.
        terms: class (`unconditional`, `conditional`, `not-shared`, `not-on-platform`, `correction`) → step (`check`,
            `answer`, `provide`, `decide`) → working days.
        places: code of a department → terms of its own; what it does not name is as everywhere.
    """

    calendar: Calendar
    terms: Terms
    places: Mapping[str, Terms]

    def due_on(self, department: str, kind: str, step: str, began: datetime) -> date:
        """Return the last day of a step that began at a moment; the day that it began on does not count."""
        own = self.places.get(department, {}).get(kind, {})
        return self.calendar.due_on(began, own.get(step, self.terms[kind][step]))

    def told(self, due_on: date | None) -> dict[str, Any]:
        """Return a deadline as replies show it.

        Beyond the last year whose public holidays are known it may still move: then `calendar_until` says how far
        they are.
        """
        if due_on is None:
            return {"due_on": None}
        shown: dict[str, Any] = {"due_on": due_on.isoformat()}
        if due_on > self.calendar.known_until:
            until = self.calendar.known_until.isoformat()
            shown |= {"calendar_until": until, "warnings": ["calendar-unknown"]}
        return shown


def load_deadlines(settings: Settings) -> Deadlines:
    """Read the terms that come along, and a city's own in their place, where it has some.

    Raises:
        SettingsError: the city's file is no such thing; says where.
    """
    text = (resources.files("schemas") / "requests" / "deadlines.json").read_bytes()
    ours = orjson.loads(text)
    terms: Terms = ours["terms"]
    places: Mapping[str, Terms] = ours["places"]
    path = settings.deadlines_file
    if path.exists():
        own = _document(path)
        _require_terms(path, "/terms", own.get("terms", {}), terms)
        for department, each in own.get("places", {}).items():
            _require_terms(path, f"/places/{department}", each, terms)
        terms = {kind: {**steps, **own.get("terms", {}).get(kind, {})} for kind, steps in terms.items()}
        places = {**places, **own.get("places", {})}
    return Deadlines(load_calendar(settings.workdays_file), terms, places)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON") from error
    if not isinstance(document, dict) or not document.keys() <= {"terms", "places"}:
        raise SettingsError(f"{path}: an object with `terms` and `places` is expected")
    if not isinstance(document.get("places", {}), dict):
        raise SettingsError(f"{path}, /places: an object of department → terms is expected")
    return document


def _require_terms(path: Path, where: str, given: Any, known: Terms) -> None:
    if not isinstance(given, dict):
        raise SettingsError(f"{path}, {where}: an object of class → step → working days is expected")
    for kind, steps in given.items():
        if kind not in known or not isinstance(steps, dict):
            raise SettingsError(f"{path}, {where}/{kind}: classes are {', '.join(known)}")
        for step, days in steps.items():
            if step not in known[kind]:
                raise SettingsError(f"{path}, {where}/{kind}/{step}: steps are {', '.join(known[kind])}")
            if type(days) is not int or not 0 <= days <= MAXIMUM_TERM:
                raise SettingsError(
                    f"{path}, {where}/{kind}/{step}: working days, from 0 to {MAXIMUM_TERM}, are expected"
                )
