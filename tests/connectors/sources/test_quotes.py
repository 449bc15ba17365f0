"""Rows seen and cut together are what the `csv` module makes of each."""

from __future__ import annotations

import csv

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.sources.delimited import _leaves_open
from connectors.sources.quotes import columns, lines_are_rows

PIECES = st.lists(
    st.sampled_from(['"', ",", "a", "\n", '"a"', ',"', "中", "\r", "\0", "\x1f", '""']), max_size=12
)


def strictly(text: str) -> list[str] | None:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


@given(st.lists(PIECES.map("".join).filter(bool), min_size=1, max_size=4), st.integers(1, 4))
@example(['a,"b,c"', '"",d', '"中",""'], 2)
def test_what_is_cut_together_is_what_csv_makes_of_each_row(texts: list[str], width: int) -> None:
    found = columns([text.encode("gb18030") for text in texts], "gb18030", ",", width)
    if found is not None:
        assert list(map(list, zip(*found, strict=True))) == [strictly(text) for text in texts]


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "gb18030"])
def test_the_usual_rows_are_cut_together(encoding: str) -> None:
    rows = [text.encode(encoding) for text in ('甲,"1,5",', '"乙","",x', ',,"丙，丁"')]
    assert columns(rows, encoding, ",", 3) == [["甲", "乙", ""], ["1,5", "", ""], ["", "x", "丙，丁"]]


@pytest.mark.parametrize("rows", [[b"a,b,c", b"d"], [b"a", b"b,c,d"], [b"a,b", b'c,"'], [b"a,b", b"c,\xff"]])
def test_a_row_that_differs_is_left_to_a_closer_look(rows: list[bytes]) -> None:
    assert columns(rows, "utf-8", ",", 2) is None


def rows_of(block: str) -> list[str]:
    rows, held = [], ""
    for line in block.splitlines(keepends=True):
        is_open = bool(held)
        held += line
        if not _leaves_open(line.encode(), b',"', is_open):
            rows.append(held)
            held = ""
    return [*rows, held] if held else rows


@given(st.lists(st.sampled_from(['"', ",", "a", "\n", '"a"', ',"', '""', "中"]), max_size=16).map("".join))
@example('x"y,"z\n')
@example('"a""b",c\n"d"\n')
def test_lines_are_rows_only_if_no_quote_is_open_between_them(block: str) -> None:
    block += "\n"
    if '"' in block and lines_are_rows(block.encode(), ord(",")):
        assert rows_of(block) == block.splitlines(keepends=True)


@pytest.mark.parametrize("block", ['"a",b\nc,"d,""e"""\n', 'a,""\n"",b'])
def test_the_usual_block_is_seen_at_once(block: str) -> None:
    assert lines_are_rows(block.encode(), ord(","))
