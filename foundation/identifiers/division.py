"""Divisions (行政区划, GB/T 2260) with their dates: an abolished one still stands in many identifiers."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Division:
    """A division over a span of years; a code that was used anew has several.

    Args:
        level: `province`, `city` or `county`.
        valid_from: first year, by the table, which begins with 1981.
        valid_until: year in which it was abolished or renamed; None while in force.
        successors: codes that took over.
    """

    code: str
    name: str
    level: str
    valid_from: int
    valid_until: int | None
    successors: tuple[str, ...]

    def is_in_force(self, year: int) -> bool:
        """True in the span's years, that of its end among them."""
        return self.valid_from <= year and (self.valid_until is None or year <= self.valid_until)


def find(code: str, on_year: int | None = None) -> Division | None:
    """Return the division of a code, in a given year or else the latest; None if no table has it."""
    spans = _table().get(code)
    if not spans:
        return None
    if on_year is not None:
        for division in spans:
            if division.is_in_force(on_year):
                return division
    return spans[-1]


def findings(code: str, on_year: int | None = None) -> tuple[str, ...]:
    """Return what is remarkable about a code: `unknown-division`, `abolished-division`, `not-yet-division`.

    None of these makes an identifier invalid.
    """
    division = find(code, on_year)
    if division is None:
        return ("unknown-division",)
    if on_year is None:
        return () if division.valid_until is None else ("abolished-division",)
    if division.is_in_force(on_year):
        return ()
    if on_year < min(span.valid_from for span in _table()[code]):
        return ("not-yet-division",)
    # Ended for good, or between two spans of a code that was used anew.
    return ("abolished-division",)


def every() -> Iterable[Division]:
    """Return all spans of all divisions."""
    return (division for spans in _table().values() for division in spans)


def standing_for(division: Division, year: int) -> frozenset[str]:
    """Return the codes in force in a year of what a division has become: its own, or those of its last successors."""
    found: set[str] = set()
    seen: set[Division] = set()
    waiting = [division]
    while waiting:
        span = waiting.pop()
        if span in seen:
            continue
        seen.add(span)
        if span.valid_until is None or year < span.valid_until:
            found.add(span.code)
        else:
            waiting.extend(filter(None, (_taking_over(code, span.valid_until) for code in span.successors)))
    return frozenset(found)


def _taking_over(code: str, year: int) -> Division | None:
    """Return the span in which a code took over in a year; that which ended in the same year is an earlier use."""
    spans = [s for s in _table().get(code, ()) if s.valid_until is None or s.valid_until > year]
    return min(spans, key=lambda span: span.valid_from, default=None)


@cache
def _table() -> Mapping[str, tuple[Division, ...]]:
    found: dict[str, list[Division]] = {}
    path = resources.files("foundation.identifiers") / "divisions.csv"
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            division = Division(
                code=row["code"],
                name=row["name"],
                level=row["level"],
                valid_from=int(row["from"]),
                valid_until=int(row["until"]) if row["until"] else None,
                successors=tuple(row["successors"].split(";")) if row["successors"] else (),
            )
            found.setdefault(division.code, []).append(division)
    # By time, the one in force last.
    return {
        code: tuple(sorted(spans, key=lambda d: (d.valid_until is None, d.valid_until or 0)))
        for code, spans in found.items()
    }
