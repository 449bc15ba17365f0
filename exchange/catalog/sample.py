"""A sample of a resource, so that who writes software against it sees its form: invented from the schema, never real.

Identifiers in it pass their checks and are nobody's: their division, 990101, does not exist. The same resource has the
same sample each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any

from rstr import Rstr

from exchange.catalog.resource import Resource
from foundation.identifiers import CitizenId, Uscc

DIVISION = "990101"
ROWS = 2

_CITIZEN = "^[0-9]{17}[0-9X]$"
_USCC = "^[0-9A-HJ-NPQRTUWXY]{18}$"
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DIVISION = "^[0-9]{6}$"


def sample(resource: Resource, rows: int = ROWS) -> list[dict[str, Any]]:
    """Return invented records with the fields of a resource."""
    properties = resource.register.schema["properties"]
    return [
        {name: _value(properties[name], name, row) for name in resource.fields} for row in range(1, rows + 1)
    ]


def _value(schema: Mapping[str, Any], name: str, row: int) -> Any:
    if "enum" in schema:
        choices = [each for each in schema["enum"] if each is not None]
        return choices[(row - 1) % len(choices)]
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else next(each for each in types if each != "null")
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [_value(schema.get("items", {}), name, row + number) for number in range(count)]
    if kind == "object":
        return {each: _value(below, each, row) for each, below in schema.get("properties", {}).items()}
    if kind in {"integer", "number"}:
        return max(row, schema.get("minimum", row))
    if kind == "boolean":
        return row % 2 == 1
    return _text(schema, name, row)


def _text(schema: Mapping[str, Any], name: str, row: int) -> str:
    pattern = schema.get("pattern", "")
    if schema.get("format") == "date" or pattern == _DATE:
        return date(2000, 1, row).isoformat()
    if pattern == _CITIZEN:
        return CitizenId.compute(DIVISION, date(2000, 1, row), row).reveal()
    if pattern == _USCC:
        return Uscc.compute(f"91{DIVISION}MA00000{row:02d}").text
    if pattern == _DIVISION:
        return DIVISION
    if pattern:
        # By name and row, so that it does not change from call to call; the shortest of some, to be read by people.
        made = Rstr(Random(f"{name} {row}"))  # noqa: S311  # nothing is to be kept secret
        return min((str(made.xeger(pattern)) for _ in range(20)), key=len)
    return f"示例{schema.get('title', name)}{row}"[: schema.get("maxLength", 300)]
