"""Claims: what is compared with what, which fields that takes, and whether it can be compared at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from exchange.catalog.derived import ENTRIES, LICENCES, REPRESENTS
from exchange.catalog.resources import Resource
from foundation.errors import DomainError
from foundation.identifiers import IdentifierError, Uscc
from foundation.language import _

ClaimValue = str | int | bool
Asked = ClaimValue | Mapping[str, Any]
"""A claim as asked: a value that the field of the claim's name must equal, or `{"field", "is", "value"}`."""

OLDEST = 150
_AMOUNT = re.compile(r"[0-9]{1,28}(\.[0-9]{1,8})?")
_DIVISION = re.compile(r"[0-9]{2}([0-9]{2}){0,2}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


class ClaimMalformed(DomainError):
    code = "claim-malformed"


class Comparison(StrEnum):
    """How a claim is held against what is known."""

    EQUAL = "equal"
    NAME_LIKE = "name-like"
    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    AGE_AT_LEAST = "age-at-least"
    AGE_BELOW = "age-below"
    VALID_ON = "valid-on"
    IN_DIVISION = "in-division"
    LICENCE_IN_FORCE = "licence-in-force"
    REPRESENTATIVE_OF = "representative-of"
    NO_ENTRY = "no-entry"


ELSEWHERE = {
    Comparison.LICENCE_IN_FORCE: LICENCES,
    Comparison.REPRESENTATIVE_OF: REPRESENTS,
    Comparison.NO_ENTRY: ENTRIES,
}
"""Comparisons whose answer does not stand in the subject's row, and the derived field that a grant must cover."""

_USUAL_FIELD = {
    Comparison.AGE_AT_LEAST: "birth_date",
    Comparison.AGE_BELOW: "birth_date",
    Comparison.IN_DIVISION: "residence_division",
    Comparison.NAME_LIKE: "name",
}


class Kind(StrEnum):
    """What a field holds, as far as comparing goes."""

    TEXT = "text"
    DATE = "date"
    AMOUNT = "amount"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that can be compared.

    Args:
        fields: of the subject's row that are compared; none where the answer stands elsewhere.
        kind: of those fields.
        value: what is claimed, in the form that comparing takes: text, number, date, amount.
    """

    name: str
    comparison: Comparison
    fields: tuple[str, ...]
    kind: Kind
    value: ClaimValue | date | Decimal

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields that a grant must cover."""
        return self.fields or (ELSEWHERE[self.comparison],)


def read_claims(asked: Mapping[str, Asked], resource: Resource) -> tuple[Claim, ...]:
    """Read claims about a subject of a resource.

    Raises:
        FieldUnknown, ClaimMalformed: with the place of the claim; never with its value.
    """
    return tuple(
        _equal(name, name, claim, resource)
        if isinstance(claim, str | int)
        else _compared(name, claim, resource)
        for name, claim in asked.items()
    )


def _compared(name: str, asked: Mapping[str, Any], resource: Resource) -> Claim:
    try:
        comparison = Comparison(asked["is"])
    except ValueError as error:
        raise ClaimMalformed(
            _("there is no such comparison; there are {comparisons}"),
            pointer=f"/claims/{name}/is",
            comparisons=", ".join(Comparison),
        ) from error
    given: str | None = asked.get("field")
    value = asked.get("value")
    if comparison in ELSEWHERE:
        return _elsewhere(name, comparison, given, value, resource)
    if comparison is Comparison.VALID_ON:
        if given is not None:
            raise _malformed(name, "field", _("this comparison takes no field"))
        fields = ("valid_from", "valid_to")
        _require(fields, name, resource)
        return Claim(name, comparison, fields, Kind.DATE, _date(name, value, "valid_from"))
    field = given or _USUAL_FIELD.get(comparison, name)
    if comparison is Comparison.EQUAL:
        return _equal(name, field, value, resource)
    _require((field,), name, resource)
    kind = _kind(field, resource)
    return Claim(name, comparison, (field,), kind, _READ[comparison](name, value, field, kind))


def _equal(name: str, field: str, value: Any, resource: Resource) -> Claim:
    if field not in resource.fields:
        _require((field,), name, resource)
    kind = _kind(field, resource)
    return Claim(name, Comparison.EQUAL, (field,), kind, _READ_EQUAL[kind](name, value, field))


def _elsewhere(name: str, comparison: Comparison, given: str | None, value: Any, resource: Resource) -> Claim:
    if given is not None:
        raise _malformed(name, "field", _("this comparison takes no field"))
    _require((ELSEWHERE[comparison],), name, resource)
    text = _text(name, value, ELSEWHERE[comparison])
    if comparison is Comparison.REPRESENTATIVE_OF:
        try:
            text = str(Uscc.parse(text))
        except IdentifierError as error:
            raise _malformed(name, "value", _("it is not a unified social credit code")) from error
    elif not _NAME.fullmatch(text):
        raise _malformed(name, "value", _("it cannot be the name of a type or kind"))
    return Claim(name, comparison, (), Kind.TEXT, text)


def _require(fields: tuple[str, ...], name: str, resource: Resource) -> None:
    resource.require_fields(frozenset(fields), f"/claims/{name}")


def _kind(field: str, resource: Resource) -> Kind:
    described = resource.register.schema["properties"][field]
    form = described.get("format")
    if form == "date":
        return Kind.DATE
    if form == "decimal":
        return Kind.AMOUNT
    types = described.get("type", "string")
    if "string" in types:
        return Kind.TEXT
    return Kind.BOOLEAN if "boolean" in types else Kind.INTEGER


def _malformed(name: str, part: str, message: str, **values: object) -> ClaimMalformed:
    return ClaimMalformed(message, pointer=f"/claims/{name}/{part}", **values)


def _text(name: str, value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise ClaimMalformed(_("{field} is compared with text"), pointer=f"/claims/{name}", field=field)
    return value


def _date(name: str, value: Any, field: str) -> date:
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ClaimMalformed(
        _("{field} is not a date that exists, written YYYY-MM-DD"), pointer=f"/claims/{name}", field=field
    )


def _amount(name: str, value: Any, field: str) -> Decimal:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Decimal(value)
    if isinstance(value, str) and value.isascii() and _AMOUNT.fullmatch(value):
        return Decimal(value)
    raise ClaimMalformed(
        _("{field} is compared with an amount in whole units, written as decimal digits"),
        pointer=f"/claims/{name}",
        field=field,
    )


def _integer(name: str, value: Any, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ClaimMalformed(_("{field} is compared with a number"), pointer=f"/claims/{name}", field=field)


def _boolean(name: str, value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ClaimMalformed(_("{field} is compared with true or false"), pointer=f"/claims/{name}", field=field)


_READ_EQUAL: dict[Kind, Callable[[str, Any, str], ClaimValue | date | Decimal]] = {
    Kind.TEXT: _text,
    Kind.DATE: _date,
    Kind.AMOUNT: _amount,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
}


def _read_name(name: str, value: Any, field: str, kind: Kind) -> str:
    _expect(kind, {Kind.TEXT}, name, field)
    return _text(name, value, field)


def _read_limit(name: str, value: Any, field: str, kind: Kind) -> ClaimValue | date | Decimal:
    _expect(kind, {Kind.AMOUNT, Kind.INTEGER, Kind.DATE}, name, field)
    return _READ_EQUAL[kind](name, value, field)


def _read_age(name: str, value: Any, field: str, kind: Kind) -> int:
    _expect(kind, {Kind.DATE}, name, field)
    years = _integer(name, value, field)
    if not 0 <= years <= OLDEST:
        raise _malformed(name, "value", _("ages are from 0 to {oldest} years"), oldest=OLDEST)
    return years


def _read_division(name: str, value: Any, field: str, kind: Kind) -> str:
    _expect(kind, {Kind.TEXT}, name, field)
    text = _text(name, value, field)
    if not (text.isascii() and _DIVISION.fullmatch(text)):
        raise _malformed(name, "value", _("divisions are codes of 2, 4 or 6 digits"))
    return text


def _expect(kind: Kind, expected: set[Kind], name: str, field: str) -> None:
    if kind not in expected:
        raise _malformed(name, "is", _("{field} cannot be compared so"), field=field)


_READ: dict[Comparison, Callable[[str, Any, str, Kind], ClaimValue | date | Decimal]] = {
    Comparison.NAME_LIKE: _read_name,
    Comparison.AT_LEAST: _read_limit,
    Comparison.AT_MOST: _read_limit,
    Comparison.AGE_AT_LEAST: _read_age,
    Comparison.AGE_BELOW: _read_age,
    Comparison.IN_DIVISION: _read_division,
}
