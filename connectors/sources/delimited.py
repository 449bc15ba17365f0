"""Delimited text: CSV and its kin, in a stated encoding, row by row with the original bytes kept."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from connectors.sources import quotes
from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError, Wanted
from foundation.language import _

LONGEST_ROW = 1 << 20
"""Bytes of one row, line breaks inside quotes included. Longer: the file is not what its mapping says."""
_BLOCK = 1 << 17


def read_delimited(
    path: Path, *, encoding: str, delimiter: str, wanted: Wanted, batch_rows: int
) -> Iterator[RawBatch]:
    """Yield batches of the rows of a file; see `delimited_batches`.

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
        yield from delimited_batches(
            file, path.name, encoding=encoding, delimiter=delimiter, wanted=wanted, batch_rows=batch_rows
        )


def delimited_batches(
    file: BinaryIO,
    name: str,
    *,
    encoding: str,
    delimiter: str,
    wanted: Wanted,
    batch_rows: int,
    part: str = "",
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield the slices of a file (`delimited_slices`), taken apart."""
    slices = delimited_slices(
        file,
        name,
        encoding=encoding,
        delimiter=delimiter,
        wanted=wanted,
        batch_rows=batch_rows,
        part=part,
        detected=detected,
    )
    for piece in slices:
        yield piece.taken_apart()


def delimited_slices(
    file: BinaryIO,
    name: str,
    *,
    encoding: str,
    delimiter: str,
    wanted: Wanted,
    batch_rows: int,
    part: str = "",
    detected: tuple[str, ...] = (),
    rows_above: int = 0,
) -> Iterator[DelimitedSlice]:
    """Yield slices of rows whose columns will be in the order of `wanted`, whatever their order in the file.

    The bytes are cut into rows before they are decoded, so that one row that cannot be decoded costs only itself.
    That is safe in UTF-8 and GB18030: no byte of a longer character is a line break or a quote there.

    Args:
        detected: what of the layout was detected, not stated.
        rows_above: rows above the header.

    Raises:
        SourceError: the file is empty, its header differs, or a row never ends.
    """
    rows = _physical_rows(file, name, encoding, delimiter)
    first = next(islice(rows, rows_above, None), None)
    if first is None:
        raise SourceError(_("{file} is empty"), file=name)
    found = read_header(first, name, encoding, delimiter)
    order = wanted.order(found, name)
    layout = Layout("delimited", encoding, delimiter, tuple(found), detected)
    number = 0
    while batch := list(islice(rows, batch_rows)):
        yield DelimitedSlice(batch, number, layout, order, part)
        number += len(batch)


@dataclass(frozen=True, slots=True)
class DelimitedSlice:
    """Rows of delimited text, each as its bytes.

    Args:
        before: rows of the part before this slice.
        order: place of each wanted column among those of the layout.
    """

    rows: list[bytes]
    before: int
    layout: Layout
    order: list[int]
    part: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Go from process to process in one piece, where no row has a line break within."""
        rest = (self.before, self.layout, self.order, self.part)
        together = b"\n".join(self.rows)
        if together.count(b"\n") == len(self.rows) - 1:
            return _of_lines, (together, *rest)
        return DelimitedSlice, (self.rows, *rest)

    def cut(self, rows: int) -> Iterator[DelimitedSlice]:
        """Yield the slice in smaller ones."""
        for at in range(0, len(self.rows), rows):
            yield replace(self, rows=self.rows[at : at + rows], before=self.before + at)

    def taken_apart(self) -> RawBatch:
        """Decode the rows and cut them into columns; a row that cannot be costs only itself."""
        return _batch(self.rows, self.before, self.layout, self.order, self.part)

    def original(self, origin_row: int) -> bytes:
        """Return the bytes of a row."""
        return self.rows[origin_row - self.before - 1]


def _of_lines(together: bytes, before: int, layout: Layout, order: list[int], part: str) -> DelimitedSlice:
    return DelimitedSlice(together.split(b"\n"), before, layout, order, part)


def _physical_rows(file: BinaryIO, name: str, encoding: str, delimiter: str) -> Iterator[bytes]:
    """Yield rows without their line end; a row goes on while a quote is open. Blank lines are no rows."""
    held: list[bytes] = []
    size = 0
    opening = delimiter.encode() + b'"'
    is_whole = _whole(delimiter.encode()).fullmatch
    lines_are_rows = (
        partial(quotes.lines_are_rows, delimiter=ord(delimiter)) if len(opening) == 2 else is_whole
    )
    # The second byte of a GB18030 character can look like the one delimiter, and the other is made of two.
    ambiguous = delimiter in "|，" and encoding != "utf-8"
    while block := file.read(_BLOCK):
        block += file.readline(LONGEST_ROW)
        if (
            not held
            and (b'"' not in block or (not ambiguous and lines_are_rows(block)))
            and len(block) < LONGEST_ROW
        ):
            # The usual block, in which every line is a row: one look is enough.
            for line in block.split(b"\n"):
                if row := line.rstrip(b"\r"):
                    yield row
            continue
        for line in io.BytesIO(block):
            size += len(line)
            if size > LONGEST_ROW or (not line.endswith(b"\n") and len(line) >= LONGEST_ROW):
                raise SourceError(
                    _("{file} holds a row of more than {size} bytes"), file=name, size=LONGEST_ROW
                )
            if held or b'"' in line:
                seen = line.decode(encoding, "replace").encode() if ambiguous else line
                if (held or not is_whole(seen)) and _leaves_open(seen, opening, bool(held)):
                    held.append(line)
                    continue
            row = b"".join((*held, line)) if held else line
            held, size = [], 0
            row = row.rstrip(b"\r\n")
            if row:
                yield row
    if held:
        raise SourceError(_("{file} ends inside a quoted field"), file=name)


def _whole(delimiter: bytes) -> re.Pattern[bytes]:
    """Match lines in which every quote opens or closes a field or is doubled inside one, and none stays open."""
    quoted = rb'"[^"\n]*+(?:""[^"\n]*+)*+"'
    starts = rb"(?:(?<=%b)|(?<=\n))" % re.escape(delimiter)
    return re.compile(rb"(?:%b)?+[^\"]*+(?:%b%b[^\"]*+)*+" % (quoted, starts, quoted))


def _leaves_open(line: bytes, opening: bytes, is_open: bool) -> bool:
    """Tell whether a quoted field is open at the end of a line, given whether one was at its start.

    A quote opens a field only at its start: a lone one inside a plain field (`5"管`) must not swallow what follows.
    So does the `csv` module see it, to which each row goes by itself.
    """
    at = 0
    if not is_open:
        if line.startswith(b'"'):
            at = 1
        elif (at := line.find(opening) + len(opening)) < len(opening):
            return False
    while True:
        at = line.find(b'"', at)
        if at < 0:
            return True
        if line.startswith(b'"', at + 1):
            at += 2
        elif (at := line.find(opening, at + 1) + len(opening)) < len(opening):
            return False


def read_header(first: bytes, name: str, encoding: str, delimiter: str) -> list[str]:
    """Return the names in the first row of a file.

    Raises:
        SourceError: it cannot be read so.
    """
    try:
        text = first.removeprefix(b"\xef\xbb\xbf").decode(encoding).removeprefix("\ufeff")
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]
    except (UnicodeDecodeError, csv.Error, StopIteration) as error:
        raise SourceError(
            _("the header of {file} cannot be read as {encoding}"), file=name, encoding=encoding
        ) from error


