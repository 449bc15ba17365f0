"""Holding a batch against its register's schema, column by column.

A record fits if each of its values fits its property and the fields that it has may stand together. So a column is
held against its property as one array, and of all records that have the same fields one is held against the whole
schema: a handful of calls for a batch instead of one for each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from connectors.normalise import Texts

_ABOUT = frozenset({"$schema", "$id", "title", "description", "type", "x-sensitive"})
_LOCAL = frozenset({"properties", "required", "additionalProperties", "anyOf"})


class Fitting:
    """Tells which records fit a schema.

    Raises:
        ValueError: the schema says more than can be seen column by column; says what.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        further = schema.keys() - _ABOUT - _LOCAL
        for alternative in schema.get("anyOf", ()):
            further |= alternative.keys() - {"required", "properties"}
            for definition in alternative.get("properties", {}).values():
                further |= definition.keys() - {"type"}
        if further:
            raise ValueError(f"cannot be seen column by column: {', '.join(sorted(further))}")
        self._schema = dict(schema)
        self._whole = jsonschema_rs.validator_for(self._schema)
        self._columns = {
            name: jsonschema_rs.validator_for({"type": "array", "items": definition})
            for name, definition in schema["properties"].items()
        }

    def all_fit(self, columns: Mapping[str, Texts], missing: Mapping[str, int], rows: int) -> bool:
        """Tell whether all rows fit, given their columns; a field without a value is one that the record has not.

        Args:
            missing: field → rows that have no value.
        """
        mixed: list[str] = []
        full: list[str] = []
        for name, texts in columns.items():
            empty = missing[name]
            if empty == rows:
                continue
            (mixed if empty else full).append(name)
            values = [text for text in texts if text is not None] if empty else texts
            if not self._columns[name].is_valid(values):
                return False
        having = [[text is not None for text in columns[name]] for name in mixed]
        first = {pattern: row for row, pattern in enumerate(zip(*having, strict=True))} if mixed else {(): 0}
        return all(
            self._whole.is_valid(record_of(columns, (*full, *_chosen(mixed, pattern)), row))
            for pattern, row in first.items()
            if rows
        )

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Tell whether one record fits."""
        return self._whole.is_valid(dict(record))

    def why(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return the field and the reason for which a record does not fit."""
        missing = sorted(set(self._schema.get("required", ())).difference(record))
        if missing:
            return missing[0], "missing-field"
        error = next(iter(self._whole.iter_errors(dict(record))))
        path = list(error.instance_path)
        return (str(path[0]) if path else ""), f"schema-{error.kind.name}"


def record_of(columns: Mapping[str, Texts], names: Sequence[str], row: int) -> dict[str, str]:
    """Return a row as a record of these fields, without those that have no value."""
    found = ((name, columns[name][row]) for name in names)
    return {name: value for name, value in found if value is not None}


def _chosen(names: Sequence[str], pattern: Sequence[bool]) -> list[str]:
    return [name for name, there in zip(names, pattern, strict=True) if there]
