"""dBASE and FoxPro tables (.dbf), record by record."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from connectors.sources.archive import Member
from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted
from connectors.sources.rows import Row, record_batches
from foundation.language import _

_DRIVERS = {0x4D: "gb18030", 0x7A: "gb18030"}
"""Language driver in the header → encoding: the two for simplified Chinese, code page 936."""
_PAGES = {"utf-8": "utf-8", "utf8": "utf-8", "65001": "utf-8"} | dict.fromkeys(
    ("936", "cp936", "gbk", "gb2312", "gb18030", "54936"), "gb18030"
)
_SAMPLE = 1 << 20
_DELETED = b"*"
_MEMO = frozenset("MGP")
_EPOCH = date(1, 1, 1).toordinal() - 1721426  # day 1721426 of the Julian count is 0001-01-01


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: str
    start: int
    end: int


def dbf_batches(
    member: Member,
    *,
    encoding: str | None,
    wanted: Wanted,
    batch_rows: int,
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield batches of the records of a table that are not marked as deleted.

    Args:
        encoding: None: that of the .cpg file beside it, or of the table's header, or as its bytes look.

    Raises:
        SourceError: it is no such table, ends too early, keeps a wanted column in another file, or its header
            differs.
    """
    if encoding is None:
        encoding = _stated(member) or _looked_at(member)
        detected = (*detected, "encoding")
    with member.open() as file:
        head, fields = _header(file, member.name, encoding)
        found = [field.name for field in fields]
        order = wanted.order(found, member.name)
        for at in order:
            if fields[at].kind in _MEMO:
                raise SourceError(
                    _("{file} keeps the column {column} in a memo file, which is not read"),
                    file=member.name,
                    column=fields[at].name,
                )
        layout = Layout("dbf", encoding, columns=tuple(found), detected=detected)
        rows = _rows(file, head, fields, member.name, encoding)
        yield from record_batches(rows, layout, order, batch_rows, member.part)


@dataclass(frozen=True, slots=True)
class _Head:
    records: int
    header_bytes: int
    record_bytes: int
    driver: int


def _head(file: BinaryIO, name: str) -> _Head:
    fixed = file.read(32)
    if not fixed:
        raise SourceError(_("{file} is empty"), file=name)
    if len(fixed) < 32:
        raise _broken(name)
    records, header, record = struct.unpack("<IHH", fixed[4:12])
    if header < 65 or record < 2:
        raise _broken(name)
    return _Head(records, header, record, fixed[29])


def _header(file: BinaryIO, name: str, encoding: str) -> tuple[_Head, list[_Field]]:
    head = _head(file, name)
    rest = file.read(head.header_bytes - 32)
    if len(rest) < head.header_bytes - 32:
        raise _broken(name)
    fields: list[_Field] = []
    start = 1
    for at in range(0, len(rest) - 31, 32):
        if rest[at] == 0x0D:
            break
        raw, kind = rest[at : at + 11].partition(b"\0")[0], chr(rest[at + 11])
        # A long text takes the byte for decimals as the upper half of its length.
        length = rest[at + 16] | (rest[at + 17] << 8 if kind == "C" else 0)
        try:
            fields.append(_Field(raw.decode(encoding).strip(), kind, start, start + length))
        except UnicodeDecodeError as error:
            raise SourceError(
                _("the header of {file} cannot be read as {encoding}"), file=name, encoding=encoding
            ) from error
        start += length
    if not fields or start > head.record_bytes:
        raise _broken(name)
    return head, fields


def _rows(file: BinaryIO, head: _Head, fields: list[_Field], name: str, encoding: str) -> Iterator[Row]:
    for number in range(1, head.records + 1):
        record = file.read(head.record_bytes)
        if len(record) < head.record_bytes:
            raise SourceError(_("{file} ends within record {number}"), file=name, number=number)
        if record.startswith(_DELETED):
            continue
        try:
            yield [_text(record[field.start : field.end], field.kind, encoding) for field in fields]
        except UnicodeDecodeError:
            yield BadRow(0, None, "undecodable-bytes", record)
        except (struct.error, OverflowError, ValueError):
            yield BadRow(0, None, "malformed-row", record)


def _text(value: bytes, kind: str, encoding: str) -> str:
    match kind:
        case "C" | "V":
            return value.decode(encoding).strip(" \0")
        case "D":
            digits = value.decode("ascii").strip(" \0")
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 else digits
        case "L":
            return {b"T": "TRUE", b"t": "TRUE", b"Y": "TRUE", b"y": "TRUE", b"F": "FALSE", b"f": "FALSE",
                    b"N": "FALSE", b"n": "FALSE"}.get(value, "")  # fmt: skip
        case "I" | "+":
            return str(struct.unpack("<i", value)[0])
        case "Y":
            units = struct.unpack("<q", value)[0]
            return f"{'-' if units < 0 else ''}{abs(units) // 10_000}.{abs(units) % 10_000:04}"
        case "B" | "O":
            number = struct.unpack("<d", value)[0]
            return str(int(number)) if number.is_integer() else repr(number)
        case "T" | "@":
            day, milliseconds = struct.unpack("<ii", value)
            if not day:
                return ""
            moment = datetime.combine(date.fromordinal(day + _EPOCH), datetime.min.time())
            moment += timedelta(milliseconds=milliseconds)
            return moment.date().isoformat() if not milliseconds else moment.isoformat(" ")
        case "M" | "G" | "P":
            return ""
    return value.decode("ascii").strip(" \0")


def _stated(member: Member) -> str | None:
    """Return the encoding that the table itself or the file beside it states, None if none that is known."""
    if member.path is not None:
        for suffix in (".cpg", ".CPG"):
            beside = Path(member.path).with_suffix(suffix)
            if beside.is_file():
                with beside.open("rb") as file:
                    page = file.read(40).decode("ascii", "replace").strip().lower()
                if page in _PAGES:
                    return _PAGES[page]
    with member.open() as file:
        return _DRIVERS.get(_head(file, member.name).driver)


def _looked_at(member: Member) -> str:
    """Return the encoding in which most records decode, of those at the beginning."""
    with member.open() as file:
        head = _head(file, member.name)
        names = file.read(head.header_bytes - 32)
        sample = [names[at : at + 11].partition(b"\0")[0] for at in range(0, len(names), 32)]
        size = 0
        while size < _SAMPLE and (record := file.read(head.record_bytes)):
            sample.append(record)
            size += len(record)
    telling = [record for record in sample if not record.isascii()]
    fits = {
        encoding: sum(_decodes(record, encoding) for record in telling) for encoding in ("utf-8", "gb18030")
    }
    if not telling or fits["utf-8"] * 2 > len(telling):
        return "utf-8"
    if fits["gb18030"] * 2 > len(telling):
        return "gb18030"
    raise SourceError(_("{file} is neither UTF-8 nor GB18030"), file=member.name)


def _decodes(record: bytes, encoding: str) -> bool:
    try:
        record.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _broken(name: str) -> SourceError:
    return SourceError(_("{file} is not a whole dBASE table"), file=name)
