"""Layouts: which column of a list of matters is which field of a description (`layouts/*.json`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from foundation.errors import DomainError
from foundation.language import _


class LayoutUnknown(DomainError):
    code = "matter-layout-unknown"


class LayoutBroken(DomainError):
    code = "matter-layout-broken"


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is read.

    Args:
        pattern: what the value must look like; its group is what is taken.
        as_: `text`, `list` or `working-days`.
        separators: characters between the elements of a list that stands in one cell.
        example, note: for the empty workbook; None: the layout has none.
    """

    column: str
    pattern: re.Pattern[str] | None
    as_: str
    separators: str
    optional: bool
    example: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout.

    Args:
        recognised_by: columns by which a file shows that it has this layout.
        nothing: texts that stand for an empty value.
        persons, entities: words for who may apply.
    """

    id: str
    title: str
    recognised_by: frozenset[str]
    nothing: frozenset[str]
    fields: Mapping[str, Field]
    persons: frozenset[str]
    entities: frozenset[str]


@cache
def layouts() -> Mapping[str, Layout]:
    """Read all layouts that come with the program."""
    folder = resources.files("exchange.matters.importing") / "layouts"
    found = [
        _parsed(path.read_bytes(), path.name) for path in folder.iterdir() if path.name.endswith(".json")
    ]
    return {each.id: each for each in sorted(found, key=lambda each: each.id)}


def read_layout(path: Path) -> Layout:
    """Read a layout of a city's own.

    Raises:
        LayoutBroken: with the place.
    """
    return _parsed(path.read_bytes(), path.name)


def named_layout(name: str) -> Layout:
    """Return a layout that comes with the program.

    Raises:
        LayoutUnknown: none has the name.
    """
    known = layouts().get(name)
    if known is None:
        raise LayoutUnknown(
            _("no layout has the name {name}; there are {known}"), name=name, known=", ".join(layouts())
        )
    return known


def layout_of(columns: Collection[str], wanted: Layout | None = None) -> Layout:
    """Return the layout that a file's columns show, or the wanted one.

    Raises:
        LayoutUnknown: no layout, or not the wanted one, goes by these columns.
    """
    candidates = list(layouts().values()) if wanted is None else [wanted]
    for each in candidates:
        if each.recognised_by <= set(columns):
            return each
    raise LayoutUnknown(
        _("the columns are of no layout that is known: {columns}"),
        columns=" | ".join(" ".join(sorted(each.recognised_by)) for each in candidates),
    )


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    schema = orjson.loads((resources.files("schemas") / "matters" / "layout.json").read_bytes())
    return jsonschema_rs.Draft202012Validator(schema)


def _parsed(content: bytes, name: str) -> Layout:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise LayoutBroken(_("{file} cannot be read as JSON"), file=name) from error
    for fault in _validator().iter_errors(document):
        where = "".join(f"/{part}" for part in fault.instance_path)
        raise LayoutBroken(
            _("{file} is no layout, at {place}: {reason}"), file=name, place=where, reason=fault.message[:200]
        )
    for field, each in document["fields"].items():
        try:
            groups = re.compile(each.get("pattern", "(.)")).groups
        except re.error as broken:
            raise LayoutBroken(
                _("{file} is no layout, at {place}: {reason}"),
                file=name,
                place=f"/fields/{field}/pattern",
                reason=str(broken),
            ) from broken
        if groups != 1:
            raise LayoutBroken(
                _("{file} is no layout, at {place}: {reason}"),
                file=name,
                place=f"/fields/{field}/pattern",
                reason="one group",
            )
    return _layout(document)


def _layout(document: Mapping[str, Any]) -> Layout:
    return Layout(
        id=document["id"],
        title=document["title"],
        recognised_by=frozenset(document["recognised_by"]),
        nothing=frozenset(document["nothing"]),
        fields={name: _field(each) for name, each in document["fields"].items()},
        persons=frozenset(document["persons"]),
        entities=frozenset(document["entities"]),
    )


def _field(document: Mapping[str, Any]) -> Field:
    return Field(
        column=document["column"],
        pattern=re.compile(document["pattern"]) if "pattern" in document else None,
        as_=document.get("as", "text"),
        separators=document.get("separators", ""),
        optional=document.get("optional", False),
        example=document.get("example"),
        note=document.get("note"),
    )
