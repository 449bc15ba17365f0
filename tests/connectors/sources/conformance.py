"""One table in every format a file may have, and what every reader of files has to do with it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import pytest
import xlwt

from connectors.mapping import SourceMapping
from connectors.sources import json_array as json_array_reader
from connectors.sources.files import FileSource
from connectors.sources.raw import HeaderDiffers, RawBatch, SourceError

HEADER = ["CODE", "NAME", "NOTE"]
ROWS = [
    ["0012", "张三", "=cmd|'/C calc'!A0"],
    ["91990101MB2A00001X", "丂𠮷 A&B <公司>", 'x "y", z'],
    ["3", "李四", ""],
]
Write = Callable[[list[str], Sequence[Sequence[str]]], bytes]


def delimited(
    header: list[str], rows: Sequence[Sequence[str]], encoding: str = "utf-8", delimiter: str = ","
) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    return text.getvalue().encode(encoding)


def gb18030(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    return delimited(header, rows, "gb18030", "，")


def objects(header: list[str], rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    return [dict(zip(header, row, strict=True)) for row in rows]


def json_array(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    return json.dumps(objects(header, rows), ensure_ascii=False).encode()


def json_member(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    whole = {"code": 200, "page": {"size": 9}, "rows": objects(header, rows), "message": "成功"}
    return json.dumps(whole, ensure_ascii=False).encode()


def json_lines(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in objects(header, rows))


def xml(header: list[str], rows: Sequence[Sequence[str]], encoding: str = "utf-8") -> bytes:
    records = (
        "<r>" + "".join(f"<n:{n}>{escape(v)}</n:{n}>" for n, v in zip(header, row, strict=True)) + "</r>\n"
        for row in rows
    )
    body = "".join(records)
    text = f'<?xml version="1.0" encoding="{encoding}"?><d xmlns:n="urn:n"><head><code>0</code></head><rs>{body}</rs></d>'
    return text.encode(encoding)


def xml_gbk(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    return xml(header, rows, "gb18030")


def xlsx(header: list[str], rows: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    book.create_sheet("empty")
    for y, row in enumerate([header, *rows], 1):
        for x, value in enumerate(row, 1):
            cell = sheet.cell(y, x)
            cell.value = value or None
            if isinstance(value, str) and value.startswith("="):
                cell.data_type = "s"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def xls(header: list[str], rows: Sequence[Sequence[Any]]) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("甲")
    book.add_sheet("empty")
    for y, row in enumerate([header, *rows]):
        for x, value in enumerate(row):
            sheet.write(y, x, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def ods(header: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    def cell(value: str) -> str:
        return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'

    table = "".join(
        f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in [header, *rows]
    )
    urn = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{urn}office:1.0"'
        f' xmlns:table="{urn}table:1.0" xmlns:text="{urn}text:1.0" office:version="1.2"><office:body>'
        f'<office:spreadsheet><table:table table:name="甲">{table}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    return zipped(
        {
            "mimetype": kind.encode(),
            "content.xml": content.encode(),
            "META-INF/manifest.xml": manifest.encode(),
        }
    )


def dbf(
    header: list[str], rows: Sequence[Sequence[str]], encoding: str = "gb18030", driver: int = 0x4D
) -> bytes:
    width = 60
    fields = b"".join(
        name.encode(encoding).ljust(11, b"\0") + b"C" + bytes(4) + bytes([width]) + bytes(15)
        for name in header
    )
    head = struct.pack("<BBBBIHH", 3, 124, 2, 6, len(rows) + 1, 33 + len(fields), 1 + width * len(header))
    head += bytes(17) + bytes([driver]) + bytes(2)
    body = b"".join(b" " + b"".join(v.encode(encoding).ljust(width) for v in row) for row in rows)
    deleted = b"*" + b"x" * width * len(header)
    return head + fields + b"\r" + deleted + body + b"\x1a"


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


WRITERS: dict[str, tuple[str, Write]] = {
    "delimited": ("delimited", delimited),
    "delimited-gb18030": ("delimited", gb18030),
    "json-array": ("json-array", json_array),
    "json-member": ("json-array", json_member),
    "json-lines": ("json-lines", json_lines),
    "xml": ("xml", xml),
    "xml-gb18030": ("xml", xml_gbk),
    "xlsx": ("workbook", xlsx),
    "xls": ("workbook", xls),
    "ods": ("workbook", ods),
    "dbf": ("dbf", dbf),
}
STREAMING = [name for name in WRITERS if WRITERS[name][0] != "workbook"]
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gz": gzip.compress,
    "zip": lambda content: zipped({"资料/table": content, "__MACOSX/._table": b"\0"}),
}


def mapping(**changes: Any) -> SourceMapping:
    """Return a mapping whose columns are those of the table, as far as a reader looks at one."""
    members = {"source": "table", "title": "", "contact": "", "register": "legal_entities"}
    columns = [{"column": name, "field": name} for name in changes.pop("columns", HEADER)]
    detect = {"format": "detect", "encoding": "detect", "delimiter": "detect"}
    return SourceMapping.model_validate({**members, **detect, "columns": columns, **changes})


def read(path: Path, batch_rows: int = 2, **changes: Any) -> list[RawBatch]:
    return list(FileSource(path, mapping(**changes)).batches(batch_rows))


def rows_of(batches: list[RawBatch]) -> list[list[Any]]:
    return [list(row) for batch in batches for row in zip(*batch.columns, strict=True)]


class FileReaderConformance:
    """What holds of every format; a class derives from it to be collected."""

    @pytest.mark.parametrize("packing", PACKINGS)
    @pytest.mark.parametrize("name", WRITERS)
    def test_the_same_table_gives_the_same_rows(self, tmp_path: Path, name: str, packing: str) -> None:
        form, write = WRITERS[name]
        path = tmp_path / "table"
        path.write_bytes(PACKINGS[packing](write(HEADER, ROWS)))
        batches = read(path)
        assert rows_of(batches) == ROWS
        assert [n for batch in batches for n in batch.origins] == [1, 2, 3]
        assert [batch.end for batch in batches] == [2, 3]
        assert not any(batch.bad for batch in batches)
        for batch in batches:
            assert batch.layout is not None
            assert batch.layout.format == form
            assert "format" in batch.layout.detected
            assert batch.part.startswith("资料/table" if packing == "zip" else "")
        if form != "delimited":
            originals = [json.loads(raw) for batch in batches for raw in batch.raw]
            assert originals == objects(HEADER, ROWS)

    @pytest.mark.parametrize("name", WRITERS)
    def test_a_stated_format_needs_no_detection(self, tmp_path: Path, name: str) -> None:
        form, write = WRITERS[name]
        path = tmp_path / "table"
        path.write_bytes(write(HEADER, ROWS))
        stated: dict[str, Any] = {"format": form, "encoding": "utf-8", "delimiter": ","}
        if name in ("delimited-gb18030", "dbf"):
            stated |= {"encoding": "gb18030", "delimiter": "，"}
        if name == "json-member":
            stated |= {"records_member": "rows"}
        if form == "xml":
            stated |= {"record_element": "r"}
        batches = read(path, **stated)
        assert rows_of(batches) == ROWS
        assert all(batch.layout is not None and batch.layout.detected == () for batch in batches)

    @pytest.mark.parametrize("name", WRITERS)
    def test_columns_are_found_wherever_they_stand(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "table"
        path.write_bytes(WRITERS[name][1](["NOTE", "CODE", "NAME"], [[c, a, b] for a, b, c in ROWS]))
        assert rows_of(read(path)) == ROWS

    @pytest.mark.parametrize("name", WRITERS)
    def test_a_column_that_is_new_is_never_passed_over(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "table"
        path.write_bytes(WRITERS[name][1]([*HEADER, "NEW"], [[*row, "x"] for row in ROWS]))
        if WRITERS[name][0] in ("json-array", "json-lines", "xml"):
            assert {bad.reason for batch in read(path) for bad in batch.bad} == {"unknown-member"}
            assert rows_of(read(path)) == []
        else:
            with pytest.raises(HeaderDiffers, match=r"unknown \[NEW\]"):
                read(path)
        assert rows_of(read(path, ignore=["NEW"])) == ROWS

    @pytest.mark.parametrize("name", WRITERS)
    def test_asked_twice_it_gives_the_same_twice_and_refuses_another_file(
        self, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / "table"
        path.write_bytes(WRITERS[name][1](HEADER, ROWS))
        source = FileSource(path, mapping())
        assert list(source.batches(2)) == list(source.batches(2))
        path.write_bytes(WRITERS[name][1](HEADER, [*ROWS, ["9", "x", "y"]]))
        with pytest.raises(SourceError, match="changed while it was read"):
            list(source.batches(2))

    @pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
    @pytest.mark.parametrize("name", STREAMING)
    def test_memory_does_not_grow_with_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, packing: str
    ) -> None:
        monkeypatch.setattr(json_array_reader, "CHUNK_BYTES", 1 << 15)  # so that a small file has many
        peaks = []
        for count in (1_000, 4_000):
            path = tmp_path / str(count)
            rows = [[str(n), f"{n:07}" * 8, f"{n * 7919:07}" * 8] for n in range(count)]
            path.write_bytes(PACKINGS[packing](WRITERS[name][1](HEADER, rows)))
            tracemalloc.start()
            read_rows = sum(len(batch.origins) for batch in FileSource(path, mapping()).batches(50))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert read_rows == count
        assert peaks[1] < peaks[0] + (256 << 10), peaks
