"""Checking identifiers by the million: whole columns at once, with numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from foundation.identifiers.citizen import EARLIEST_YEAR, LATEST_YEAR
from foundation.identifiers.uscc import ALPHABET, WEIGHTS


class Verdict(IntEnum):
    """Outcome for one citizen ID."""

    OK = 0
    WRONG_LENGTH = 1
    ILL_FORMED = 2
    IMPOSSIBLE_BIRTH_DATE = 3
    WRONG_CHECK_CHARACTER = 4
    OK_FIFTEEN = 5


class UsccVerdict(IntEnum):
    """Outcome for one unified social credit code."""

    OK = 0
    WRONG_LENGTH = 1
    ILL_FORMED = 2
    WRONG_CHECK_CHARACTER = 4
    OLD_REGISTRATION_NUMBER = 5


# float32: sums stay far below 2^24, so they are exact, and the product runs in BLAS.
_WEIGHTS = np.array([pow(2, 17 - i, 11) for i in range(17)], dtype=np.float32)
_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)
_USCC_WEIGHTS = np.array(WEIGHTS, dtype=np.float32)
_USCC_VALUES = np.full(256, 255, dtype=np.uint8)
_USCC_VALUES[np.frombuffer(ALPHABET.encode(), dtype=np.uint8)] = np.arange(31, dtype=np.uint8)
_MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int16)
_BLOCK = 1 << 16


def check_citizen_ids(values: Sequence[str]) -> NDArray[np.uint8]:
    """Return a `Verdict` for each value: 18 characters, a final small `x` allowed; or 15 digits of old.

    Agrees with `CitizenId.parse` and `CitizenId.from_fifteen`, value by value.
    """
    return _by_block(values, _check_citizen_ids)


def check_usccs(values: Sequence[str]) -> NDArray[np.uint8]:
    """Return a `UsccVerdict` for each value. Agrees with `Uscc.parse` and `is_old_registration_number`."""
    return _by_block(values, _check_usccs)


def citizen_check_characters(first17s: Sequence[str]) -> list[str]:
    """Return the check character for each string of 17 digits.

    Raises:
        ValueError: one of them is something else.
    """
    if any(len(value) != 17 for value in first17s):
        raise ValueError("17 digits are needed")
    digits = _characters(first17s, 17) - np.uint8(48)
    if (digits > 9).any():
        raise ValueError("17 digits are needed")
    checks = _CHECKS[_remainders(digits)]
    return list(checks.tobytes().decode("ascii"))


def _by_block(
    values: Sequence[str], check: Callable[[Sequence[str]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    verdicts = np.empty(len(values), dtype=np.uint8)
    # In blocks that stay in the cache; and one overlong value costs one block, not the column.
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        verdicts[start : start + len(block)] = check(block)
    return verdicts


def _lengths(values: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(len, values), dtype=np.int64, count=len(values))


def _characters(values: Sequence[str], width: int) -> NDArray[np.uint8]:
    """Return one row of bytes per value, all of them `width` characters long; what is not ASCII becomes `?`.

    One buffer for all: numpy's own strings drop trailing NULs, and take the width of the longest.
    """
    joined = "".join(values)
    data = joined.encode("ascii") if joined.isascii() else joined.encode("ascii", "replace")
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, width)


def _check_citizen_ids(values: Sequence[str]) -> NDArray[np.uint8]:
    lengths = _lengths(values)
    full = lengths == 18
    if full.all():
        return _check_eighteen(values)
    verdicts = np.full(len(values), Verdict.WRONG_LENGTH, dtype=np.uint8)
    places = full.nonzero()[0]
    if places.size:
        verdicts[places] = _check_eighteen([values[i] for i in places.tolist()])
    old = (lengths == 15).nonzero()[0]
    if old.size:
        verdicts[old] = _check_fifteen([values[i] for i in old.tolist()])
    return verdicts


def _check_eighteen(values: Sequence[str]) -> NDArray[np.uint8]:
    characters = _characters(values, 18)
    digits = characters[:, :17] - np.uint8(48)
    last = characters[:, 17].copy()
    last[last == ord("x")] = ord("X")
    formed = (digits <= 9).all(axis=1) & ((last - np.uint8(48) <= 9) | (last == ord("X")))
    verdicts = np.zeros(len(values), dtype=np.uint8)
    verdicts[_CHECKS[_remainders(digits)] != last] = Verdict.WRONG_CHECK_CHARACTER
    wide = digits[:, 6:14].astype(np.int16)
    verdicts[~_is_date(wide)] = Verdict.IMPOSSIBLE_BIRTH_DATE
    verdicts[~formed] = Verdict.ILL_FORMED
    return verdicts


def _check_fifteen(values: Sequence[str]) -> NDArray[np.uint8]:
    digits = _characters(values, 15) - np.uint8(48)
    wide = np.empty((len(values), 8), dtype=np.int16)
    wide[:, 0] = 1
    wide[:, 1] = 9
    wide[:, 2:] = digits[:, 6:12]
    verdicts = np.full(len(values), Verdict.OK_FIFTEEN, dtype=np.uint8)
    verdicts[~_is_date(wide)] = Verdict.IMPOSSIBLE_BIRTH_DATE
    verdicts[~(digits <= 9).all(axis=1)] = Verdict.ILL_FORMED
    return verdicts


def _remainders(digits: NDArray[np.uint8]) -> NDArray[np.intp]:
    total = digits.astype(np.float32) @ _WEIGHTS
    return total.astype(np.intp) % 11


def _is_date(eight: NDArray[np.int16]) -> NDArray[np.bool_]:
    year = eight[:, 0] * 1000 + eight[:, 1] * 100 + eight[:, 2] * 10 + eight[:, 3]
    month = eight[:, 4] * 10 + eight[:, 5]
    day = eight[:, 6] * 10 + eight[:, 7]
    known = (month >= 1) & (month <= 12)
    longest = _MONTH_DAYS[np.where(known, month, 0)]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = longest - ((month == 2) & ~leap)
    in_time = (year >= EARLIEST_YEAR) & (year <= LATEST_YEAR)
    result: NDArray[np.bool_] = known & (day >= 1) & (day <= longest) & in_time
    return result


def _check_usccs(values: Sequence[str]) -> NDArray[np.uint8]:
    lengths = _lengths(values)
    verdicts = np.full(len(values), UsccVerdict.WRONG_LENGTH, dtype=np.uint8)
    places = (lengths == 18).nonzero()[0]
    if places.size:
        chosen = values if places.size == len(values) else [values[i] for i in places.tolist()]
        known = _USCC_VALUES[_characters(chosen, 18)]
        total = (known[:, :17].astype(np.float32) @ _USCC_WEIGHTS).astype(np.intp)
        found = np.zeros(places.size, dtype=np.uint8)
        found[-total % 31 != known[:, 17]] = UsccVerdict.WRONG_CHECK_CHARACTER
        found[(known == 255).any(axis=1)] = UsccVerdict.ILL_FORMED
        verdicts[places] = found
    for place in ((lengths >= 13) & (lengths <= 15)).nonzero()[0].tolist():
        value = values[place]
        if value.isascii() and value.isdigit():
            verdicts[place] = UsccVerdict.OLD_REGISTRATION_NUMBER
    return verdicts
