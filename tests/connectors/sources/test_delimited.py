"""Delimited text: what comes out of files as departments send them, and what a broken row costs."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.sources import delimited
from connectors.sources.delimited import LONGEST_ROW, DelimitedSlice, read_delimited
from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted

HEADER = ["编号", "姓名", "备注"]
HEAD = ",".join(HEADER).encode()


def read(
    path: Path,
    content: bytes,
    *,
    encoding: str = "utf-8",
    delimiter: str = ",",
    header: list[str] | None = None,
    batch_rows: int = 1000,
) -> list[RawBatch]:
    path.write_bytes(content)
    names = HEADER if header is None else header
    return list(
        read_delimited(
            path, encoding=encoding, delimiter=delimiter, wanted=wanted(names), batch_rows=batch_rows
        )
    )


def wanted(names: list[str]) -> Wanted:
    return Wanted(tuple((name,) for name in names))


def rows_of(batches: list[RawBatch]) -> list[list[str]]:
    return [list(row) for batch in batches for row in zip(*batch.columns, strict=True)]


def bad_of(batches: list[RawBatch]) -> list[BadRow]:
    return [bad for batch in batches for bad in batch.bad]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.fixture(scope="module")
def one_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("delimited") / "table.csv"


CELL = st.text(st.one_of(st.sampled_from('",\n\r\t|;丂𠮷䶮\0 '), st.characters(codec="utf-8")), max_size=6)
ENCODINGS = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "gb18030": "gb18030"}


@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=8)
    ),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    line_end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    batch_rows=st.integers(1, 5),
)
@example([["a\r\nb", '"'], ["", ""]], "gb18030", "\r\n", ",", csv.QUOTE_MINIMAL, 1)
def test_any_table_comes_back_as_it_was_written(
    one_path: Path,
    table: list[list[str]],
    encoding: str,
    line_end: str,
    delimiter: str,
    quoting: int,
    batch_rows: int,
) -> None:
    if any("\r" in cell for row in table for cell in row):
        quoting = csv.QUOTE_ALL  # the writer itself forgets to quote it where the line end is another
    header = [f"列{number}" for number in range(len(table[0]) if table else 1)]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator=line_end, delimiter=delimiter, quoting=quoting)
    writer.writerows([header, *table])
    batches = read(
        one_path,
        written.getvalue().encode(encoding),
        encoding=ENCODINGS[encoding],
        delimiter=delimiter,
        header=header,
        batch_rows=batch_rows,
    )
    assert bad_of(batches) == []
    assert rows_of(batches) == table
    assert [origin for batch in batches for origin in batch.origins] == list(range(1, len(table) + 1))
    assert [batch.end for batch in batches] == [
        min(end, len(table)) for end in range(batch_rows, len(table) + batch_rows, batch_rows)
    ]


@given(st.text('a,""\n管', max_size=30), st.integers(1, 3))
@example('1,5"管,"a\n2,b,c\n3,d",e\n4,f,g', 3)
@example('"1",5"管,a\n2,b,c\n', 2)
def test_quotes_out_of_place_never_bring_rows_out_of_step(one_path: Path, text: str, batch_rows: int) -> None:
    """Whatever the quotes do: each row's bytes, read by themselves, give the very cells that were reported for it."""
    content = HEAD + b"\n" + text.encode()
    try:
        batches = read(one_path, content, batch_rows=batch_rows)
    except SourceError as error:
        assert "ends inside a quoted field" in str(error)
        return
    for batch in batches:
        for raw, cells in zip(batch.raw, zip(*batch.columns, strict=True), strict=True):
            assert list(csv.reader([raw.decode()], strict=True)) == [list(cells)]
    lines = [line for line in content.split(b"\n")[1:] if line.strip(b"\r")]
    kept = {
        number: raw for batch in batches for number, raw in zip(batch.origins, batch.raw, strict=True)
    } | {bad.origin_row: bad.raw for bad in bad_of(batches)}
    assert sorted(kept) == list(range(1, len(kept) + 1)), "every row is somewhere, once"
    together = b"\n".join(kept[number] for number in sorted(kept))
    assert [line for line in together.split(b"\n") if line] == lines, "and no byte of it is lost"


BROKEN: dict[str, tuple[bytes, str]] = {
    "too few cells": ("2,李四".encode(), "wrong-column-count"),
    "too many cells": ("2,李四,x,y".encode(), "wrong-column-count"),
    "undecodable bytes": ("2,李".encode() + b"\xff\xfe,x", "undecodable-bytes"),
    "a character cut in two": ("2,李四,".encode() + "四".encode()[:2], "undecodable-bytes"),
    "text behind a closing quote": ('2,"李四"x,y'.encode(), "malformed-row"),
    "a lone carriage return": (b"2,a\rb,c", "malformed-row"),
}


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_row_costs_only_itself(path: Path, kind: str, batch_rows: int) -> None:
    row, reason = BROKEN[kind]
    batches = read(
        path, HEAD + "\n1,张三,a\n".encode() + row + "\n3,王五,c\n".encode(), batch_rows=batch_rows
    )
    assert rows_of(batches) == [["1", "张三", "a"], ["3", "王五", "c"]]
    assert bad_of(batches) == [BadRow(2, None, reason, row)]
    assert batches[-1].end == 3


