"""Records of a list of matters: JSON lines, a JSON array or a workbook, each with the line or row it stands in."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from foundation.errors import DomainError
from foundation.language import _

LARGEST_FILE = 128 << 20
LARGEST_UNPACKED = 1 << 30
"""Bytes that a workbook, which is a zip, may unpack to: it has to be in memory as a whole."""

_WORKBOOK = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BOM = b"\xef\xbb\xbf"


class MattersUnreadable(DomainError):
    code = "matters-unreadable"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the file.

    Args:
        row: line of the file, element of the array or row of the sheet, counted from 1.
        values: column → value; None where the line is no record, then `reason` says why.
    """

    row: int
    values: Mapping[str, Any] | None
    reason: str | None = None


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file; what it is shows in its first bytes.

    Raises:
        MattersUnreadable: it is none of these as a whole, too large, or protected by a password.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise MattersUnreadable(_("{file} has more than {size} bytes"), file=path.name, size=LARGEST_FILE)
    if content.startswith(_WORKBOOK):
        yield from _of_workbook(content, path.name)
        return
    content = content.removeprefix(_BOM)
    if content.lstrip().startswith(b"["):
        yield from _of_array(content, path.name)
    else:
        yield from _of_lines(content)


def _of_lines(content: bytes) -> Iterator[Record]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield _record(number, _parsed(line))


def _of_array(content: bytes, name: str) -> Iterator[Record]:
    found = _parsed(content)
    if not isinstance(found, list):
        raise MattersUnreadable(_("{file} cannot be read as JSON"), file=name)
    for number, element in enumerate(found, 1):
        yield _record(number, element)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _record(number: int, value: Any) -> Record:
    if isinstance(value, dict):
        return Record(number, value)
    return Record(number, None, "no-json-object")


def _of_workbook(content: bytes, name: str) -> Iterator[Record]:
    try:
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(each.file_size for each in archive.infolist()) > LARGEST_UNPACKED:
                    raise MattersUnreadable(
                        _("{file} has more than {size} bytes"), file=name, size=LARGEST_UNPACKED
                    )
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [each.name for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
        rows = workbook.get_sheet_by_name(sheets[0]).to_python(skip_empty_area=False) if sheets else []
    except PasswordError as error:
        raise MattersUnreadable(_("{file} is protected by a password"), file=name) from error
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise MattersUnreadable(_("{file} cannot be read as a workbook"), file=name) from error
    header: list[str] | None = None
    for number, cells in enumerate(rows, 1):
        row = [_text(cell) for cell in cells]
        if not any(row):
            continue
        if header is None:
            header = row
            continue
        if any(row[len(header) :]):
            yield Record(number, None, "wrong-column-count")
        else:
            yield Record(number, {name: cell for name, cell in zip(header, row, strict=False) if name})


def _text(cell: Any) -> str:
    # A code of digits that a workbook keeps as a number has no point behind it.
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).strip()
