"""Codes of the city: divisions, unified codes of its offices and companies, organisation codes (GB 11714)."""

from __future__ import annotations

from foundation.identifiers import Uscc

CITY = "990100"
DISTRICTS = {
    "990101": "东湖区",
    "990102": "西山区",
    "990103": "南港区",
    "990104": "北原区",
    "990105": "高新区",
    "990121": "临江县",
}
ABOLISHED = "990111"
"""老城区, part of 990101 since 2013: still in the IDs of many."""

ISSUER_NAME = "示范市市场监督管理局"
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def organisation_code(number: int, prefix: str = "MB") -> str:
    """Return the 9-character organisation code of a number below 31^6: prefix, six characters, check character."""
    characters = ""
    for _ in range(6):
        number, rest = divmod(number, 31)
        characters = _ALPHABET[rest] + characters
    first8 = prefix + characters
    total = sum(int(character, 36) * weight for character, weight in zip(first8, _WEIGHTS, strict=True))
    return first8 + "0123456789X0"[11 - total % 11]


def company_code(division: str, number: int) -> str:
    """Return the unified code of a company."""
    return Uscc.compute(f"91{division}{organisation_code(number)}").text


def office_code(number: int) -> str:
    """Return the unified code of an office of the city."""
    return Uscc.compute(f"11{CITY}{organisation_code(number, 'MC')}").text


ISSUER_CODE = office_code(1)
