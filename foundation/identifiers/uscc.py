"""Unified social credit codes (统一社会信用代码, GB 32100), and the registration numbers that came before."""

from __future__ import annotations

from dataclasses import dataclass

from foundation.identifiers.errors import IdentifierError
from foundation.identifiers.iso7064 import mod_11_10

KIND = "uscc"
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True)
class Uscc:
    """A valid code of 18 characters. Not a secret: it stands on every company's door.

    Characters 3 to 8 name a division as a rule; codes with others exist (N, A, Y prefixes) and are valid.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Uscc:
        """Read 18 characters.

        Raises:
            IdentifierError: `wrong-length`, `ill-formed` or `wrong-check-character`.
        """
        if len(text) != 18:
            raise IdentifierError(KIND, "wrong-length", f"{len(text)} characters instead of 18")
        for place, character in enumerate(text, 1):
            if character not in _VALUES:
                raise IdentifierError(
                    KIND, "ill-formed", f"character {place} is not one of {ALPHABET} (no I, O, S, V, Z)"
                )
        if check_character(text[:17]) != text[17]:
            raise IdentifierError(KIND, "wrong-check-character", "character 18 does not fit the others")
        return cls(text)

    @classmethod
    def compute(cls, first17: str) -> Uscc:
        """Make the code of its first 17 characters."""
        if len(first17) != 17 or any(character not in _VALUES for character in first17):
            raise IdentifierError(KIND, "ill-formed", f"17 characters of {ALPHABET} are needed")
        return cls(first17 + check_character(first17))

    @property
    def division(self) -> str:
        """Characters 3 to 8: the registering authority's division, as a rule."""
        return self.text[2:8]

    def __str__(self) -> str:
        return self.text


def check_character(first17: str) -> str:
    """Return the check character of 17 characters: weights 3^i modulo 31 (GB 32100 §5)."""
    total = sum(_VALUES[character] * weight for character, weight in zip(first17, WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def is_old_registration_number(text: str) -> bool:
    """True for 13 to 15 digits: a registration number of before 2015, kept beside a USCC and never as one."""
    return 13 <= len(text) <= 15 and text.isascii() and text.isdigit()


def registration_number_checks(text: str) -> bool:
    """True if an old number of 15 digits has the right check digit (ISO 7064 MOD 11,10). Many real ones do not."""
    return len(text) == 15 and is_old_registration_number(text) and mod_11_10(text[:14]) == text[14]
