"""From words to places: what stands where on which page. No PDF and no OFD; both draw the same pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import segno

from license_registry.documents.errors import character_lacking
from license_registry.documents.fonts import Fonts
from license_registry.documents.template import Template
from license_registry.documents.written import Row, Written

LEADING = 1.55
"""Distance of two base lines, as a share of the size."""
ASCENT = 0.88
"""Height of an ideograph above its base line, as a share of the size."""
FRAME = 0.7
RULE = 0.15
FAINT = "#c9c9c9"
LINES_OF_MARK = 2
DATE_OF_ISSUE = "发证日期："
"""How the line begins that an authority's seal is put on."""
_NOT_FIRST = frozenset("，。、；：！？）》」』】〉”’％%,.;:!?)]}")
_NOT_LAST = frozenset("（《「『【〈“‘([{")

Box = tuple[float, float, float, float]
"""Left, top, width, height; millimetres from the page's upper left corner."""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; `x`, `y`: where its base line begins; `widths`: of each character, all in millimetres."""

    x: float
    y: float
    size: float
    colour: str
    text: str
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Boxes filled with one colour."""

    colour: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on one page, in reading order."""

    shapes: tuple[Shape, ...]
    texts: tuple[Text, ...]


def place(written: Written, template: Template, fonts: Fonts) -> tuple[Page, ...]:
    """Lay a document out.

    The first page begins with the title; fields take as many pages as they need; issuer, QR code and notes stand below
    them, on a page of their own if there is no room. Frame, page number and mark stand on every page.

    Raises:
        CharacterLacking: naming the field, not what stands in it.
    """
    _require_drawable(written, fonts)
    return _Placing(written, template, fonts).pages()


def _require_drawable(written: Written, fonts: Fonts) -> None:
    told = [(row.field, text) for row in (*written.rows, *written.terms) for text in (row.label, row.value)]
    told += [("issuer_name", written.issuer), ("number", written.number), ("title", written.title)]
    told += [("subtitle", written.subtitle), ("statement", written.statement or "")]
    told += [("mark", line) for line in written.mark]
    for name, text in told:
        lacking = fonts.lacking("".join(_visible(text)))
        if lacking is not None:
            raise character_lacking(name, ord(lacking) >> 16)


def _visible(text: str) -> str:
    """Return a text with every blank, and what parts lines, as one kind of blank."""
    return "".join(" " if each.isspace() and each != "\u3000" else each for each in text)


@dataclass(slots=True)
class _Sheet:
    shapes: list[Shape] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


class _Placing:
    """A document under way: the page that is being filled, and how far down."""

    def __init__(self, written: Written, template: Template, fonts: Fonts) -> None:
        self._written, self._template, self._fonts = written, template, fonts
        self._left = template.margin + 4
        self._right = template.width - template.margin - 4
        small = template.small_size
        self._bottom = template.height - template.margin - 3
        if written.mark:
            self._bottom -= self._mark_height()
        self._bottom -= small * LEADING
        self._sheets: list[_Sheet] = []
        self._y = 0.0
        self._begin_page()

    def pages(self) -> tuple[Page, ...]:
        self._head()
        for row in (*self._written.rows, *self._written.terms):
            self._row(row)
        if self._written.statement:
            self._statement(self._written.statement)
        self._foot()
        for number, sheet in enumerate(self._sheets, 1):
            self._surround(sheet, number)
        return tuple(Page(tuple(sheet.shapes), tuple(sheet.texts)) for sheet in self._sheets)

    def _begin_page(self) -> None:
        self._sheets.append(_Sheet())
        self._y = self._template.margin + 6

    def _head(self) -> None:
        template, written = self._template, self._written
        self._y += template.title_size * 0.4
        for text, size, colour, gap in (
            (written.title, template.title_size, template.frame_colour, 0.45),
            (written.subtitle, template.subtitle_size, template.label_colour, 0.9),
        ):
            for line in self._lines(text, size, self._right - self._left):
                self._line(line, (self._left + self._right - self._length(line, size)) / 2, size, colour)
            self._y += size * gap
        number = f"证照编号：{written.number}"
        size = template.label_size
        for line in self._lines(number, size, self._right - self._left):
            self._line(line, self._right - self._length(line, size), size, template.text_colour)
        self._y += size

    def _row(self, row: Row) -> None:
        template = self._template
        value_left = self._left + template.label_width
        labels = self._lines(row.label, template.label_size, template.label_width - 3)
        values = self._lines(row.value, template.text_size, self._right - value_left)
        step = template.text_size * LEADING
        # A row stands on one page if a page can hold it; a longer one goes on on the next.
        height = max(len(labels), len(values)) * step + template.text_size * 0.4
        if self._y + min(height, self._bottom * 0.5) > self._bottom:
            self._begin_page()
        for turn in range(max(len(labels), len(values))):
            if self._y + step > self._bottom:
                self._begin_page()
            top = self._y
            if turn < len(labels):
                self._line(labels[turn], self._left, template.label_size, template.label_colour, step)
            self._y = top
            if turn < len(values):
                self._line(values[turn], value_left, template.text_size, template.text_colour, step)
            self._y = top + step
        self._y += template.text_size * 0.2
        self._sheet.shapes.append(Shape(FAINT, ((self._left, self._y, self._right - self._left, RULE),)))
        self._y += template.text_size * 0.2

    def _statement(self, statement: str) -> None:
        size = self._template.label_size
        self._y += size * 0.6
        for line in self._lines(statement, size, self._right - self._left):
            if self._y + size * LEADING > self._bottom:
                self._begin_page()
            self._line(line, self._left, size, self._template.text_colour)

    def _foot(self) -> None:
        template, written = self._template, self._written
        small, size = template.small_size, template.text_size
        beside = self._left + template.qr + 6
        width = self._right - beside
        notes = [line for note in written.notes for line in self._lines(note, small, width)]
        identifier = self._lines(f"证照标识：{written.identifier}", small, width)
        issuer = self._lines(f"发证机关：{written.issuer}", size, width)
        step = size * LEADING
        below = (len(notes) + len(identifier)) * small * LEADING
        height = max(template.qr, (len(issuer) + 1) * step + 3 + below) + 4
        if self._y + height > self._bottom:
            self._begin_page()
        top = self._bottom - height + 2
        self._sheet.shapes.append(_qr(written.identifier, self._left, top, template.qr, template.text_colour))
        self._y = top
        for line in issuer:
            self._line(line, self._right - self._length(line, size), size, template.text_colour)
        day = f"{DATE_OF_ISSUE}{written.issued_on}"
        self._line(day, self._right - self._length(day, size), size, template.text_colour)
        self._y = self._bottom - below - 1
        for line in (*identifier, *notes):
            self._line(line, beside, small, template.label_colour)

    def _surround(self, sheet: _Sheet, number: int) -> None:
        template, written = self._template, self._written
        margin, size = template.margin, template.small_size
        sheet.shapes[:0] = [
            Shape(template.frame_colour, tuple(_frame(margin - 4, template.width, template.height, FRAME))),
            Shape(
                template.frame_colour,
                tuple(_frame(margin - 2.6, template.width, template.height, RULE * 1.5)),
            ),
        ]
        if template.example:
            self._example(sheet)
        if written.mark:
            top = template.height - margin - self._mark_height()
            box = (margin, top, template.width - 2 * margin, self._mark_height() - 1.5)
            sheet.shapes.append(Shape(template.mark_colour, tuple(_border(box, 0.4))))
            self._into(sheet, top + 1.5)
            for text in written.mark:
                for line in self._lines(text, size * 1.15, box[2] - 6):
                    self._line(line, margin + 3, size * 1.15, template.mark_colour)
        foot = f"第 {number} 页　共 {len(self._sheets)} 页"
        self._into(sheet, template.height - margin + 4.6)
        self._line(foot, (template.width - self._length(foot, size)) / 2, size, template.label_colour)

    def _example(self, sheet: _Sheet) -> None:
        template = self._template
        side = template.title_size * 0.95
        left, top = self._right - side, template.margin + 3
        sheet.shapes.append(Shape(template.mark_colour, tuple(_border((left, top, side, side), 0.4))))
        size = side * 0.72
        self._into(sheet, 0)
        self._y = top + (side - size) / 2 - size * (LEADING - 1) / 2
        self._line("例", left + (side - size) / 2, size, template.mark_colour)

    def _mark_height(self) -> float:
        size = self._template.small_size * 1.15
        width = self._template.width - 2 * self._template.margin - 6
        lines = sum(len(self._lines(text, size, width)) for text in self._written.mark)
        return lines * size * LEADING + 4.5

    @property
    def _sheet(self) -> _Sheet:
        return self._sheets[-1]

    def _into(self, sheet: _Sheet, top: float) -> None:
        """Write on a page that is full already; the order of pages stays."""
        self._y = top
        self._target = sheet

    _target: _Sheet | None = None

    def _line(self, text: str, left: float, size: float, colour: str, step: float | None = None) -> None:
        sheet = self._sheet if self._target is None else self._target
        step = size * LEADING if step is None else step
        base = self._y + (step - size) / 2 + size * ASCENT
        widths = tuple(self._fonts.width(each) * size for each in text)
        if text.strip():
            sheet.texts.append(Text(left, base, size, colour, text, widths))
        self._y += step

    def _length(self, text: str, size: float) -> float:
        return sum(self._fonts.width(each) for each in text) * size

    def _lines(self, text: str, size: float, width: float) -> list[str]:
        found: list[str] = []
        for part in text.splitlines() or [""]:
            found += self._broken(_visible(part), size, width)
        return found

    def _broken(self, text: str, size: float, width: float) -> Iterator[str]:
        """Break a line where it is full: between ideographs, at a blank, within a word only where that fills a line."""
        start = 0
        while start < len(text):
            end, room = start, width
            while end < len(text) and (room := room - self._fonts.width(text[end]) * size) >= -1e-6:
                end += 1
            end = max(end, start + 1)
            if end < len(text):
                end = _break(text, start, end)
            yield text[start:end].strip(" ")
            start = end
            while start < len(text) and text[start] == " ":
                start += 1


def _break(text: str, start: int, end: int) -> int:
    """Return where a line that could be as long as `end` had better end."""
    place = end
    # At most eight steps back: a line without a better place ends where it is full.
    while place > start + 1 and end - place < 8 and not _may_part(text[place - 1], text[place]):
        place -= 1
    return place if _may_part(text[place - 1], text[place]) else end


def _may_part(before: str, after: str) -> bool:
    if after in _NOT_FIRST or before in _NOT_LAST:
        return False
    return not (before.isascii() and after.isascii() and before != " " and after != " ")


def _frame(inset: float, width: float, height: float, thick: float) -> Iterator[Box]:
    yield from _border((inset, inset, width - 2 * inset, height - 2 * inset), thick)


def _border(box: Box, thick: float) -> Iterator[Box]:
    left, top, width, height = box
    yield (left, top, width, thick)
    yield (left, top + height - thick, width, thick)
    yield (left, top + thick, thick, height - 2 * thick)
    yield (left + width - thick, top + thick, thick, height - 2 * thick)


def _qr(text: str, left: float, top: float, side: float, colour: str) -> Shape:
    """Return a QR code: error correction M, each run of dark modules one box."""
    matrix = segno.make(text, error="m", micro=False, boost_error=False).matrix
    module = side / len(matrix)
    boxes: list[Box] = []
    for number, line in enumerate(matrix):
        column = 0
        while column < len(line):
            end = column
            while end < len(line) and line[end]:
                end += 1
            if end > column:
                boxes.append((left + column * module, top + number * module, (end - column) * module, module))
            column = max(end, column + 1)
    return Shape(colour, tuple(boxes))