def test_an_undecodable_row_of_gb18030_costs_only_itself(path: Path) -> None:
    rows = ["1,张三,a", "2,李四,b", "3,王五,c"]
    content = [line.encode("gb18030") for line in (",".join(HEADER), *rows)]
    # The first half of a character: its second half would be the line end.
    content[2] += b"\x81"
    batches = read(path, b"\r\n".join(content), encoding="gb18030")
    assert rows_of(batches) == [["1", "张三", "a"], ["3", "王五", "c"]]
    assert bad_of(batches) == [BadRow(2, None, "undecodable-bytes", content[2])]


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_a_quote_inside_a_plain_field_is_a_character(path: Path, batch_rows: int) -> None:
    content = HEAD + '\n1,5"管,"甲,乙\n丙"\n"2",6"管,x\n3,"他说""好""",z\n'.encode()
    assert rows_of(read(path, content, batch_rows=batch_rows)) == [
        ["1", '5"管', "甲,乙\n丙"],
        ["2", '6"管', "x"],
        ["3", '他说"好"', "z"],
    ]


def test_the_second_byte_of_a_character_is_no_delimiter(path: Path) -> None:
    character = b"\x81\x7c".decode("gb18030")
    rows = [["1", f'{character}"', "x"], ["2", f"{character}|\n", f'"{character}"']]
    written = io.StringIO()
    csv.writer(written, delimiter="|", lineterminator="\n").writerows([HEADER, *rows])
    # As other programs write it: a quote that need not be doubled is not.
    text = written.getvalue().replace(f'"{character}"""|', f'{character}"|')
    assert f'1|{character}"|x' in text
    assert rows_of(read(path, text.encode("gb18030"), encoding="gb18030", delimiter="|")) == rows


def test_columns_are_found_by_their_names_in_any_order(path: Path) -> None:
    content = "备注, 编号 ,姓名\nx,1,张三\n".encode("utf-8-sig")
    assert rows_of(read(path, content)) == [["1", "张三", "x"]]
    marked = ("\ufeff" + ",".join(HEADER) + "\n1,张三,x\n").encode("gb18030")
    assert rows_of(read(path, marked, encoding="gb18030")) == [["1", "张三", "x"]]


def test_nul_and_blank_lines_and_a_missing_last_line_end(path: Path) -> None:
    batches = read(path, HEAD + b"\r\n1,a\0b,c\r\n\r\n\n2,d,e")
    assert rows_of(batches) == [["1", "a\0b", "c"], ["2", "d", "e"]]
    assert batches[-1].end == 2


def test_a_header_alone_is_an_empty_table(path: Path) -> None:
    assert read(path, HEAD) == []


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", r"table\.csv is empty"),
    "blank lines only": (b"\r\n\n", r"table\.csv is empty"),
    "no header": ("1,张三,x\n".encode(), r"differs: missing \[编号, 姓名, 备注\], unknown \[1, 张三, x\]"),
    "a column missing": ("编号,姓名\n1,张三\n".encode(), r"differs: missing \[备注\], unknown \[\]"),
    "a column more": (HEAD + ",电话\n".encode(), r"differs: missing \[\], unknown \[电话\]"),
    "a column twice": (HEAD + ",备注\n".encode(), r"the header of table\.csv differs"),
    "another encoding": (",".join(HEADER).encode("gb18030"), r"header of table\.csv cannot be read as utf-8"),
    "UTF-16": (",".join(HEADER).encode("utf-16"), r"header of table\.csv cannot be read as utf-8"),
    "a broken header": (HEAD + b',"x\ny', r"table\.csv ends inside a quoted field"),
    "an open quote at the end": (HEAD + b'\n1,"a,b\n2,c,d\n', r"table\.csv ends inside a quoted field"),
    "an endless line": (HEAD + b"\n" + b"x" * (LONGEST_ROW + 1), r"a row of more than 1048576 bytes"),
    "an endless quote": (HEAD + b'\n1,"' + b"x\n" * (LONGEST_ROW // 2), r"a row of more than 1048576 bytes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_as_mapped_is_one_clear_error(path: Path, kind: str) -> None:
    content, message = REFUSED[kind]
    with pytest.raises(SourceError, match=message):
        read(path, content)


def test_a_row_of_the_greatest_length_is_still_read(path: Path) -> None:
    row = b"1,a," + b"x" * (LONGEST_ROW - 5) + b"\n"
    batches = read(path, HEAD + b"\n" + row + b"2,b,c\n")
    # The csv module has a limit of its own for one cell: such a row is kept as a bad one, its neighbour is read.
    assert [(bad.reason, len(bad.raw)) for bad in bad_of(batches)] == [("malformed-row", LONGEST_ROW - 1)]
    assert rows_of(batches) == [["2", "b", "c"]]


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_cannot_be_opened_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened: "):
        list(
            read_delimited(
                tmp_path / name, encoding="utf-8", delimiter=",", wanted=wanted(HEADER), batch_rows=10
            )
        )


def test_rows_before_a_late_error_have_been_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LONGEST_ROW", 64)
    path.write_bytes(HEAD + b"\n1,a,b\n2,c,d\n" + b"x" * 65)
    batches = read_delimited(path, encoding="utf-8", delimiter=",", wanted=wanted(HEADER), batch_rows=1)
    assert [next(batches).end, next(batches).end] == [1, 2]
    with pytest.raises(SourceError, match="more than 64 bytes"):
        next(batches)


@given(st.lists(st.sampled_from([b"a,b", b'"a\nb",c', b"\xd6\xd0", b'"\n"'])))
def test_a_slice_goes_from_process_to_process_as_it_is(rows: list[bytes]) -> None:
    layout = Layout("delimited", "gb18030", ",", ("a", "b"), ())
    piece = DelimitedSlice(rows, 7, layout, [1, 0], "part")
    assert pickle.loads(pickle.dumps(piece)) == piece
