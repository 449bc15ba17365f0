"""One row by itself: an object of JSON in the order of a mapping's columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from connectors.sources.raw import Wanted

Values = list[Any] | str
"""The values of a row in the order of the mapping's columns, or why it has none."""


def json_rows(wanted: Wanted) -> Callable[[bytes], Values]:
    """Return what takes an object of JSON apart, by the rules and with the reasons of a JSON array's elements."""
    members = wanted.members()
    width = len(wanted.names)

    def read(raw: bytes) -> Values:
        try:
            element = json.loads(raw.decode(), object_pairs_hook=_Members, parse_constant=_no_constant)
        except UnicodeDecodeError:
            return "undecodable-bytes"
        except RecursionError:
            return "nested-too-deeply"
        except ValueError:
            return "malformed-row"
        if not isinstance(element, _Members):
            return "not-an-object"
        return "duplicate-member" if element.twice else in_order(element, members, width)

    return read


class _Members(dict[str, Any]):
    """An object of JSON that knows whether a name stood in it twice, here or further down."""

    twice: bool

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = len(self) != len(pairs) or any(
            isinstance(v, _Members) and v.twice for v in self.values()
        )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def in_order(element: Mapping[str, Any], members: Mapping[str, int | None], width: int) -> Values:
    """Return the values of an object in the order of the columns (`Wanted.members`)."""
    values: list[Any] = [None] * width
    given: set[int] = set()
    for name, value in element.items():
        if name not in members:
            return "unknown-member"
        place = members[name]
        if place is None:
            continue
        if place in given:
            return "duplicate-member"
        given.add(place)
        values[place] = value
    return values
