"""The columns of a sample whose mapping is still to be written, in whatever format it comes, plain or packed."""

from __future__ import annotations

import codecs
import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from connectors.sources.archive import Member, members
from connectors.sources.dbf import dbf_batches
from connectors.sources.detect import array_member, format_of
from connectors.sources.json_array import array_batches
from connectors.sources.json_lines import line_batches
from connectors.sources.raw import RawBatch, SourceError, Wanted
from connectors.sources.workbook import first_rows
from connectors.sources.xml_records import declared_encoding, xml_batches
from foundation.language import _

TOP_ROWS = 20
"""Rows that are looked at for the header."""
ELEMENTS = 1000
"""Records that are looked at for their members."""


def read_header(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the names of a sample's columns, and what a mapping says of such a file.

    Of an archive the first file counts that has more than one column (a note beside it has one), of a workbook the
    first sheet that has anything. The header may have a title above it.

    Raises:
        SourceError: it cannot be read, or shows no column.
    """
    passed: list[SourceError] = []
    alone: tuple[list[str], dict[str, Any]] | None = None
    for member in members(path):
        try:
            header, layout = _read(member)
        except SourceError as error:
            passed.append(error)
            continue
        if len(header) > 1:
            if passed or alone:
                layout["members"] = ["*" + PurePosixPath(member.part).suffix]
            return header, layout
        alone = alone or (header, layout)
    if alone is not None:
        return alone
    raise passed[0] if passed else SourceError(_("{file} is empty"), file=path.name)


def _read(member: Member) -> tuple[list[str], dict[str, Any]]:
    form = format_of(member.head(), member.name)
    match form:
        case "delimited":
            return _delimited(member)
        case "workbook":
            rows = first_rows(member, TOP_ROWS)
            if not rows:
                raise SourceError(_("{file} is empty"), file=member.name)
            above = _rows_above(rows)
            return [cell.strip() for cell in rows[above] if cell.strip()], {"format": form, **_stated(above)}
        case "dbf":
            batches = dbf_batches(member, encoding=None, wanted=_Looking(()), batch_rows=1)
            return _header(batches), {"format": form, "encoding": "detect"}
    layout: dict[str, Any] = {"format": form}
    with member.open() as file:
        nothing = Wanted(())
        if form == "json-lines":
            batches = line_batches(file, member.name, wanted=nothing, batch_rows=ELEMENTS)
        elif form == "json-array":
            array = array_member(member.head())
            if array is not None:
                layout["records_member"] = array
            batches = array_batches(file, member.name, wanted=nothing, batch_rows=ELEMENTS, member=array)
        else:
            layout["record_element"] = record = _record_element(member)
            batches = xml_batches(
                file, member.name, wanted=nothing, batch_rows=ELEMENTS, record_element=record
            )
        return _members(next(batches, None), member.name), layout


class _Seen(Exception):
    """A header was read: that is all that is wanted."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)


class _Looking(Wanted):
    """Wants no column, and ends the reading with those that there are."""

    def order(self, found: Sequence[str], file: str) -> list[int]:
        raise _Seen(found)


def _header(batches: Iterator[RawBatch]) -> list[str]:
    try:
        next(batches)
    except _Seen as seen:
        return seen.names
    raise AssertionError("every reader of a table asks for the order of its columns first")


def _delimited(member: Member) -> tuple[list[str], dict[str, Any]]:
    start = member.head().removeprefix(codecs.BOM_UTF8)
    encoding = _encoding(start, member.name)
    lines = [line for line in start.decode(encoding, "ignore").splitlines() if line.strip()][:TOP_ROWS]
    read = {delimiter: _cut(lines, delimiter) for delimiter in ",;\t|，"}
    above = {delimiter: _rows_above(rows) for delimiter, rows in read.items()}
    # The header is the first row with names in it; a row of data may hold more of another delimiter.
    delimiter = min(read, key=lambda d: (len(read[d][above[d]]) < 2, above[d], -len(read[d][above[d]])))
    header = [cell.strip() for cell in read[delimiter][above[delimiter]]]
    return header, {
        "format": "delimited",
        "encoding": encoding,
        "delimiter": delimiter,
        **_stated(above[delimiter]),
    }


def _cut(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    return [next(csv.reader([line], delimiter=delimiter)) for line in lines]


def _rows_above(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows stand above the header: the first that has about as many cells filled as any row."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    most = max(filled)
    return next((n for n, cells in enumerate(filled) if cells > 1 and cells * 5 >= most * 4), 0)


def _stated(above: int) -> dict[str, Any]:
    return {"rows_above": above} if above else {}


def _members(found: RawBatch | None, name: str) -> list[str]:
    # Nobody wants a member yet, so every object with one is set aside, with its text.
    names: dict[str, None] = {}
    for row in found.bad if found is not None else ():
        if row.reason == "unknown-member":
            names.update(dict.fromkeys(json.loads(row.raw)))
    if not names:
        raise SourceError(_("{file} holds no object with a member"), file=name)
    return list(names)


def _record_element(member: Member) -> str:
    """Return the local name of the element that has members and comes most often; the outermost of several such."""
    events = _Events()
    with member.open() as file:
        start = member.head().decode(declared_encoding(file, member.name), "ignore")
    try:
        DefusedXMLParser(target=events, forbid_dtd=True).feed(start)
    except DefusedXmlException as error:
        raise SourceError(_("{file} has a document type definition"), file=member.name) from error
    except ParseError as error:
        line, column = error.position
        raise SourceError(
            _("{file} breaks XML at line {line}, column {column}"), file=member.name, line=line, column=column
        ) from error
    # The root is the whole, unless there is nothing else.
    inner = {
        place: count for place, count in events.with_members.items() if place[0] > 1
    } or events.with_members
    if not inner:
        raise SourceError(_("{file} holds no object with a member"), file=member.name)
    return max(inner, key=lambda place: (inner[place], -place[0]))[1]


class _Events:
    """Counts the elements that have attributes or children, by their depth and local name."""

    def __init__(self) -> None:
        self.with_members: Counter[tuple[int, str]] = Counter()
        self._open: list[tuple[str, bool]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._open:
            name, counted = self._open[-1]
            if not counted:
                self.with_members[len(self._open), name] += 1
                self._open[-1] = name, True
        name = tag.rpartition("}")[2]
        self._open.append((name, bool(attributes)))
        if attributes:
            self.with_members[len(self._open), name] += 1

    def end(self, _tag: str) -> None:
        self._open.pop()

    def data(self, _text: str) -> None:
        pass

    def close(self) -> None:
        pass


def _encoding(start: bytes, file: str) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            # The last character may go on behind what was read.
            codecs.getincrementaldecoder(encoding)().decode(start, final=False)
        except UnicodeDecodeError:
            continue
        return encoding
    raise SourceError(_("{file} is neither UTF-8 nor GB18030"), file=file)
