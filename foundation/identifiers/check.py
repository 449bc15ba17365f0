"""Checking an identifier of unknown kind, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from foundation.identifiers import division, elicence
from foundation.identifiers.citizen import CitizenId, mask
from foundation.identifiers.elicence import ElicenceIdentifier
from foundation.identifiers.errors import IdentifierError
from foundation.identifiers.uscc import Uscc, is_old_registration_number, registration_number_checks

_OLD_NUMBER: Final = "old-registration-number"


@dataclass(frozen=True, slots=True)
class Check:
    """What a value is.

    Args:
        kind: `citizen-id`, `uscc`, `old-registration-number`, `division`, `e-licence-identifier` or `unknown`.
        reasons: why it is not valid; empty if it is.
        findings: what is remarkable without making it invalid.
        masked: the value, masked if it may be a citizen ID.
    """

    kind: str
    valid: bool
    reasons: tuple[str, ...]
    findings: tuple[str, ...]
    masked: str


def check(value: str, on_year: int | None = None) -> Check:
    """Recognise a value by its shape and check it. A value that can be two kinds is the one that it is valid as."""
    if value.startswith("1.2.156."):
        return _elicence(value)
    if len(value) == 6 and value.isascii() and value.isdigit():
        found = division.findings(value, on_year)
        unknown = tuple(f for f in found if f == "unknown-division")
        return Check("division", not unknown, unknown, tuple(f for f in found if f not in unknown), value)
    if len(value) == 18 and value.isascii() and value.isalnum():
        citizen, code = _citizen(value, on_year), _uscc(value, on_year)
        if citizen.valid or code.valid:
            return citizen if citizen.valid else code
        return citizen if value[:17].isdigit() else code
    if is_old_registration_number(value):
        return _fifteen(value, on_year) if len(value) == 15 else Check(_OLD_NUMBER, True, (), (), value)
    return Check("unknown", False, ("unknown-kind",), (), mask(value[:40]))


def _fifteen(value: str, on_year: int | None) -> Check:
    citizen = _citizen(value, on_year)
    if citizen.valid and "unknown-division" not in citizen.findings:
        return citizen
    found = () if registration_number_checks(value) else ("wrong-check-digit",)
    # With a date in the right place it may still be an ID, of a division that no list has.
    return Check(_OLD_NUMBER, True, (), found, citizen.masked if citizen.valid else value)


def _citizen(value: str, on_year: int | None) -> Check:
    try:
        parsed = CitizenId.from_fifteen(value) if len(value) == 15 else CitizenId.parse(value)
    except IdentifierError as error:
        return Check("citizen-id", False, (error.code,), (), mask(value))
    # The division is the one of the first issue: it need not be in force today, but should have been one.
    found = tuple(f for f in division.findings(parsed.division, on_year) if f != "not-yet-division")
    if len(value) == 15:
        found = ("fifteen-digits", *found)
    return Check("citizen-id", True, (), found, mask(value))


def _uscc(value: str, on_year: int | None) -> Check:
    try:
        parsed = Uscc.parse(value)
    except IdentifierError as error:
        # Masked too: it may be a citizen ID with a letter typed for a digit.
        return Check("uscc", False, (error.code,), (), mask(value))
    return Check("uscc", True, (), division.findings(parsed.division, on_year), value)


def _elicence(value: str) -> Check:
    shown = value[:120]
    try:
        parsed = ElicenceIdentifier.parse(value)
    except IdentifierError as error:
        return Check(elicence.KIND, False, (error.code,), (), shown)
    return Check(elicence.KIND, True, (), ("legacy-check-character",) if parsed.legacy else (), shown)
