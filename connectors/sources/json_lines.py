"""JSON lines: one object on each line, in constant memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from connectors.sources.json_array import Unfit, object_batches, strict_decoder
from connectors.sources.raw import Layout, RawBatch, SourceError, Wanted
from foundation.language import _

LONGEST_LINE = 1 << 20


def line_batches(
    file: BinaryIO,
    name: str,
    *,
    wanted: Wanted,
    batch_rows: int,
    part: str = "",
    detected: tuple[str, ...] = (),
) -> Iterator[RawBatch]:
    """Yield batches of the lines; what is bad about an element of an array is bad about a line (`array_batches`).

    A line that is no JSON is `malformed-row` and costs only itself. Blank lines are no rows.

    Raises:
        SourceError: the file is empty, or a line never ends.
    """
    layout = Layout("json-lines", "utf-8", detected=detected)
    yield from object_batches(_lines(file, name), layout, wanted, batch_rows, part)


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[Any, str]]:
    decoder = strict_decoder()
    first = True
    for line in iter(lambda: file.readline(LONGEST_LINE), b""):
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise SourceError(_("{file} holds a row of more than {size} bytes"), file=name, size=LONGEST_LINE)
        text = line.removeprefix(b"\xef\xbb\xbf" if first else b"").decode("utf-8", "surrogateescape").strip()
        first = False
        if text:
            yield _value(decoder, text), text
    if first:
        raise SourceError(_("{file} is empty"), file=name)


def _value(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except RecursionError:
        return Unfit.NESTED_TOO_DEEPLY
    except ValueError:
        return Unfit.MALFORMED
