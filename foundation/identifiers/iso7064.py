"""Check characters of ISO/IEC 7064: pure systems MOD 11-2, hybrid systems MOD 11,10 and MOD 37,36."""

from __future__ import annotations

from operator import mul

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_LEGACY_VALUES = {c: v if v < 10 else v + 1 for c, v in _VALUES.items()}
_WEIGHTS_17 = tuple(pow(2, 17 - place, 11) for place in range(17))
_ZEROS_17 = 48 * sum(_WEIGHTS_17)


def mod_11_2(digits: str) -> str:
    """Return the check character (`0`-`9` or `X`) of a string of digits, as GB 11643 uses it.

    Raises:
        ValueError: something else than a digit.
    """
    if len(digits) == 17 and digits.isascii() and digits.isdigit():
        # The length of every citizen ID: one pass in C. 48 is the code of the digit 0, taken off at the end.
        check = sum(map(mul, digits.encode(), _WEIGHTS_17)) - _ZEROS_17
    else:
        check = 0
        for digit in digits:
            check = (check + _digit(digit)) * 2 % 11
    return "0123456789X"[(1 - check) % 11]


def mod_11_10(digits: str) -> str:
    """Return the check digit of a string of digits, as old 15-digit registration numbers carry it.

    Raises:
        ValueError: something else than a digit.
    """
    check = 10
    for digit in digits:
        check = ((check + _digit(digit)) % 10 or 10) * 2 % 11
    return str((11 - check) % 10)


def mod_37_36(text: str) -> str:
    """Return the check character of digits and capital letters, as GB/T 36904 uses it.

    Raises:
        ValueError: another character.
    """
    return _hybrid_36(text, _VALUES)


def mod_37_36_legacy(text: str) -> str:
    """Return the check character of a wrong variant met in the wild, in which letters count from 11, not from 10.

    It is only ever computed to recognise such identifiers, never to issue one.

    Raises:
        ValueError: another character.
    """
    return _hybrid_36(text, _LEGACY_VALUES)


def _hybrid_36(text: str, values: dict[str, int]) -> str:
    check = 36
    for character in text:
        value = values.get(character)
        if value is None:
            raise ValueError("only digits and capital letters have a check character")
        check = ((check + value) % 36 or 36) * 2 % 37
    return ALPHABET[(37 - check) % 36]


def _digit(character: str) -> int:
    if character not in "0123456789" or not character:
        raise ValueError("only digits have a check character")
    return ord(character) - 48
