"""Does what somebody has in hand agree with the licence? Rules without database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foundation.text import bare
from license_registry.presenting.check import Result

Given = Mapping[str, str | list[str] | None]
"""Short name → value as it stands on what somebody has in hand; several where several hold the licence; None for a
date that is not there, as of a licence without end."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The result, and which names differ from the licence or are not said by it."""

    result: Result
    differing: tuple[str, ...]
    lacking: tuple[str, ...]


def compare(given: Given, known: Mapping[str, object], found: Result) -> Compared:
    """Compare what is given with what is known of a licence.

    What differs comes before the state: it may be another licence that is meant. A licence that is not valid is what
    it is, whatever it lacks; only of a valid one it matters that it does not say what was asked.

    Args:
        found: the result of verifying the licence itself.
    """
    lacking = sorted(name for name in given if name not in known)
    differing = sorted(
        name for name, value in given.items() if name not in lacking and not _agree(value, known[name])
    )
    if differing:
        result = Result.PARAMETERS_DIFFER
    elif found is Result.VALID and lacking:
        result = Result.INSUFFICIENT_DATA
    else:
        result = found
    return Compared(result, tuple(differing), tuple(lacking))


def _agree(given: str | list[str] | None, known: object) -> bool:
    """True if all that is given is known: a paper of several holders need not name all of them."""
    if given is None or known is None:
        return given is known
    wanted = {bare(value) for value in ([given] if isinstance(given, str) else given)}
    held = {bare(str(value)) for value in (known if isinstance(known, list) else [known])}
    return wanted <= held
