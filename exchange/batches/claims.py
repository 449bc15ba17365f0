"""Checking what the rows of a part claim: by the column, since rows claim the same again and again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from exchange.catalog.resources import Resource
from exchange.queries.authorise import ClaimMalformed
from foundation.errors import DomainError
from foundation.language import _


class Claims:
    """Checks claims on one resource. What depends on their names alone is looked at once for each set of names."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._known: dict[tuple[str, ...], tuple[str, ...] | DomainError] = {}

    def require_sense(self, claims: Mapping[str, Any]) -> None:
        """Refuse claims that cannot be compared.

        Raises:
            FieldUnknown, ClaimMalformed: as they say.
        """
        names = tuple(claims)
        dates = self._known.get(names)
        if dates is None:
            dates = self._known[names] = self._dates(names)
        if isinstance(dates, DomainError):
            raise dates
        for name in dates:
            if not _is_date(claims[name]):
                raise ClaimMalformed(
                    _("{field} is not a date that exists, written YYYY-MM-DD"),
                    pointer=f"/claims/{name}",
                    field=name,
                )

    def _dates(self, names: tuple[str, ...]) -> tuple[str, ...] | DomainError:
        try:
            self._resource.require_fields(frozenset(names), "/claims")
        except DomainError as error:
            return error
        properties = self._resource.register.schema["properties"]
        return tuple(name for name in names if properties[name].get("format") == "date")


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or len(value) != 10:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
