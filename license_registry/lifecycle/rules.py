"""What the data of a licence type says of its life: operations, states, annual reports, linked changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.states import Operation, State


class Cause(StrEnum):
    """What changed of a holder, as the registers tell it."""

    NAME = "name"
    ADDRESS = "address"
    REPRESENTATIVE = "representative"
    DEATH = "death"
    STRUCK_OFF = "struck_off"


class Reaction(StrEnum):
    """What becomes of a licence whose holder changed (联动变更)."""

    CHANGE = "change"
    REVIEW = "review"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Season:
    """Between which days of a year, `MM-DD`, both included, the annual report of that year is due."""

    since: str
    until: str

    def of(self, year: int) -> tuple[date, date]:
        """Return first and last day in a year."""
        return date.fromisoformat(f"{year}-{self.since}"), date.fromisoformat(f"{year}-{self.until}")


@dataclass(frozen=True, slots=True)
class LifeRules:
    """Rules of one type. `annual_report` None: it asks for none."""

    operations: frozenset[Operation]
    states: frozenset[State]
    annual_report: Season | None
    on_change: Mapping[Cause, Reaction]


DEFAULT = LifeRules(frozenset(Operation), frozenset(State), None, dict.fromkeys(Cause, Reaction.REVIEW))
"""Of a type that says nothing, or that is no longer known: all is allowed, and a person looks at each change."""


def rules_of(types: LicenceTypes, type_code: str) -> LifeRules:
    """Return the rules of the newest version of the type that a licence is of, by its code."""
    found = next((each for each in types.values() if type_code in each.type_codes), None)
    if found is None:
        return DEFAULT
    operations = frozenset(Operation(code) for code in found.operations)
    # State 99 is nothing that a ministry has a word for: whatever knows operation 07 can be in it.
    further = {State.OTHER} if Operation.OTHER in operations else set()
    # What lapses is in state 05, and what is returned in 01, whether or not a dictionary has a word for it.
    implied = {State.VALID} | ({State.EXPIRED} if Operation.EXPIRE in operations else set())
    report = found.annual_report
    return LifeRules(
        operations=operations,
        states=frozenset(found.states) | further | implied,
        annual_report=None if report is None else Season(report.since, report.until),
        on_change={cause: Reaction(getattr(found.on_change, cause.value)) for cause in Cause},
    )
