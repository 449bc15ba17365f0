"""Files that are cut, locked, hostile or not what they are said to be: one clear refusal, or single rows set aside."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connectors.sources import archive, json_lines, workbook, xml_records
from connectors.sources.files import FileSource
from connectors.sources.raw import HeaderDiffers, SourceError
from tests.connectors.sources import conformance
from tests.connectors.sources.conformance import HEADER, ROWS, delimited, mapping, read, rows_of, zipped

TABLE = delimited(HEADER, ROWS)
LONG = delimited(HEADER, [[str(n), f"{n * 7919}", f"{n * 104729}"] for n in range(5000)])


def locked_xls() -> bytes:
    """Return a workbook whose first record behind the beginning says that the rest is encrypted."""
    content = conformance.xls(HEADER, ROWS)
    begin = content.index(b"\x09\x08\x10\x00\x00\x06\x05\x00") + 20
    return content[:begin] + b"\x2f\x00" + content[begin + 2 :]


def locked_zip() -> bytes:
    content = bytearray(zipped({"a.csv": TABLE}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def spoilt_zip() -> bytes:
    content = bytearray(zipped({"a.csv": LONG}))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def bomb() -> bytes:
    return zipped({"a.csv": TABLE + b"0" * (40 << 20)})


def document(body: str, before: str = "") -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>{before}<d>{body}</d>'.encode()


LAUGHS = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
RECORD = "<r><CODE>1</CODE><NAME>a</NAME><NOTE>{}</NOTE></r>"
DBF = conformance.dbf(HEADER, ROWS)

REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty"),
    "blank lines": (b"\r\n \n", "is empty"),
    "nothing in a gz": (gzip.compress(b""), "is empty"),
    "nothing in a zip": (zipped({}), r"holds no member like \*"),
    "folders in a zip": (zipped({"a/": b""}), r"holds no member like \*"),
    "cut zip": (zipped({"a.csv": LONG})[:-30], "is not a whole archive"),
    "cut gz": (gzip.compress(LONG)[:-2000], "is not a whole archive"),
    "spoilt gz": (gzip.compress(LONG)[:-8] + b"12345678", "is not a whole archive"),
    "spoilt zip": (spoilt_zip(), "is not a whole archive"),
    "locked zip": (locked_zip(), "is protected by a password"),
    "bomb": (bomb(), "unpacks to more than it may"),
    "bomb in a gz": (gzip.compress(TABLE + b"0" * (40 << 20)), "unpacks to more than it may"),
    "way out": (zipped({"../a.csv": TABLE}), "holds a name that leads out of it"),
    "way out, absolute": (zipped({"/etc/a.csv": TABLE}), "holds a name that leads out of it"),
    "way out, as of Windows": (zipped({"b\\..\\..\\a.csv": TABLE}), "holds a name that leads out of it"),
    "zip in a zip": (zipped({"a.zip": zipped({"a.csv": TABLE})}), "holds an archive within an archive"),
    "gz in a zip": (zipped({"a.gz": gzip.compress(TABLE)}), "holds an archive within an archive"),
    "zip in a gz": (gzip.compress(zipped({"a.csv": TABLE})), "holds an archive within an archive"),
    "locked xls": (locked_xls(), "is protected by a password"),
    "locked xlsx": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le"),
        "is protected by a password",
    ),
    "cut xlsx": (conformance.xlsx(HEADER, ROWS)[:-40], "is not a whole archive"),
    "cut xls": (conformance.xls(HEADER, ROWS)[:600], "cannot be read as a workbook"),
    "empty sheets": (conformance.xlsx([], []), "is empty"),
    "entities": (document(RECORD.format("&b;"), LAUGHS), "has a document type definition"),
    "entity outside": (document(RECORD.format("&x;"), OUTSIDE), "has a document type definition"),
    "cut XML": (document(RECORD.format("b"))[:-3], r"breaks XML at line 1"),
    "XML without records": (document("<x><y>1</y></x>"), "holds no record of its mapping"),
    "XML in another encoding": (
        b'<?xml version="1.0" encoding="UTF-7"?><d/>',
        "is in utf-7, which is not read",
    ),
    "XML not as declared": (
        document(RECORD.format("张三")).decode().encode("gb18030"),
        "is not in the encoding that it declares",
    ),
    "deep XML": (document("<a>" * 100 + "</a>" * 100), "is nested too deeply"),
    "cut DBF": (DBF[:-100], "ends within record 4"),
    "cut header of a DBF": (DBF[:70], "is not a whole dBASE table"),
    "neither encoding": (TABLE + b"\xff\xff\xff\n" * 9, "is neither UTF-8 nor GB18030"),
    "no column": ("甲,乙\n1,2\n".encode(), "shows no column of its mapping, read as utf-8"),
    "two arrays of a name": (b'{"a": [{}], "b": 1, "a": 2}', "holds the array a twice"),
    "behind the array": (b'{"a": [{}], "b": ', "breaks JSON outside its array"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_trusted_is_one_clear_refusal(tmp_path: Path, kind: str) -> None:
    content, message = REFUSED[kind]
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"^table\S* {message}") as caught:
        read(path)
    assert "张" not in str(caught.value)


def test_an_unpacked_size_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST_MEMBER", len(LONG) - 1)
    for content in (zipped({"a.csv": LONG}), gzip.compress(LONG)):
        path = tmp_path / "table"
        path.write_bytes(content)
        with pytest.raises(SourceError, match="unpacks to more than it may"):
            read(path)


def test_a_bomb_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RATIO_FROM", 1 << 20)
    path = tmp_path / "table.gz"
    path.write_bytes(gzip.compress(TABLE + (b"1," + b"2" * 500 + b",3\n") * (1 << 14)))
    tracemalloc.start()
    with pytest.raises(SourceError, match="unpacks to more"):
        for batch in FileSource(path, mapping()).batches(1000):
            assert batch.end
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_members_are_chosen_by_pattern_and_each_is_a_part(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(
        zipped({"b.xls": conformance.xls(HEADER, ROWS), "a.csv": TABLE, "README.txt": b"read me"})
    )
    batches = read(path, batch_rows=9, members=["*.csv", "*.xls"])
    assert [(batch.part, batch.layout and batch.layout.format) for batch in batches] == [
        ("a.csv", "delimited"),
        ("b.xls/甲", "workbook"),
    ]
    assert rows_of(batches) == ROWS * 2
    with pytest.raises(SourceError, match=r"README\.txt shows no column"):
        read(path)


def test_a_name_in_gbk_is_read_as_the_packer_meant_it(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    content = zipped({"xxxx.csv": TABLE})
    path.write_bytes(content.replace(b"xxxx.csv", "人口.csv".encode("gbk")))
    assert {batch.part for batch in read(path)} == {"人口.csv"}


@pytest.mark.parametrize("bad", [b"\xd5\xc5", b"\xff"])
def test_one_bad_line_does_not_turn_the_encoding_of_a_file(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLE + b"4," + bad + b",x\n" + delimited(["5", "王五", "y"], []))
    batches = read(path, batch_rows=9)
    assert [(b.origin_row, b.reason) for b in batches[0].bad] == [(4, "undecodable-bytes")]
    assert rows_of(batches) == [*ROWS, ["5", "王五", "y"]]
    assert batches[0].layout is not None
    assert batches[0].layout.encoding == "utf-8"


def test_an_encoding_wrongly_stated(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(delimited(HEADER, ROWS, "gb18030"))
    batches = read(path, batch_rows=9, encoding="utf-8")
    assert {b.reason for b in batches[0].bad} == {"undecodable-bytes"}
    path.write_bytes(delimited(["编号", "姓名"], [["1", "2"]], "gb18030"))
    with pytest.raises(SourceError, match=r"the header of table\.csv cannot be read as utf-8"):
        read(path, encoding="utf-8", columns=["编号", "姓名"])


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_the_full_width_comma_divides_and_stands_in_quotes(tmp_path: Path, encoding: str) -> None:
    rows = [["1", "甲，乙", 'a"b'], ["2", "两\n行，", "，"], ["3", "plain, text", "丂"]]
    path = tmp_path / "table.csv"
    path.write_bytes(delimited(HEADER, rows, encoding, "，"))
    assert rows_of(read(path, encoding=encoding, delimiter="，")) == rows
    assert rows_of(read(path)) == rows


def test_a_delimiter_wrongly_stated_is_a_header_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLE)
    with pytest.raises(HeaderDiffers, match=r"missing \[CODE, NAME, NOTE\]"):
        read(path, delimiter=";")


ENDLESS: dict[str, bytes] = {
    "delimited": TABLE + b"x" * (3 << 20),
    "json-lines": b'{"CODE": "' + b"x" * (3 << 20),
    "xml": document("<r><CODE>" + "x" * (3 << 20)),
}


@pytest.mark.parametrize("form", ENDLESS)
def test_a_row_without_an_end_is_refused_after_a_megabyte(tmp_path: Path, form: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(ENDLESS[form])
    with pytest.raises(SourceError, match="holds a row of more than 1048576 bytes"):
        read(path, format=form)
    assert json_lines.LONGEST_LINE == xml_records.LONGEST_RECORD == 1 << 20


def test_a_workbook_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "LARGEST_WORKBOOK", 1000)
    path = tmp_path / "table.xls"
    path.write_bytes(conformance.xls(HEADER, ROWS))
    with pytest.raises(SourceError, match="is a workbook of more than 1000 bytes"):
        read(path)


LINES = {
    "malformed-row": b'{"CODE": 1',
    "not-an-object": b"[1]",
    "unknown-member": b'{"OTHER": "x"}',
    "duplicate-member": b'{"CODE": "1", "CODE": "2"}',
    "undecodable-bytes": b'{"CODE": "\xd5\xc5"}',
    "nested-too-deeply": b'{"CODE": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("reason", LINES)
def test_a_bad_line_of_json_costs_only_itself(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"CODE": "before"}\r\n\n' + LINES[reason] + b'\n{"CODE": "behind"}')
    (batch,) = read(path, batch_rows=9, format="json-lines")
    assert [row[0] for row in rows_of([batch])] == ["before", "behind"]
    assert [(b.origin_row, b.reason, b.raw) for b in batch.bad] == [(2, reason, LINES[reason])]


def test_bad_records_of_xml_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "table.xml"
    bad = "<r><CODE>1</CODE><OTHER/></r><r><CODE>1</CODE><CODE>2</CODE></r>"
    path.write_bytes(document(RECORD.format("a") + bad + '<r CODE="2" NAME="b"/>'))
    (batch,) = read(path, batch_rows=9)
    assert rows_of([batch]) == [["1", "a", "a"], ["2", "b", None]]
    assert [b.reason for b in batch.bad] == ["unknown-member", "duplicate-member"]


def test_a_nul_byte_is_left_to_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLE + b"4,a\0b,c\n")
    assert rows_of(read(path))[-1] == ["4", "a\0b", "c"]


CELLS: list[tuple[Any, str]] = [
    ("0012", "0012"),
    (12, "12"),
    (12.0, "12"),
    (0.1, "0.1"),
    (-3.25, "-3.25"),
    (True, "TRUE"),
    (date(2020, 2, 29), "2020-02-29"),
    (datetime(2020, 2, 29, 8, 5, 9), "2020-02-29 08:05:09"),  # noqa: DTZ001 - cells have no zone
    (time(8, 5), "08:05:00"),
    (None, ""),
    ("=cmd|'/C calc'!A0", "=cmd|'/C calc'!A0"),
]


def test_cells_with_a_type_become_the_text_they_show(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    path.write_bytes(
        conformance.xlsx(["CODE", "NAME"], [[str(n), value] for n, (value, _) in enumerate(CELLS, 1)])
    )
    found = rows_of(read(path, columns=["CODE", "NAME"]))
    assert [row[1] for row in found] == [text for _, text in CELLS]


def test_a_sheet_is_named_or_all_of_them_are_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name in ("a", "b"):
        sheet = book.create_sheet(name)
        sheet.append(["CODE", "NAME"])
        sheet.append([name, "x"])
        sheet.append([])
        sheet.append([name, "y", "behind the last column"])
    path = tmp_path / "table.xlsx"
    book.save(path)
    every = read(path, columns=["CODE", "NAME"])
    assert [(batch.part, rows_of([batch])) for batch in every] == [("a", [["a", "x"]]), ("b", [["b", "x"]])]
    assert [b.reason for batch in every for b in batch.bad] == ["wrong-column-count"] * 2
    assert [batch.part for batch in read(path, columns=["CODE", "NAME"], sheet="b")] == ["b"]
    with pytest.raises(SourceError, match="has no sheet c"):
        read(path, columns=["CODE", "NAME"], sheet="c")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (b"D", b"20200229", "2020-02-29"),
        (b"D", b"        ", ""),
        (b"N", b"   12", "12"),
        (b"F", b" 1.50", "1.50"),
        (b"L", b"T", "TRUE"),
        (b"L", b"?", ""),
        (b"I", struct.pack("<i", -7), "-7"),
        (b"Y", struct.pack("<q", -12_345), "-1.2345"),
        (b"B", struct.pack("<d", 2.5), "2.5"),
        (b"T", struct.pack("<ii", 2_458_909, 3_600_000), "2020-02-29 01:00:00"),
    ],
)
def test_values_of_a_dbf(tmp_path: Path, kind: bytes, value: bytes, text: str) -> None:
    field = b"CODE".ljust(11, b"\0") + kind + bytes(4) + bytes([len(value)]) + bytes(15)
    head = struct.pack("<BBBBIHH", 0x30, 124, 2, 6, 1, 65, 1 + len(value)) + bytes(20)
    path = tmp_path / "table.dbf"
    path.write_bytes(head + field + b"\r " + value)
    assert rows_of(read(path, columns=["CODE"])) == [[text]]


def test_a_dbf_says_its_encoding_or_the_file_beside_it_does(tmp_path: Path) -> None:
    path = tmp_path / "table.dbf"
    path.write_bytes(conformance.dbf(HEADER, ROWS, "utf-8", driver=0))
    assert rows_of(read(path)) == ROWS  # by looking
    path.write_bytes(conformance.dbf(HEADER, ROWS, "utf-8", driver=0x4D))
    assert sum(len(batch.bad) for batch in read(path)) > 0 or rows_of(read(path)) != ROWS
    path.with_suffix(".cpg").write_text("UTF-8")
    assert rows_of(read(path)) == ROWS


def test_a_real_table_of_divisions(shared: Callable[[str], Path]) -> None:
    path = shared("divisions/city.dbf")
    names = ["ct_adcode", "ct_name", "pr_adcode", "pr_name", "cn_adcode", "cn_name"]
    batches = read(path, batch_rows=1000, columns=names)
    rows = rows_of(batches)
    assert len(rows) == struct.unpack("<I", path.read_bytes()[4:8])[0]
    assert rows[0] == ["110100", "北京城区", "110000", "北京市", "100000", "中华人民共和国"]
    assert all(row[0].isdigit() and len(row[0]) == 6 for row in rows)


def test_real_json_lines(shared: Callable[[str], Path]) -> None:
    path = shared("matters/guangdong_matters.jsonl")
    with path.open(encoding="utf-8") as file:
        names = sorted({name for line in file for name in json.loads(line)})
    batches = read(path, batch_rows=1000, columns=names)
    assert sum(len(batch.origins) for batch in batches) == 1816
    assert {batch.layout.format for batch in batches if batch.layout} == {"json-lines"}


def test_what_can_be_read_only_once_is_not_looked_at_first(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="can be read only once, and has to be looked at first"):
        read(tmp_path / "pipe")


def test_a_workbook_within_an_archive_is_looked_at_for_bombs(tmp_path: Path) -> None:
    inner = io.BytesIO(conformance.xlsx(HEADER, ROWS))
    with zipfile.ZipFile(inner, "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/media/1.bin", bytes(40 << 20))
    for content in (inner.getvalue(), zipped({"a.xlsx": inner.getvalue()})):
        path = tmp_path / "table"
        path.write_bytes(content)
        with pytest.raises(SourceError, match="unpacks to more than it may"):
            read(path)
