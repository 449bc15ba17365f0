"""The header of a sample whose mapping is still to be written."""

from __future__ import annotations

import codecs
import csv
import json
from pathlib import Path

from connectors.sources.json_array import read_json_array
from connectors.sources.raw import SourceError, Wanted
from foundation.language import _

LOOKED_AT = 1 << 16
ELEMENTS = 1000


def read_header(path: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names of a sample's columns, and what a mapping says of such a file.

    Raises:
        SourceError: it cannot be opened, is empty, or neither a JSON array of objects nor delimited text.
    """
    try:
        with path.open("rb") as file:
            start = file.read(LOOKED_AT)
    except OSError as error:
        raise SourceError(
            _("{file} cannot be opened: {reason}"), file=path.name, reason=error.strerror
        ) from error
    start = start.removeprefix(codecs.BOM_UTF8)
    if not start.strip():
        raise SourceError(_("{file} is empty"), file=path.name)
    if start.lstrip().startswith(b"["):
        return _members(path), {"format": "json-array"}
    encoding = _encoding(start, path.name)
    first = start.decode(encoding, "ignore").splitlines()[0]
    delimiter = max(",;\t|", key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    return header, {"format": "delimited", "encoding": encoding, "delimiter": delimiter}


def _members(path: Path) -> list[str]:
    # Nobody wants a member yet, so every object with one is set aside, with its text.
    found = next(read_json_array(path, wanted=Wanted(()), batch_rows=ELEMENTS), None)
    names: dict[str, None] = {}
    for row in found.bad if found is not None else ():
        if row.reason == "unknown-member":
            names.update(dict.fromkeys(json.loads(row.raw)))
    if not names:
        raise SourceError(_("{file} holds no object with a member"), file=path.name)
    return list(names)


def _encoding(start: bytes, file: str) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            # The last character may go on behind what was read.
            codecs.getincrementaldecoder(encoding)().decode(start, final=len(start) < LOOKED_AT)
        except UnicodeDecodeError:
            continue
        return encoding
    raise SourceError(_("{file} is neither UTF-8 nor GB18030"), file=file)
