"""Telling what a file is by looking at it: its format, its encoding and its delimiter. What fits nothing is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

from connectors.sources.archive import Member
from connectors.sources.delimited import LONGEST_ROW, read_header
from connectors.sources.raw import SourceError, Wanted
from foundation.language import _

ENCODINGS = ("utf-8", "gb18030")
DELIMITERS = (",", "\t", "|", ";", "，")
TELLING_LINES = 1000
"""Lines with other than ASCII characters that are looked at to tell the encoding."""

_BOM = b"\xef\xbb\xbf"
_WORKBOOKS = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")
_DBF_VERSIONS = frozenset(b"\x02\x03\x04\x05\x30\x31\x32\x43\x63\x83\x8b\x8c\xcb\xf5\xfb")
_NAME = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_ARRAY = re.compile(r"\[\s*[{\]]")
_COMMA = re.compile(r"\s*,")


def format_of(head: bytes, name: str) -> str:
    """Return the format of what begins like this, as a mapping states it; delimited text if it is nothing else.

    Raises:
        SourceError: there is nothing at all.
    """
    if not head.strip():
        raise SourceError(_("{file} is empty"), file=name)
    if head.startswith(_WORKBOOKS):
        return "workbook"
    if _looks_like_dbf(head):
        return "dbf"
    text = head.removeprefix(_BOM).lstrip()
    if text.startswith(b"["):
        return "json-array"
    if text.startswith(b"{"):
        return "json-array" if _begins_with_array(text) else "json-lines"
    return "xml" if text.startswith(b"<") else "delimited"


def array_member(head: bytes) -> str | None:
    """Return the name of the first array of objects in the outermost object; None if that is an array itself."""
    text = head.removeprefix(_BOM).decode("utf-8", "replace").lstrip()
    if not text.startswith("{"):
        return None
    return next(iter(_arrays(text)), None)


def _begins_with_array(head: bytes) -> bool:
    """Tell one object that holds the array of the records from lines that are objects each."""
    line, _end, rest = head.partition(b"\n")
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return any(True for _name in _arrays(head.decode("utf-8", "replace")))
    return not rest.strip() and any(True for _name in _arrays(line.decode("utf-8", "replace")))


def _arrays(text: str) -> Iterator[str]:
    """Yield the names of the members of an object, as far as its text goes, that are arrays of objects."""
    decoder = json.JSONDecoder()
    at = 1
    while (match := _NAME.match(text, at)) is not None:
        if _ARRAY.match(text, match.end()):
            yield str(json.loads(match[1], strict=False))
        try:
            _value, at = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            return
        behind = _COMMA.match(text, at)
        if behind is None:
            return
        at = behind.end()


def _looks_like_dbf(head: bytes) -> bool:
    if len(head) < 33 or head[0] not in _DBF_VERSIONS:
        return False
    header, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    return header >= 65 and record > 1 and 1 <= head[2] <= 12 and 1 <= head[3] <= 31


def text_layout(
    member: Member, wanted: Wanted, encoding: str | None, delimiter: str | None, rows_above: int = 0
) -> tuple[str, str]:
    """Return encoding and delimiter of delimited text, of which what is None has to be found out.

    The encoding is that of most lines that tell it; where none does, and for the delimiter, the header decides: it
    must name columns of the mapping.

    Raises:
        SourceError: no encoding fits, or no delimiter gives a column of the mapping.
    """
    with member.open() as file:
        rows = (line for line in iter(lambda: file.readline(LONGEST_ROW), b"") if line.strip(b"\r\n"))
        first = next(islice(rows, rows_above, None), None)
        if first is None:
            raise SourceError(_("{file} is empty"), file=member.name)
        if encoding is None:
            encoding = encoding_of(file, first, member.name)
    known = wanted.ignored.union(*wanted.names)
    if delimiter is not None:
        return encoding, delimiter
    header = first.rstrip(b"\r\n")
    fits = {d: len(known.intersection(read_header(header, member.name, encoding, d))) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: fits[d])
    if not fits[best]:
        raise SourceError(
            _("{file} shows no column of its mapping, read as {encoding} with any delimiter known"),
            file=member.name,
            encoding=encoding,
        )
    return encoding, best


def encoding_of(file: BinaryIO, first: bytes, name: str) -> str:
    """Return the encoding of most lines that are more than ASCII. UTF-8 where none is, for both read it alike.

    Text in UTF-8 often decodes as GB18030 too, hardly ever the other way round: so UTF-8 is asked first.

    Raises:
        SourceError: most lines are neither.
    """
    if first.startswith(_BOM):
        return "utf-8"
    votes = dict.fromkeys((*ENCODINGS, "neither"), 0)
    lines = (line for line in chain((first,), _lines(file)) if not line.isascii())
    for line in islice(lines, TELLING_LINES):
        votes[next((e for e in ENCODINGS if _decodes(line, e)), "neither")] += 1
    best = max(votes, key=lambda each: votes[each])
    if best == "neither" and votes[best]:
        raise SourceError(_("{file} is neither UTF-8 nor GB18030"), file=name)
    return best


def _lines(file: BinaryIO) -> Iterator[bytes]:
    for count, line in enumerate(iter(lambda: file.readline(LONGEST_ROW), b"")):
        # A line cut at the bound, and what follows it, may break a character: it tells nothing.
        if line.endswith(b"\n") or len(line) < LONGEST_ROW:
            yield line
        if count > 100 * TELLING_LINES:
            return


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
