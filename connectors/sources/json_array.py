"""A JSON array of objects of any size, in constant memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted
from foundation.language import _

CHUNK_BYTES = 1 << 20
LONGEST_ELEMENT = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER = frozenset(" \t\r\n,]")
_AFTER_MEMBER = frozenset(" \t\r\n,:}")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[][{}"]', re.DOTALL)


class Unfit(Enum):
    """What stands for an element that is not to be used: the reason."""

    DUPLICATE_MEMBER = "duplicate-member"
    NESTED_TOO_DEEPLY = "nested-too-deeply"
    UNDECODABLE_BYTES = "undecodable-bytes"
    MALFORMED = "malformed-row"


def read_json_array(path: Path, *, wanted: Wanted, batch_rows: int) -> Iterator[RawBatch]:
    """Yield batches of the elements of a file that is one array; see `array_batches`.

    Raises:
        SourceError: further, the file cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(
            _("{file} cannot be opened: {reason}"), file=path.name, reason=error.strerror
        ) from error
    with file:
        yield from array_batches(file, path.name, wanted=wanted, batch_rows=batch_rows)


def array_batches(
    file: BinaryIO,
    name: str,
    *,
    wanted: Wanted,
    batch_rows: int,
    member: str | None = None,
    part: str = "",
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield batches of the array's elements; their members are in the order of `wanted`.

    An element that is no object, has members that nobody wants or one twice, is nested absurdly deep or not
    UTF-8, is a bad row and costs only itself.

    Args:
        member: of the outermost object in which the array stands; None: the array is the outermost.
        detected: what of the layout was detected, not stated.

    Raises:
        SourceError: the file is not one JSON array, or none stands in that member; says at which element.
    """
    layout = Layout("json-array", "utf-8", detected=detected)
    yield from object_batches(_elements(file, name, member), layout, wanted, batch_rows, part)


def object_batches(
    elements: Iterable[tuple[Any, str]], layout: Layout, wanted: Wanted, batch_rows: int, part: str
) -> Iterator[RawBatch]:
    """Yield batches of JSON values with their texts, in which surrogates stand for bytes that were not UTF-8."""
    place_of = wanted.members()
    width = len(wanted.names)
    origins: list[int] = []
    rows: list[list[Any]] = []
    raw: list[bytes] = []
    bad: list[BadRow] = []
    number = 0
    for number, (element, text) in enumerate(elements, 1):
        try:
            original = text.encode()
        except UnicodeEncodeError:
            original = text.encode("utf-8", "surrogateescape")
            element = Unfit.UNDECODABLE_BYTES
        if isinstance(element, Unfit):
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
            yield RawBatch(origins, _turned(rows, width), raw, bad, number, part, layout)
            origins, rows, raw, bad = [], [], [], []
    if rows or bad:
        yield RawBatch(origins, _turned(rows, width), raw, bad, number, part, layout)


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


def _turned(rows: list[list[Any]], width: int) -> list[Sequence[Any]]:
    return [*zip(*rows, strict=True)] if rows else [()] * width


def strict_decoder() -> json.JSONDecoder:
    """Return a decoder that takes nothing but JSON, and tells an object that has a member twice (`Unfit`)."""
    return json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, strict=True)


def _elements(file: BinaryIO, name: str, member: str | None) -> Iterator[tuple[Any, str]]:
    """Yield each element with its text. Scans by the standard decoder, element by element."""
    decoder = strict_decoder()
    incoming = _Text(file, name)
    if member is not None:
        _enter(decoder, incoming, name, member)
    if incoming.next_character() != "[":
        raise SourceError(_("{file} is not a JSON array"), file=name)
    incoming.at += 1
    number = 0
    character = incoming.next_character()
    if character == "]":
        incoming.at += 1
        _leave(decoder, incoming, name, member)
        return
    while True:
        number += 1
        if incoming.next_character() == "":
            raise SourceError(_("{file} ends within element {number}"), file=name, number=number)
        try:
            element, end = _next_value(decoder, incoming, _AFTER)
        except ValueError as error:
            raise SourceError(
                _("{file} breaks JSON at element {number}"), file=name, number=number
            ) from error
        yield element, incoming.text[incoming.at : end]
        incoming.at = end
        character = incoming.next_character()
        incoming.at += 1
        if character == "]":
            _leave(decoder, incoming, name, member)
            return
        if character != ",":
            raise SourceError(_("{file} breaks JSON after element {number}"), file=name, number=number)


def _next_value(decoder: json.JSONDecoder, incoming: _Text, after: frozenset[str]) -> tuple[Any, int]:
    """Return the value that begins here, and where it ends in the text; ValueError if it is none."""
    while True:
        try:
            element, end = _decode(decoder, incoming.text, incoming.at)
        except ValueError:
            if incoming.more():
                continue
            raise
        # A number may go on in the next chunk, even where it reads as a shorter one: `1.` of `1.5`.
        if incoming.text[end : end + 1] not in after and incoming.more():
            continue
        return element, end


def _enter(decoder: json.JSONDecoder, incoming: _Text, name: str, member: str) -> None:
    """Go to the array in a member of the outermost object; what stands before it is read and left."""
    if incoming.next_character() != "{":
        raise SourceError(_("{file} is not a JSON object with the array {member}"), file=name, member=member)
    incoming.at += 1
    while _next_name(decoder, incoming, name) != member:
        _skip(decoder, incoming, name)
        if incoming.next_character() != ",":
            raise SourceError(
                _("{file} is not a JSON object with the array {member}"), file=name, member=member
            )
        incoming.at += 1


def _leave(decoder: json.JSONDecoder, incoming: _Text, name: str, member: str | None) -> None:
    """Read what stands behind the array: the other members of its object, and then nothing more."""
    while member is not None and incoming.next_character() == ",":
        incoming.at += 1
        if _next_name(decoder, incoming, name) == member:
            raise SourceError(_("{file} holds the array {member} twice"), file=name, member=member)
        _skip(decoder, incoming, name)
    if member is not None:
        if incoming.next_character() != "}":
            raise SourceError(_("{file} breaks JSON outside its array"), file=name)
        incoming.at += 1
    incoming.must_end()


def _next_name(decoder: json.JSONDecoder, incoming: _Text, file: str) -> str:
    incoming.next_character()
    found = _skip(decoder, incoming, file)
    if not isinstance(found, str) or incoming.next_character() != ":":
        raise SourceError(_("{file} breaks JSON outside its array"), file=file)
    incoming.at += 1
    incoming.next_character()
    return found


def _skip(decoder: json.JSONDecoder, incoming: _Text, file: str) -> Any:
    try:
        value, incoming.at = _next_value(decoder, incoming, _AFTER_MEMBER)
    except ValueError as error:
        raise SourceError(_("{file} breaks JSON outside its array"), file=file) from error
    return value


def _decode(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, at)
    except RecursionError:
        return Unfit.NESTED_TOO_DEEPLY, _closing(text, at)


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


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unfit:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Unfit.DUPLICATE_MEMBER


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
