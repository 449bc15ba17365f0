"""Citizen IDs (公民身份号码, GB 11643): 6 digits of a division, birth date, sequence, check character."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from foundation.identifiers.division import find
from foundation.identifiers.errors import IdentifierError
from foundation.identifiers.iso7064 import mod_11_2

KIND = "citizen-id"
CITIZEN_ID_PATTERN = re.compile(r"[0-9]{17}[0-9X]")
_LOOKS_LIKE_ONE = re.compile(r"(?<![0-9])(?:[0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9])")
EARLIEST_YEAR = 1800
LATEST_YEAR = 2199


@dataclass(frozen=True, slots=True, repr=False)
class CitizenId:
    """A valid citizen ID of 18 characters. Shown masked; `reveal()` gives it in clear.

    Whether its division exists, now or ever, is not a question of validity: see `division.findings`.
    """

    _text: str

    @classmethod
    def parse(cls, text: str) -> CitizenId:
        """Read 18 characters; a small `x` at the end is taken as `X`.

        Raises:
            IdentifierError: `wrong-length`, `ill-formed`, `impossible-birth-date` or `wrong-check-character`.
        """
        if len(text) != 18:
            raise IdentifierError(KIND, "wrong-length", f"{len(text)} characters instead of 18")
        canonical = text.upper() if text[17] == "x" else text
        if not CITIZEN_ID_PATTERN.fullmatch(canonical):
            place = next(
                i for i, c in enumerate(canonical, 1) if not (c in "0123456789" or (i == 18 and c == "X"))
            )
            raise IdentifierError(KIND, "ill-formed", f"character {place} is neither a digit nor a final X")
        if _date(canonical[6:14]) is None:
            raise IdentifierError(KIND, "impossible-birth-date", "characters 7 to 14 are no date")
        if mod_11_2(canonical[:17]) != canonical[17]:
            raise IdentifierError(KIND, "wrong-check-character", "character 18 does not fit the others")
        return cls(canonical)

    @classmethod
    def from_fifteen(cls, text: str) -> CitizenId:
        """Convert an ID of 15 digits, as issued until 1999: its birth year is of the 20th century.

        Raises:
            IdentifierError: `wrong-length`, `ill-formed` or `impossible-birth-date`.
        """
        if len(text) != 15:
            raise IdentifierError(KIND, "wrong-length", f"{len(text)} characters instead of 15")
        if not (text.isascii() and text.isdigit()):
            raise IdentifierError(KIND, "ill-formed", "an ID of 15 characters has digits only")
        if _date("19" + text[6:12]) is None:
            raise IdentifierError(KIND, "impossible-birth-date", "characters 7 to 12 are no date")
        first = f"{text[:6]}19{text[6:]}"
        return cls(first + mod_11_2(first))

    @classmethod
    def compute(cls, division: str, birth_date: date, sequence: int) -> CitizenId:
        """Make the ID of a division (6 digits), a birth date and a sequence number from 0 to 999."""
        if not 0 <= sequence <= 999:
            raise IdentifierError(KIND, "ill-formed", "a sequence number has three digits")
        first = f"{division}{birth_date:%Y%m%d}{sequence:03d}"
        return cls.parse(first + mod_11_2(first))

    @property
    def division(self) -> str:
        """Division in which it was issued first, as a code of GB/T 2260; it may be abolished since."""
        return self._text[:6]

    @property
    def birth_date(self) -> date:
        """Date of birth."""
        found = _date(self._text[6:14])
        assert found is not None
        return found

    @property
    def sequence(self) -> int:
        """Sequence number; odd for men, even for women."""
        return int(self._text[14:17])

    @property
    def sex(self) -> str:
        """`male` or `female`."""
        return "male" if self.sequence % 2 else "female"

    def reveal(self) -> str:
        """Return the 18 characters in clear: for blind indexes, sealed fields and comparison only."""
        return self._text

    def __str__(self) -> str:
        return mask(self._text)

    def __repr__(self) -> str:
        return f"CitizenId({mask(self._text)!r})"


def mask(text: str) -> str:
    """Return an identifier with all but its division and last four characters hidden."""
    if len(text) < 12:
        return "*" * len(text)
    return text[:6] + "*" * (len(text) - 10) + text[-4:]


def mask_citizen_ids(text: str) -> str:
    """Mask everything in a text that looks like a citizen ID of 15 or 18 characters."""
    return _LOOKS_LIKE_ONE.sub(lambda m: mask(m[0]) if _is_plausible(m[0]) else m[0], text)


def contains_citizen_id(text: str) -> bool:
    """True if a text holds a citizen ID: 18 characters that check out, or 15 with a date and a known division."""
    if len(text) < 15:
        return False
    return any(_is_plausible(match[0]) for match in _LOOKS_LIKE_ONE.finditer(text))


def _is_plausible(text: str) -> bool:
    if len(text) == 15:
        return _date("19" + text[6:12]) is not None and find(text[:6]) is not None
    return _date(text[6:14]) is not None and mod_11_2(text[:17]) == text[17].upper()


def _date(eight: str) -> date | None:
    year = int(eight[:4])
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        return None
    try:
        return date(year, int(eight[4:6]), int(eight[6:]))
    except ValueError:
        return None
