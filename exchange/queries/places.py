"""Whether a division lies in another, with those that were abolished since a register was written."""

from __future__ import annotations

from functools import cache

from foundation.identifiers import division


def in_division(held: str, asked: str, year: int) -> bool | None:
    """Tell whether a division is the one asked for or lies in it; None where neither is certain.

    Args:
        held: 6 digits, as the register has it, which may be a code that was abolished since, or that of a whole city.
        asked: 2, 4 or 6 digits; `990100` is as good as `9901`.
        year: by which the codes are read.
    """
    wanted = _prefix(asked)
    if held.startswith(wanted):
        return True
    coarse = _prefix(held)
    if len(coarse) < len(wanted):
        # Somewhere in that city or province: it may be here, unless that lies elsewhere itself.
        return None if wanted.startswith(coarse) else False
    now = _standing(held, year)
    if now and all(code.startswith(wanted) for code in now):
        return True
    if any(code.startswith(wanted) for code in now):
        return None
    if len(wanted) == 6 and held in _standing(wanted, year):
        # What was asked for is abolished, and went into this one, which may be larger.
        return True if _only_predecessor(held, wanted) else None
    return False


def _prefix(code: str) -> str:
    while len(code) > 2 and code.endswith("00"):
        code = code[:-2]
    return code


def _standing(code: str, year: int) -> frozenset[str]:
    found = division.find(code)
    if found is None or found.valid_until is None:
        return frozenset()
    return division.standing_for(found, year)


def _only_predecessor(code: str, before: str) -> bool:
    """True when a code took the place of one other alone, and was not in force beside it: both mean the same land."""
    now, then = division.find(code), division.find(before)
    if now is None or then is None or then.valid_until is None:
        return False
    return now.valid_from >= then.valid_until and _predecessors().get(code) == {before}


@cache
def _predecessors() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in division.every():
        for code in each.successors:
            found.setdefault(code, set()).add(each.code)
    return found
