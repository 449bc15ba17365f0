"""Comparing what is claimed with what a register holds. `unknown` wherever neither answer is certain.

Texts are equal after normalising: width, compatibility forms, case, outer spaces and the several middle dots.
Characters that only look alike (the Latin and the Cyrillic capital A, 0 and O) are different ones, and so are
traditional and simplified forms: there are surnames that differ by nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from exchange.queries.claims import Claim, Comparison, Kind
from exchange.queries.places import in_division


class Verdict(StrEnum):
    """Outcome for one claim. `unknown`: the register has no value, or does not know the subject."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


def compare(claims: Iterable[Claim], values: Mapping[str, Any] | None, today: date) -> dict[str, Verdict]:
    """Compare claims with the values of a subject's row; those that are answered elsewhere are left out.

    Args:
        values: all fields of the row in clear; None for an unknown subject.
        today: the local day.
    """
    return {claim.name: _verdict(claim, values, today) for claim in claims if claim.fields}


def another_name(compared: Iterable[tuple[str, str]], results: Mapping[str, str]) -> bool:
    """True when the subject bears another name than is claimed, as those find out who try identifiers out.

    Args:
        compared: name and field of each claim.
    """
    return any(field.endswith("name") and results[name] == Verdict.MISMATCH for name, field in compared)


def _verdict(claim: Claim, values: Mapping[str, Any] | None, today: date) -> Verdict:
    if values is None:
        return Verdict.UNKNOWN
    if claim.comparison is Comparison.VALID_ON:
        return _of(_valid_on(values, claim.value))
    (field,) = claim.fields
    held = values.get(field)
    if held is None:
        return Verdict.UNKNOWN
    match claim.comparison:
        case Comparison.EQUAL:
            return _of(_equal(held, claim))
        case Comparison.NAME_LIKE:
            return _of(name_form(held) == name_form(str(claim.value)))
        case Comparison.IN_DIVISION:
            return _of(in_division(held, str(claim.value), today.year))
        case Comparison.AGE_AT_LEAST | Comparison.AGE_BELOW:
            years = age(date.fromisoformat(held), today)
            assert isinstance(claim.value, int)
            reached = years >= claim.value
            return _of(reached if claim.comparison is Comparison.AGE_AT_LEAST else not reached)
        case _:
            return _of(_within_limit(values, field, held, claim))


def _of(outcome: bool | None) -> Verdict:
    if outcome is None:
        return Verdict.UNKNOWN
    return Verdict.MATCH if outcome else Verdict.MISMATCH


def age(born: date, day: date) -> int:
    """Return the years that somebody has completed on a day: a year is complete on the birthday itself.

    Who was born on 29 February completes it, in a year that has none, on the day after 28 February: no day of that
    February corresponds to the birthday, so the period ends with the month (Civil Code, article 202).
    """
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def text_form(text: str) -> str:
    """Return the form in which two texts are equal or not."""
    if text.isascii():
        return text.strip().upper()
    return _dotted(unicodedata.normalize("NFKC", text)).strip().upper()


def name_form(text: str) -> str:
    """Return the form in which two spellings of a name are the same: spaces inside it, and dots, are written variously.

    Spaces beside a Chinese character or a middle dot say nothing; a full stop between Chinese characters stands for
    the middle dot. Between Latin words one space is as good as several.
    """
    form = text_form(text)
    if form.isascii():
        return " ".join(form.split())
    form = _STOP_IN_NAME.sub("·", _SPACE_IN_NAME.sub("", form))
    return " ".join(form.split())


_DOTS = str.maketrans(dict.fromkeys("•‧∙⋅・", "·"))
_HAN = "\u3007\u3400-\u9fff\U00020000-\U0003ffff"
_SPACE_IN_NAME = re.compile(rf"\s+(?=[{_HAN}·])|(?<=[{_HAN}·])\s+")
_STOP_IN_NAME = re.compile(rf"(?<=[{_HAN}])\.(?=[{_HAN}])")


def _dotted(text: str) -> str:
    return text.translate(_DOTS)


def _equal(held: Any, claim: Claim) -> bool | None:
    if claim.kind is Kind.TEXT:
        return text_form(str(held)) == text_form(str(claim.value))
    if claim.kind is Kind.DATE:
        return str(held) == str(claim.value)
    if claim.kind is Kind.AMOUNT:
        amount = _amount(held)
        return None if amount is None else amount == claim.value
    return bool(held == claim.value)


def _within_limit(values: Mapping[str, Any], field: str, held: Any, claim: Claim) -> bool | None:
    known: Any
    if claim.kind is Kind.AMOUNT:
        # An amount in another currency is neither more nor less than one in yuan.
        currency = values.get(f"{field.removesuffix('_amount')}_currency")
        known = _amount(held) if currency in (None, "CNY") else None
    elif claim.kind is Kind.DATE:
        known = date.fromisoformat(held)
    else:
        known = held
    if known is None:
        return None
    limit: Any = claim.value
    return bool(known >= limit if claim.comparison is Comparison.AT_LEAST else known <= limit)


def _amount(held: Any) -> Decimal | None:
    try:
        return Decimal(str(held))
    except InvalidOperation:
        return None


def _valid_on(values: Mapping[str, Any], day: Any) -> bool | None:
    """Tell whether a day lies between two dates, both included. Without a last day it goes on."""
    begins, ends = values.get("valid_from"), values.get("valid_to")
    if ends is not None and day > date.fromisoformat(ends):
        return False
    if begins is None:
        return None
    return bool(day >= date.fromisoformat(begins))
