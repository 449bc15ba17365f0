"""Masking: what a query shows of a field that the grant does not disclose in clear, by the rule of the catalogue.

No mask tells how long the value is, except of an identifier, which is always as long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from exchange.catalog.resource import Field, Masking

HIDDEN = "******"


def hidden(fields: Iterable[str], clear: Collection[str], details: Mapping[str, Field]) -> frozenset[str]:
    """Return those of the fields whose values are masked, where the grant discloses others in clear."""
    return frozenset(
        name for name in fields if name not in clear and details[name].masking is not Masking.NONE
    )


def masked(value: Any, rule: Masking) -> Any:
    """Return a value as it may be shown; None stays None."""
    if value is None or rule is Masking.NONE:
        return value
    return _RULES.get(rule, _hidden)(str(value))


def _hidden(_text: str) -> str:
    return HIDDEN


def _name(text: str) -> str:
    return text[:1] + "*"


def _identifier(text: str) -> str:
    return f"{text[:4]}{'*' * (len(text) - 8)}{text[-4:]}" if len(text) >= 15 else HIDDEN


def _date(text: str) -> str:
    return f"{text[:4]}-**-**"


def _address(text: str) -> str:
    return text[:3] + HIDDEN if len(text) > 6 else HIDDEN


_RULES: Mapping[Masking, Callable[[str], str]] = {
    Masking.NAME: _name,
    Masking.IDENTIFIER: _identifier,
    Masking.DATE: _date,
    Masking.ADDRESS: _address,
}
