"""Which fields of a JSON Schema are sensitive, and taking a record apart along that line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

KEYWORD = "x-sensitive"


def sensitive_fields(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the top-level properties marked `"x-sensitive": true`.

    Raises:
        ValueError: the keyword stands deeper, where it would be overlooked; or is not a boolean.
    """
    found = set()
    for name, definition in schema.get("properties", {}).items():
        mark = definition.get(KEYWORD, False)
        if not isinstance(mark, bool):
            raise ValueError(f"/properties/{name}/{KEYWORD} must be true or false")
        if mark:
            found.add(name)
        below = {key: value for key, value in definition.items() if key != KEYWORD}
        if f'"{KEYWORD}"'.encode() in orjson.dumps(below):
            raise ValueError(f"/properties/{name}: mark the whole property, {KEYWORD} is not seen deeper")
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Split:
    """A record taken apart: `open` may stand in clear, `secret` must be sealed."""

    open: dict[str, Any]
    secret: dict[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any], sensitive: frozenset[str]) -> Split:
        """Split by the names of the sensitive fields."""
        open_ = {name: value for name, value in record.items() if name not in sensitive}
        secret = {name: value for name, value in record.items() if name in sensitive}
        return cls(open_, secret)
