"""A JSON array of objects of any size, in constant memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted
from foundation.language import _

CHUNK_BYTES = 1 << 20
LONGEST_ELEMENT = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER = frozenset(" \t\r\n,]")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[][{}"]', re.DOTALL)


class _Unfit(Enum):
    """What stands for an element that is not to be used: the reason."""

    DUPLICATE_MEMBER = "duplicate-member"
    NESTED_TOO_DEEPLY = "nested-too-deeply"
    UNDECODABLE_BYTES = "undecodable-bytes"


def read_json_array(path: Path, *, wanted: Wanted, batch_rows: int) -> Iterator[RawBatch]:
    """Yield batches of the array's elements; their members are in the order of `wanted`.

    An element that is no object, has members that nobody wants or one twice, is nested absurdly deep or not
    UTF-8, is a bad row and costs only itself.

    Raises:
        SourceError: the file cannot be opened, or is not one JSON array; says at which element.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(
            _("{file} cannot be opened: {reason}"), file=path.name, reason=error.strerror
        ) from error
    with file:
        place_of = wanted.members()
        width = len(wanted.names)
        origins: list[int] = []
        rows: list[list[Any]] = []
        raw: list[bytes] = []
        bad: list[BadRow] = []
        number = 0
        for number, (element, text) in enumerate(_elements(file, path.name), 1):
            try:
                original = text.encode()
            except UnicodeEncodeError:
                original = text.encode("utf-8", "surrogateescape")
                element = _Unfit.UNDECODABLE_BYTES
            if isinstance(element, _Unfit):
                bad.append(BadRow(number, None, element.value, original))
            elif not isinstance(element, dict):
                bad.append(BadRow(number, None, "not-an-object", original))
            elif isinstance(row := _row(element, place_of, width), str):
                bad.append(BadRow(number, None, row, original))
            else:
                origins.append(number)
                raw.append(original)
                rows.append(row)
            if number % batch_rows == 0:
                yield _turned(origins, rows, raw, bad, number, width)
                origins, rows, raw, bad = [], [], [], []
        if rows or bad:
            yield _turned(origins, rows, raw, bad, number, width)


def _row(element: Mapping[str, Any], place_of: Mapping[str, int | None], width: int) -> list[Any] | str:
    """Return the values of an element in the order of the columns, or why it has none."""
    row: list[Any] = [None] * width
    given: set[int] = set()
    for name, value in element.items():
        if name not in place_of:
            return "unknown-member"
        place = place_of[name]
        if place is not None:
            if place in given:
                return "duplicate-member"
            given.add(place)
            row[place] = value
    return row


def _turned(
    origins: list[int], rows: list[list[Any]], raw: list[bytes], bad: list[BadRow], end: int, width: int
) -> RawBatch:
    columns: list[Sequence[Any]] = [*zip(*rows, strict=True)] if rows else [()] * width
    layout = Layout("json-array", "utf-8")
    return RawBatch(origins, columns, raw, bad, end, layout=layout)


def _elements(file: BinaryIO, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each element with its text. Scans by the standard decoder, element by element."""
    decoder = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, strict=True)
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
                element, end = _decode(decoder, incoming.text, incoming.at)
            except ValueError as error:
                if incoming.more():
                    continue
                raise SourceError(
                    _("{file} breaks JSON at element {number}"), file=name, number=number
                ) from error
            # A number may go on in the next chunk, even where it reads as a shorter one: `1.` of `1.5`.
            if incoming.text[end : end + 1] not in _AFTER and incoming.more():
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


def _decode(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, at)
    except RecursionError:
        return _Unfit.NESTED_TOO_DEEPLY, _closing(text, at)


def _closing(text: str, at: int) -> int:
    """Return where the array or object that begins at `at` ends, without looking into it; ValueError if it does not."""
    depth = 0
    for match in _BRACKET.finditer(text, at):
        if match[0] in "[{":
            depth += 1
        elif match[0] in "]}":
            depth -= 1
            if depth == 0:
                return match.end()
        elif match[0] == '"':
            break
    raise ValueError("it does not end")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Unfit:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Unfit.DUPLICATE_MEMBER


class _Text:
    """The part of the file that is being looked at: `text`, from position `at` on not yet consumed."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        # What is not UTF-8 becomes surrogates, so that the original bytes can be had back.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read on; False at the end of the file. Raises SourceError if one element grows beyond all bounds."""
        if len(self.text) - self.at > LONGEST_ELEMENT:
            return False
        chunk = self._file.read(CHUNK_BYTES)
        self.text = self.text[self.at :] + self._decoder.decode(chunk, final=not chunk)
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
