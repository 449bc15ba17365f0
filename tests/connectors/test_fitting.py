"""A batch fits column by column exactly where each of its records fits by itself."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fitting import Fitting
from exchange.registers.schemas import load_registers

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "anyOf": [{"required": ["code"]}, {"required": ["number"]}],
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4},
        "code": {"type": ["string", "null"], "pattern": "^[A-C]{2}$"},
        "number": {"type": "string", "enum": ["1", "2"]},
    },
}
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "甲", "甲乙", "甲乙丙丁戊"]),
        st.sampled_from([None, "AB", "AB\n", "ab"]),
        st.sampled_from([None, "1", "3"]),
    ),
    max_size=6,
)


@given(ROWS)
def test_all_fit_if_each_does(rows: list[tuple[str | None, ...]]) -> None:
    names = ("name", "code", "number")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    records = [{n: v for n, v in zip(names, row, strict=True) if v is not None} for row in rows]
    each = jsonschema_rs.validator_for(SCHEMA)
    missing = {name: texts.count(None) for name, texts in columns.items()}
    fitting = Fitting(SCHEMA)
    assert fitting.all_fit(columns, missing, len(rows)) == all(map(each.is_valid, records))
    assert [fitting.fits(record) for record in records] == [each.is_valid(record) for record in records]


@pytest.mark.parametrize(
    "more",
    [
        {"if": {"properties": {"code": {"const": "AA"}}}, "then": {"required": ["number"]}},
        {"minProperties": 2},
        {"anyOf": [{"properties": {"code": {"const": "AA"}}}]},
        {"anyOf": [{"not": {"required": ["code"]}}]},
    ],
)
def test_a_schema_that_looks_across_columns_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="column by column"):
        Fitting(SCHEMA | more)


def test_every_register_can_be_seen_column_by_column() -> None:
    for register in load_registers().values():
        Fitting(register.schema)


def test_what_does_not_fit_is_told_by_field_and_rule() -> None:
    fitting = Fitting(SCHEMA)
    assert fitting.why({"code": "AB"}) == ("name", "missing-field")
    assert fitting.why({"name": "甲", "code": "AB"}) == ("name", "schema-minLength")
