"""Rows written from their columns are the bytes that one object after the other would give."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from connectors.contents import contents

NAMES = ("a", "b%", 'c"d', "名")
VALUES = st.none() | st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=4)


@given(st.lists(st.tuples(*[VALUES] * len(NAMES)), max_size=5), st.lists(st.sampled_from(NAMES), unique=True))
def test_the_bytes_are_those_of_the_objects(rows: list[tuple[str | None, ...]], names: list[str]) -> None:
    columns = {name: [row[at] for row in rows] for at, name in enumerate(NAMES)}
    missing = {name: texts.count(None) for name, texts in columns.items()}
    expected = [
        orjson.dumps({name: columns[name][at] for name in names if columns[name][at] is not None})
        for at in range(len(rows))
    ]
    assert contents(columns, missing, names, len(rows)) == expected
