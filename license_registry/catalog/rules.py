"""Rules of a licence type, as its data tells them: numbers, validity, authorities, retention. No clock, no database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Protocol

from foundation.errors import DomainError
from foundation.language import _

Confidence = Literal["certain", "likely", "guess", "unknown"]
OnChange = Literal["change", "review", "leave"]


class NumberInvalid(DomainError):
    code = "licence-number-invalid"


class ValidityInvalid(DomainError):
    code = "validity-invalid"


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority by its name; `code` is its USCC where it is known."""

    name: str
    name_en: str
    code: str | None
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class HolderRule:
    """Who holds a licence.

    Args:
        fewest: and `most`: how many hold one licence together; the first in `holder_code`, others in `co_holders`.
        one_in_force: a holder has at most one licence of the type that is valid or suspended.
    """

    fewest: int
    most: int
    one_in_force: bool


@dataclass(frozen=True, slots=True)
class NumberRule:
    """What numbers (证照编号) look like.

    Args:
        template: makes a number of `{division}` (6 digits), `{year}` and `{serial}` (10 digits) where a request brings
            none; None: the issuing authority numbers its licences itself.
    """

    pattern: str
    template: str | None
    confidence: Confidence
    note: str | None = None

    def require_fits(self, number: str) -> None:
        """Raise NumberInvalid unless the number is of this form."""
        if re.fullmatch(self.pattern, number) is None:
            raise NumberInvalid(_("numbers of this type have another form"), pointer="/number")

    def make(self, division: str, year: int, serial: int) -> str:
        """Return a number, or raise NumberInvalid where the authority has to bring one."""
        if self.template is None:
            raise NumberInvalid(_("the issuing authority numbers licences of this type"), pointer="/number")
        return self.template.format(division=division, year=year, serial=f"{serial:010d}")


class ValidityRule(Protocol):
    """How long a licence is valid."""

    def until(self, valid_from: date, wanted: date | None, born: date | None) -> date | None:
        """Return the last day of validity, None: without end.

        Args:
            wanted: what the request says; None: nothing.
            born: birthday of the holder, where it is known.

        Raises:
            ValidityInvalid: the request contradicts the rule.
        """


@dataclass(frozen=True, slots=True)
class Decided:
    """The authority decides, licence by licence."""

    def until(self, valid_from: date, wanted: date | None, born: date | None) -> date | None:
        return wanted


@dataclass(frozen=True, slots=True)
class Unlimited:
    """Until something ends it."""

    def until(self, valid_from: date, wanted: date | None, born: date | None) -> date | None:
        if wanted is not None:
            raise ValidityInvalid(_("licences of this type have no end date"), pointer="/valid_until")
        return None


@dataclass(frozen=True, slots=True)
class FixedTerm:
    """One of some numbers of years, the last day included. Without a wish: the only one there is.

    Args:
        or_unlimited: without end is one of the choices.
    """

    years: tuple[int, ...]
    or_unlimited: bool = False

    def until(self, valid_from: date, wanted: date | None, born: date | None) -> date | None:
        terms = [_years_on(valid_from, years) - timedelta(days=1) for years in self.years]
        if wanted is None and self.or_unlimited:
            return None
        if wanted is None and len(terms) == 1:
            return terms[0]
        # Both counts are met: the last day, and the same day of a later year.
        if wanted is None or not any(wanted in (last, last + timedelta(days=1)) for last in terms):
            raise ValidityInvalid(
                _("licences of this type are valid for {years} years"),
                pointer="/valid_until",
                years=", ".join(map(str, self.years)),
            )
        return wanted


@dataclass(frozen=True, slots=True)
class UntilAge:
    """Until the day before the holder reaches an age."""

    age: int

    def until(self, valid_from: date, wanted: date | None, born: date | None) -> date | None:
        if born is None:
            raise ValidityInvalid(_("the birthday of the holder is not known"), pointer="/fields/holder_code")
        last = _years_on(born, self.age) - timedelta(days=1)
        if wanted not in (None, last):
            raise ValidityInvalid(
                _("licences of this type end before the holder is {age}"),
                pointer="/valid_until",
                age=self.age,
            )
        if last < valid_from:
            raise ValidityInvalid(_("the holder is older than {age}"), pointer="/valid_from", age=self.age)
        return last


@dataclass(frozen=True, slots=True)
class LocalState:
    """What a state is called, and coded, by the ministry of the type; `local_code` None: by the standard's code."""

    name: str
    name_en: str
    local_code: str | None


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal that belongs on the document: of the issuer, of a signatory, of the registry."""

    by: Literal["issuer", "signatory", "registry"]
    name: str
    name_en: str
    required: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a licence is kept; `years` None: for ever. Counted from its `issue` or its `end`."""

    years: int | None
    after: Literal["issue", "end"]


@dataclass(frozen=True, slots=True)
class AnnualReport:
    """Each year's report is due between two days, `MM-DD`, both included."""

    since: str
    until: str


@dataclass(frozen=True, slots=True)
class LinkedChange:
    """What becomes of the licence when something of its holder changes (联动变更).

    `change`: a new version with the new facts; `review`: the issuing authority decides; `leave`: nothing.
    """

    name: OnChange
    address: OnChange
    representative: OnChange
    death: OnChange
    struck_off: OnChange


def read_validity(data: dict[str, Any]) -> ValidityRule:
    """Read the member `validity` of a type, which fits its schema."""
    match data["kind"]:
        case "decided":
            return Decided()
        case "unlimited":
            return Unlimited()
        case "fixed-term":
            return FixedTerm(tuple(data["years"]), data.get("or_unlimited", False))
        case "until-age":
            return UntilAge(data["age"])
        case kind:
            raise AssertionError(kind)


def require_in_order(valid_from: date, valid_until: date | None) -> None:
    """Raise ValidityInvalid if it would end before it begins."""
    if valid_until is not None and valid_until < valid_from:
        raise ValidityInvalid(_("it would end before it begins"), pointer="/valid_until")


def _years_on(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February of a year that has none: 1 March
        return date(day.year + years, 3, 1)
