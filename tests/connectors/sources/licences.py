"""Licences as records of a table or an interface, for the sources that fetch them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from connectors.mapping import SourceMapping, parse_mapping
from connectors.sources.raw import RawBatch

COLUMNS = ("licence_type", "licence_number", "holder_name", "issued_on")


def mapping(origin: dict[str, Any], *, form: str = "records") -> SourceMapping:
    """Return a mapping of four columns into the register of legal entities."""
    document: dict[str, Any] = {
        "source": "licences",
        "title": "证照",
        "contact": "审批局",
        "register": "legal_entities",
        "format": form,
        "columns": [
            {"column": "licence_type", "field": "entity_type"},
            {"column": "licence_number", "field": "registration_number", "kind": "code"},
            {"column": "holder_name", "also": ["holder"], "field": "name", "kind": "name"},
            {"column": "issued_on", "field": "established_on", "kind": "date"},
        ],
        "origin": origin,
    }
    return parse_mapping("licences", orjson.dumps(document).decode())


def rows(batches: Iterable[RawBatch]) -> list[tuple[Any, ...]]:
    """Return all good rows of batches, with the origin of each."""
    return [
        (origin, *values)
        for batch in batches
        for origin, *values in zip(batch.origins, *batch.columns, strict=True)
    ]


def numbers(batches: Iterable[RawBatch]) -> list[str]:
    """Return the licence numbers of all good rows."""
    return [row[2] for row in rows(batches)]


def connections(uri: str) -> Callable[[str], str]:
    return lambda name: {"department": uri}[name]
