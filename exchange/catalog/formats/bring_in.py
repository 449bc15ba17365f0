"""Bringing a catalogue in: good entries become drafts, each bad one is told with its place and reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from exchange.catalog.document import LICENCE_PREFIX, Document, complete
from exchange.catalog.drafts.edit import ResourceOfAnother, draft
from exchange.catalog.formats.dcat import NotADataset, from_json_ld
from exchange.catalog.formats.workbook import BadRow, CatalogueFileUnreadable, place_of, read_workbook
from foundation.errors import DomainError
from foundation.language import _, both


class Format(StrEnum):
    """How a catalogue is written."""

    JSON_LD = "json-ld"
    WORKBOOK = "workbook"


@dataclass(frozen=True, slots=True)
class Read:
    """A complete document and where in its file it stands."""

    document: Document
    sheet: str
    row: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Args:
        skipped: ids of licence types, which come from the licence registry alone.
    """

    read: list[Read]
    skipped: list[str]
    bad: list[BadRow]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Args:
        drafted: id → version of the drafts that were written.
        unchanged: ids that are published or drafted as the file has them.
        bad: of a workbook with sheet, row and heading; of JSON-LD with the number of the dataset and a JSON Pointer.
    """

    drafted: dict[str, int]
    unchanged: list[str]
    skipped: list[str]
    bad: list[BadRow]


def read(content: bytes, form: Format, department: str | None, *, every: bool) -> Contents:
    """Read a file; takes long for a large one, so call it in a thread.

    Args:
        department: USCC that entries are of which name none.
        every: entries may be of any department; otherwise, those of another than `department` are bad.

    Raises:
        CatalogueFileUnreadable: the file as a whole cannot be read.
    """
    found: list[Read] = []
    skipped: list[str] = []
    bad: list[BadRow] = []
    seen: set[str] = set()
    entries = _of_workbook(content, bad) if form == Format.WORKBOOK else _of_json_ld(content, bad)
    for document, row, tell in entries:
        name = document.get("id")
        if isinstance(name, str) and name.startswith(LICENCE_PREFIX):
            skipped.append(name)
            continue
        given = {"department": department, **document, "version": 1}
        try:
            made = complete({key: value for key, value in given.items() if value is not None})
            if not every and made["department"] != department:
                raise ResourceOfAnother(_("another department keeps this resource"), pointer="/department")
        except DomainError as refusal:
            bad.append(tell(refusal))
            continue
        if made["id"] in seen:
            bad.append(BadRow(row.sheet, row.row, "", "repeated"))
            continue
        seen.add(made["id"])
        found.append(Read(made, row.sheet, row.row))
    return Contents(found, skipped, bad)


async def bring_in(pool: Any, contents: Contents, by: str, now: datetime) -> Imported:
    """Draft what was read. The same file again finds all of it unchanged."""
    drafted: dict[str, int] = {}
    unchanged: list[str] = []
    bad = list(contents.bad)
    documents = [each.document for each in contents.read]
    outcomes = await draft(pool, documents, by, now, reverting=False)
    for each, done in zip(contents.read, outcomes, strict=True):
        if done.refusal is not None:
            bad.append(_told(each.sheet, each.row, "", done.refusal))
        elif done.outcome == "unchanged":
            unchanged.append(each.document["id"])
        else:
            drafted[each.document["id"]] = done.document["version"]
    return Imported(drafted, unchanged, contents.skipped, bad)


@dataclass(frozen=True, slots=True)
class _Row:
    sheet: str
    row: int


def _of_workbook(content: bytes, bad: list[BadRow]) -> Iterator[tuple[Document, _Row, Any]]:
    taken, wrong = read_workbook(content)
    bad += wrong
    for each in taken:
        sheet, row, _heading = place_of(each, None)
        yield (
            each.document,
            _Row(sheet, row),
            lambda refusal, of=each: _told(*place_of(of, refusal.pointer), refusal),
        )


def _of_json_ld(content: bytes, bad: list[BadRow]) -> Iterator[tuple[Document, _Row, Any]]:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CatalogueFileUnreadable(_("it is no JSON: line {line}"), line=error.lineno) from error
    for number, (place, node) in enumerate(from_json_ld(parsed), 1):
        if isinstance(node, NotADataset):
            bad.append(BadRow("", number, place, node.reason))
            continue
        yield (
            node,
            _Row("", number),
            lambda refusal, at=number, of=place: _told("", at, f"{of}{refusal.pointer or ''}", refusal),
        )


def _told(sheet: str, row: int, field: str, refusal: DomainError) -> BadRow:
    return BadRow(sheet, row, field, refusal.code, both(refusal.message, **refusal.values))


def in_order(rows: Iterable[BadRow]) -> list[BadRow]:
    """Return bad rows in the order of their file."""
    return sorted(rows, key=lambda each: (each.sheet, each.row, each.field))
