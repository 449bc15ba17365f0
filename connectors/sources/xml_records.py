"""Records of an XML document, in constant memory. Document type definitions, and so entities, are refused."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

import orjson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from connectors.sources.archive import HEAD_BYTES
from connectors.sources.json_array import Unfit, object_batches
from connectors.sources.raw import Layout, RawBatch, SourceError, Wanted
from foundation.language import _

LONGEST_RECORD = 1 << 20
"""Characters. More without the end of a record: the document is not what its mapping says."""
DEEPEST = 64
_CHUNK = 1 << 16

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = {"utf-8": "utf-8-sig", "utf8": "utf-8-sig", "us-ascii": "utf-8-sig"} | dict.fromkeys(
    ("gb18030", "gbk", "gb2312", "gb_2312-80", "cp936"), "gb18030"
)


def xml_batches(
    file: BinaryIO,
    name: str,
    *,
    wanted: Wanted,
    batch_rows: int,
    record_element: str | None = None,
    part: str = "",
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield batches of records; their columns are the attributes and the child elements, by their local names.

    Args:
        record_element: local name of the element that is a record; None: the first in which a wanted column stands.

    Raises:
        SourceError: the document is not well-formed, has a DTD, is nested too deep, in no encoding that is read, or
            holds no record.
    """
    encoding = declared_encoding(file, name)
    if record_element is None:
        detected = (*detected, "record_element")
    layout = Layout("xml", "gb18030" if encoding == "gb18030" else "utf-8", detected=detected)
    reader = _Bounded(io.TextIOWrapper(file, encoding), name)
    elements = _records(reader, name, wanted, record_element)
    yield from object_batches(elements, layout, wanted, batch_rows, part)


def declared_encoding(file: BinaryIO, name: str) -> str:
    """Return the encoding that the document declares; UTF-8 where it declares none, as XML has it."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head.strip():
        raise SourceError(_("{file} is empty"), file=name)
    declared = _DECLARED.match(head.removeprefix(b"\xef\xbb\xbf"))
    stated = declared[1].decode().lower() if declared is not None else "utf-8"
    if stated not in _ENCODINGS:
        raise SourceError(_("{file} is in {encoding}, which is not read"), file=name, encoding=stated[:40])
    return _ENCODINGS[stated]


class _Bounded:
    """Text that stops the parser once it has read too much since the last record."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text = text
        self._name = name
        self.since = 0

    def read(self, size: int = -1, /) -> str:
        if self.since > LONGEST_RECORD:
            raise SourceError(
                _("{file} holds a row of more than {size} bytes"), file=self._name, size=LONGEST_RECORD
            )
        chunk = self._text.read(min(size, _CHUNK) if size > 0 else _CHUNK)
        self.since += len(chunk)
        return chunk


def _records(
    reader: _Bounded, name: str, wanted: Wanted, record_element: str | None
) -> Iterator[tuple[Any, str]]:
    known = frozenset(wanted.members())
    stack: list[Element] = []
    depth = 0  # of the record that is open, 0 outside of any
    found = False
    try:
        for event, element in iterparse(reader, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                stack.append(element)
                if len(stack) > DEEPEST:
                    raise SourceError(_("{file} is nested too deeply"), file=name)
                if record_element is None:
                    record_element = _detected(stack, known)
                    if record_element is not None and _local(element) != record_element:
                        depth = len(stack) - 1  # its first column opened already
                if not depth and _local(element) == record_element:
                    depth = len(stack)
                continue
            if depth == len(stack):
                found, depth, reader.since = True, 0, 0
                yield _record(element)
            stack.pop()
            if not depth and stack:
                stack[-1].remove(element)
    except DefusedXmlException as error:
        raise SourceError(_("{file} has a document type definition"), file=name) from error
    except UnicodeDecodeError as error:
        raise SourceError(_("{file} is not in the encoding that it declares"), file=name) from error
    except ParseError as error:
        line, column = error.position
        raise SourceError(
            _("{file} breaks XML at line {line}, column {column}"), file=name, line=line, column=column
        ) from error
    if not found:
        raise SourceError(_("{file} holds no record of its mapping"), file=name)


def _detected(stack: list[Element], known: frozenset[str]) -> str | None:
    if not known.isdisjoint(map(_plain, stack[-1].attrib)):
        return _local(stack[-1])
    return _local(stack[-2]) if len(stack) > 1 and _local(stack[-1]) in known else None


def _record(element: Element) -> tuple[Any, str]:
    pairs: list[tuple[str, Any]] = [(_plain(name), value) for name, value in element.attrib.items()]
    for child in element:
        nested = len(child) > 0
        value = {_local(inner): inner.text or "" for inner in child} if nested else child.text or ""
        pairs.append((_local(child), value))
    members = dict(pairs)
    text = orjson.dumps(members if len(members) == len(pairs) else pairs).decode()
    return members if len(members) == len(pairs) else Unfit.DUPLICATE_MEMBER, text


def _local(element: Element) -> str:
    return _plain(str(element.tag))


def _plain(name: str) -> str:
    return name.rpartition("}")[2]
