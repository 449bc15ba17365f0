"""A JSON array of objects of any size, in constant memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from connectors.sources.raw import BadRow, RawBatch, SourceError
from foundation.language import _

CHUNK_BYTES = 1 << 20
LONGEST_ELEMENT = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_array(path: Path, *, keys: Sequence[str], batch_rows: int) -> Iterator[RawBatch]:
    """Yield batches of the array's elements; `keys` name the members, in the order of the columns.

    An element that is no object, or has members that are not in `keys`, is a bad row.

    Raises:
        SourceError: the file cannot be opened, is not UTF-8, or not one JSON array; says at which element.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(
            _("{file} cannot be opened: {reason}"), file=path.name, reason=error.strerror
        ) from error
    with file:
        known = frozenset(keys)
        origins: list[int] = []
        rows: list[list[Any]] = []
        raw: list[bytes] = []
        bad: list[BadRow] = []
        number = 0
        for number, (element, text) in enumerate(_elements(file, path.name), 1):
            original = text.encode()
            if not isinstance(element, dict):
                bad.append(BadRow(number, None, "not-an-object", original))
            elif not known.issuperset(element):
                bad.append(BadRow(number, None, "unknown-member", original))
            else:
                origins.append(number)
                raw.append(original)
                rows.append([element.get(key) for key in keys])
            if number % batch_rows == 0:
                yield _turned(origins, rows, raw, bad, number, len(keys))
                origins, rows, raw, bad = [], [], [], []
        if rows or bad:
            yield _turned(origins, rows, raw, bad, number, len(keys))


def _turned(
    origins: list[int], rows: list[list[Any]], raw: list[bytes], bad: list[BadRow], end: int, width: int
) -> RawBatch:
    columns: list[Sequence[Any]] = [*zip(*rows, strict=True)] if rows else [()] * width
    return RawBatch(origins, columns, raw, bad, end)


def _elements(file: BinaryIO, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each element with its text. Scans by the standard decoder, element by element."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, strict=True)
    incoming = _Text(file, name)
    if incoming.next_character() != "[":
        raise SourceError(_("{file} is not a JSON array"), file=name)
    incoming.at += 1
    number = 0
    character = incoming.next_character()
    if character == "]":
        incoming.at += 1
        incoming.must_end()
        return
    while True:
        number += 1
        if incoming.next_character() == "":
            raise SourceError(_("{file} ends within element {number}"), file=name, number=number)
        while True:
            try:
                element, end = decoder.raw_decode(incoming.text, incoming.at)
            except ValueError as error:
                if incoming.more():
                    continue
                raise SourceError(
                    _("{file} breaks JSON at element {number}"), file=name, number=number
                ) from error
            # A number may go on in the next chunk; whatever ends before the text does is complete.
            if end == len(incoming.text) and incoming.more():
                continue
            break
        yield element, incoming.text[incoming.at : end]
        incoming.at = end
        character = incoming.next_character()
        incoming.at += 1
        if character == "]":
            incoming.must_end()
            return
        if character != ",":
            raise SourceError(_("{file} breaks JSON after element {number}"), file=name, number=number)


class _Text:
    """The part of the file that is being looked at: `text`, from position `at` on not yet consumed."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read on; False at the end of the file. Raises SourceError if one element grows beyond all bounds."""
        if len(self.text) - self.at > LONGEST_ELEMENT:
            return False
        chunk = self._file.read(CHUNK_BYTES)
        try:
            decoded = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise SourceError(_("{file} is not UTF-8"), file=self._name) from error
        self.text = self.text[self.at :] + decoded
        self.at = 0
        return bool(chunk)

    def next_character(self) -> str:
        """Skip white space and return the character there, the empty string at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def must_end(self) -> None:
        if self.next_character() != "":
            raise SourceError(_("{file} goes on after its JSON array"), file=self._name)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
