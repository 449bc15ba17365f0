"""Masking: what a query shows of a sensitive field that the grant does not disclose in clear.

A register's schema says how, by `x-mask` of the field; a sensitive field without it is hidden wholly. No mask tells how
long the value is, except of an identifier, which is always as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

HIDDEN = "******"


def masked(value: Any, described: Mapping[str, Any]) -> Any:
    """Return a value as it may be shown; None stays None.

    Args:
        described: the field's definition in its register's schema.
    """
    if value is None:
        return None
    return _RULES.get(described.get("x-mask", ""), _hidden)(str(value))


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


_RULES: Mapping[str, Callable[[str], str]] = {
    "name": _name,
    "identifier": _identifier,
    "date": _date,
    "address": _address,
}
