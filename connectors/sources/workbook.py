"""Workbooks: .xls, .xlsx and .ods, sheet by sheet, each cell as the text that it shows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from connectors.sources.archive import Member, check_workbook
from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted
from connectors.sources.rows import Row, record_batches
from foundation.language import _

LARGEST_WORKBOOK = 256 << 20
"""Bytes. A workbook has to be in memory as a whole; a sheet of it holds a million rows at most."""

_OLE, _ZIP = b"\xd0\xcf\x11\xe0", b"PK\x03\x04"
# An OOXML workbook with a password is an OLE file with this stream; names in there are UTF-16.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# In BIFF8 the record FilePass follows the beginning of the workbook, or a WriteProtect behind that.
_FILE_PASS = re.compile(rb"\x09\x08\x10\x00\x00\x06\x05\x00.{12}(?:\x86\x00\x00\x00)?\x2f\x00", re.DOTALL)
_EXACT = 1e15
"""From here on a double no longer tells neighbouring integers of 16 digits apart: its digits are not the code's."""


def workbook_batches(
    member: Member,
    *,
    wanted: Wanted,
    batch_rows: int,
    sheet: str | None = None,
    rows_above: int = 0,
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield batches of the rows of a workbook; the first row of a sheet that has anything is its header.

    Of a sheet of no more rows than `rows_above` nothing is read.

    Args:
        sheet: the only one to be read; None: all that have anything in them.
        rows_above: rows above the header that have anything.

    Raises:
        SourceError: it is no workbook, protected by a password, too large, has no such sheet, no rows at all, or a
            header differs.
    """
    workbook = _opened(_content(member), member.name)
    names = _sheets(workbook)
    if sheet is not None:
        if sheet not in names:
            raise SourceError(_("{file} has no sheet {sheet}"), file=member.name, sheet=sheet)
        names = [sheet]
    empty = True
    for name in names:
        rows = _rows(workbook, name, member.name)
        header = next(islice(rows, rows_above, None), None)
        if header is None:
            continue
        empty = False
        place = f"{member.name}/{name}"
        found = [cell.strip() for cell in header]
        while found and not found[-1]:
            found.pop()
        order = wanted.order(found, place)
        layout = Layout("workbook", columns=tuple(found), detected=detected)
        part = f"{member.part}/{name}" if member.part else name
        yield from record_batches(_fitted(rows, len(found)), layout, order, batch_rows, part)
    if empty:
        raise SourceError(_("{file} is empty"), file=member.name)


def first_rows(member: Member, count: int) -> list[list[str]]:
    """Return the first rows that have anything, of the first sheet that has any; empty if none has.

    Raises:
        SourceError: it is no workbook, protected by a password, or too large.
    """
    workbook = _opened(_content(member), member.name)
    sheets = (list(islice(_rows(workbook, name, member.name), count)) for name in _sheets(workbook))
    return next((rows for rows in sheets if rows), [])


def _content(member: Member) -> bytes:
    with member.open() as file:
        content = file.read(LARGEST_WORKBOOK + 1)
    if len(content) > LARGEST_WORKBOOK:
        raise SourceError(
            _("{file} is a workbook of more than {size} bytes"), file=member.name, size=LARGEST_WORKBOOK
        )
    if not content:
        raise SourceError(_("{file} is empty"), file=member.name)
    return content


def _sheets(workbook: CalamineWorkbook) -> list[str]:
    return [each.name for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]


def _opened(content: bytes, name: str) -> CalamineWorkbook:
    try:
        if content.startswith(_ZIP):
            check_workbook(io.BytesIO(content), name)
        elif content.startswith(_OLE) and (_ENCRYPTED in content or _FILE_PASS.search(content)):
            raise SourceError(_("{file} is protected by a password"), file=name)
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    except PasswordError as error:
        raise SourceError(_("{file} is protected by a password"), file=name) from error
    except (CalamineError, OSError, ValueError) as error:
        raise SourceError(_("{file} cannot be read as a workbook"), file=name) from error


def _rows(workbook: CalamineWorkbook, sheet: str, name: str) -> Iterator[list[str]]:
    """Yield the rows that have anything in them."""
    try:
        for cells in workbook.get_sheet_by_name(sheet).iter_rows():
            row = [text_of(cell) for cell in cells]
            if any(row):
                yield row
    except (CalamineError, OSError, ValueError) as error:
        raise SourceError(_("{file} cannot be read as a workbook"), file=name) from error


def _fitted(rows: Iterator[list[str]], width: int) -> Iterator[Row]:
    """Yield rows as wide as the header; one with something behind its last column is set aside."""
    for row in rows:
        if any(row[width:]):
            yield BadRow(0, None, "wrong-column-count", "\t".join(row).encode())
        else:
            yield [*row[:width], *[""] * (width - len(row))]


def text_of(cell: Any) -> str:
    """Return a cell as text: days as YYYY-MM-DD, with the time where there is one; integers without a point."""
    match cell:
        case str():
            return cell
        case bool():
            return "TRUE" if cell else "FALSE"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) < _EXACT else repr(cell)
        case datetime():
            return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
        case date() | time():
            return cell.isoformat()
        case timedelta():
            return f"{cell.total_seconds() / 86_400!r}"
    return str(cell)