def _batch(rows: list[bytes], before: int, layout: Layout, order: list[int], part: str) -> RawBatch:
    assert layout.encoding is not None and layout.delimiter is not None
    encoding, delimiter, width = layout.encoding, layout.delimiter, len(layout.columns)
    bad: list[BadRow] = []
    origins: list[int] = []
    raw: list[bytes] = []
    good: list[list[str]] = []
    if encoding in quotes.ENCODINGS and delimiter in quotes.DELIMITERS:
        cut = quotes.columns(rows, encoding, delimiter, width)
        if cut is not None:
            numbers = list(range(before + 1, before + len(rows) + 1))
            return RawBatch(numbers, [cut[i] for i in order], rows, bad, before + len(rows), part, layout)
    texts, numbers = _decode(rows, before, encoding, bad)
    everything = list(_cells(texts, delimiter))
    if len(texts) == len(rows) and not any(cells is None or len(cells) != width for cells in everything):
        # The usual batch: nothing to set aside.
        turned = list(zip(*everything, strict=True))
        return RawBatch(numbers, [turned[i] for i in order], rows, bad, before + len(rows), part, layout)
    # One element is one row, so that the reader's rows and ours stay in step even where a quote hides a break.
    for number, cells in zip(numbers, everything, strict=True):
        original = rows[number - before - 1]
        if cells is None:
            bad.append(BadRow(number, None, "malformed-row", original))
        elif len(cells) != width:
            bad.append(BadRow(number, None, "wrong-column-count", original))
        else:
            origins.append(number)
            raw.append(original)
            good.append(cells)
    turned = list(zip(*good, strict=True)) if good else [()] * width
    return RawBatch(origins, [turned[i] for i in order], raw, bad, before + len(rows), part, layout)


def _decode(rows: list[bytes], before: int, encoding: str, bad: list[BadRow]) -> tuple[list[str], list[int]]:
    try:
        # The usual case, at the speed of one call. It fails where a row holds a line break inside quotes.
        texts = b"\n".join(rows).decode(encoding).split("\n")
        if len(texts) == len(rows):
            return texts, list(range(before + 1, before + len(rows) + 1))
    except UnicodeDecodeError:
        pass
    decoded, numbers = [], []
    for number, row in enumerate(rows, before + 1):
        try:
            decoded.append(row.decode(encoding))
            numbers.append(number)
        except UnicodeDecodeError:
            bad.append(BadRow(number, None, "undecodable-bytes", row))
    return decoded, numbers


def _cells(texts: list[str], delimiter: str) -> Iterator[list[str] | None]:
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    done = 0
    while True:
        try:
            for cells in reader:
                done += 1
                yield cells
        except csv.Error:
            # The reader is lost after a malformed row: go on behind it with a new one.
            yield None
            done += 1
            reader = csv.reader(texts[done:], delimiter=delimiter, strict=True)
        else:
            return
