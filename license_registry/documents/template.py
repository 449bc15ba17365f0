"""How the document of a licence type is laid out: the shared layout, and what the type's folder says instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Template:
    """A layout as data. Lengths are millimetres, sizes of letters too; colours `#rrggbb`.

    Args:
        label_width: of the column with the names of fields.
        qr: side of the QR code.
        title, subtitle: None: the type's own names, Chinese and English.
        fields: which fields stand on it, in this order; None: all, as the schema has them.
        statement: text below the fields.
        example: the layout is not the official form of the type, and the document says so (例).
    """

    width: float
    height: float
    margin: float
    frame_colour: str
    label_colour: str
    text_colour: str
    mark_colour: str
    title_size: float
    subtitle_size: float
    label_size: float
    text_size: float
    small_size: float
    label_width: float
    qr: float
    title: str | None
    subtitle: str | None
    fields: tuple[str, ...] | None
    statement: str | None
    example: bool


def laid_over(layout: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared layout with what a type says instead; members of `paper`, `colours`, `sizes` one by one."""
    return {
        **layout,
        **{
            name: {**layout[name], **value}
            if isinstance(layout.get(name), dict) and isinstance(value, dict)
            else value
            for name, value in own.items()
        },
    }


def read_template(told: Mapping[str, Any]) -> Template:
    """Return a template of data that fit `schemas/licence_type/template.json`."""
    paper, colours, sizes = told["paper"], told["colours"], told["sizes"]
    return Template(
        width=paper["width"],
        height=paper["height"],
        margin=paper["margin"],
        frame_colour=colours["frame"],
        label_colour=colours["label"],
        text_colour=colours["text"],
        mark_colour=colours["mark"],
        title_size=sizes["title"],
        subtitle_size=sizes["subtitle"],
        label_size=sizes["label"],
        text_size=sizes["text"],
        small_size=sizes["small"],
        label_width=told["label_width"],
        qr=told["qr"],
        title=told["title"],
        subtitle=told["subtitle"],
        fields=None if told["fields"] is None else tuple(told["fields"]),
        statement=told["statement"],
        example=told["example"],
    )
