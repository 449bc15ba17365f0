"""The content of a page: boxes and lines of text."""

from __future__ import annotations

from collections.abc import Callable

from license_registry.documents.ofd.xml import document, element, number, numbers, text
from license_registry.documents.placing import ASCENT, Page, Shape, Text

DESCENT = 0.12


def page(content: Page, width: float, height: float, font: int, next_id: Callable[[], int]) -> bytes:
    """Return `Content.xml` of a page.

    Args:
        font: id of the font that all text has.
        next_id: gives ids that are unique in the document.
    """
    objects = [_shape(shape, next_id()) for shape in content.shapes]
    objects += [_text(line, font, next_id()) for line in content.texts]
    return document(
        "Page",
        element("Area", element("PhysicalBox", numbers(0, 0, width, height))),
        element("Content", element("Layer", *objects, ID=next_id(), Type="Body")),
    )


def _shape(shape: Shape, object_id: int) -> str:
    left, top = min(box[0] for box in shape.boxes), min(box[1] for box in shape.boxes)
    right, bottom = max(box[0] + box[2] for box in shape.boxes), max(box[1] + box[3] for box in shape.boxes)
    path = " ".join(
        f"M {numbers(x - left, y - top)} L {numbers(x - left + w, y - top)}"
        f" L {numbers(x - left + w, y - top + h)} L {numbers(x - left, y - top + h)} C"
        for x, y, w, h in shape.boxes
    )
    return element(
        "PathObject",
        _colour(shape.colour),
        element("AbbreviatedData", path),
        ID=object_id,
        Boundary=numbers(left, top, right - left, bottom - top),
        Fill="true",
        Stroke="false",
    )


def _text(line: Text, font: int, object_id: int) -> str:
    attributes = {"X": "0", "Y": number(line.size * ASCENT)}
    if len(line.text) > 1:
        attributes["DeltaX"] = numbers(*line.widths[:-1])
    return element(
        "TextObject",
        _colour(line.colour),
        element("TextCode", text(line.text), **attributes),
        ID=object_id,
        Boundary=numbers(
            line.x, line.y - line.size * ASCENT, sum(line.widths), line.size * (ASCENT + DESCENT)
        ),
        Font=font,
        Size=number(line.size),
    )


def _colour(colour: str) -> str:
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return element("FillColor", Value=" ".join(map(str, parts)))
