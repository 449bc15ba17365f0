"""Where the quotes of delimited text stand: many rows seen, and cut into their columns, at once.

The `csv` module looks at each character and makes a list of each row. Here one look finds all quotes, delimiters and
line breaks; only what is not quoted as it should be goes the long way.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ENCODINGS = ("utf-8", "gbk", "gb18030")
"""No byte of a longer character of theirs is one of `DELIMITERS`, a quote or a line break."""
DELIMITERS = (",", "\t", ";")

_QUOTE, _BREAK, _CUT = ord('"'), ord("\n"), "\x1f"
_FOREIGN = (_CUT.encode(), b"\0", b"\r")
"""Bytes that need a closer look: ours, and those that the `csv` module has its own mind about."""


def lines_are_rows(block: bytes, delimiter: int) -> bool:
    """Tell whether each line is a row: quotes open at the start of a field, and none is open at the end of a line.

    Args:
        block: whole lines.
        delimiter: its byte.
    """
    seen = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(seen == _QUOTE)
    if not len(quotes):
        return True
    if len(quotes) % 2:
        return False
    before = seen[quotes[::2] - 1]
    starts = (before == delimiter) | (before == _BREAK) | (before == _QUOTE)
    # The first may have nothing before it.
    if not starts[1:].all() or not (starts[0] or quotes[0] == 0):
        return False
    return _outside(quotes, np.flatnonzero(seen == _BREAK))


def columns(rows: Sequence[bytes], encoding: str, delimiter: str, width: int) -> list[list[str]] | None:
    """Return the rows cut into columns; None where one is quoted unusually, undecodable or of another width.

    What is returned is what the `csv` module would, strictly.

    Args:
        encoding: one of `ENCODINGS`.
        delimiter: one of `DELIMITERS`.
    """
    joined = b"\n".join(rows)
    if width < 2 or not rows or any(byte in joined for byte in _FOREIGN):
        return None
    seen = np.frombuffer(joined, np.uint8)
    breaks = np.flatnonzero(seen == _BREAK)
    if len(breaks) != len(rows) - 1 or max(map(len, rows)) >= csv.field_size_limit():
        return None
    delimiters = np.flatnonzero(seen == ord(delimiter))
    quotes = np.flatnonzero(seen == _QUOTE)
    if len(quotes):
        if not _usual(seen, quotes, ord(delimiter)) or not _outside(quotes, breaks):
            return None
        delimiters = delimiters[np.searchsorted(quotes, delimiters) & 1 == 0]
    if len(delimiters) != len(rows) * (width - 1):
        return None
    by_row = delimiters.reshape(len(rows), width - 1)
    if (by_row[:-1, -1] > breaks).any() or (by_row[1:, 0] < breaks).any():
        return None
    cut = seen.copy()
    cut[delimiters] = cut[breaks] = ord(_CUT)
    try:
        cells = cut.tobytes().replace(b'"', b"").decode(encoding).split(_CUT)
    except UnicodeDecodeError:
        return None
    return [cells[column::width] for column in range(width)]


def _usual(seen: NDArray[np.uint8], quotes: NDArray[np.intp], delimiter: int) -> bool:
    """Tell whether quotes stand around whole fields, and none is doubled inside one."""
    if len(quotes) % 2:
        return False
    edges = np.empty(len(seen) + 2, bool)
    edges[0] = edges[-1] = True
    np.logical_or(seen == delimiter, seen == _BREAK, out=edges[1:-1])
    return bool(edges[quotes[::2]].all() and edges[quotes[1::2] + 2].all())


def _outside(quotes: NDArray[np.intp], places: NDArray[np.intp]) -> bool:
    return not (np.searchsorted(quotes, places) & 1).any()
