"""Batches sent to us, as they arrived: JSON lines, or a stream of Arrow IPC."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

from connectors.mapping import SourceMapping
from connectors.sources.json_row import json_rows
from connectors.sources.raw import BadRow, Layout, RawBatch, SourceError
from foundation.language import _

LONGEST_LINE = 1 << 20
"""Bytes of one JSON line. Longer: the body is not what its media type says."""


class SentLines:
    """JSON lines: one object of column → value in each line; blank lines are no rows."""

    def __init__(self, body: BinaryIO, mapping: SourceMapping, name: str, digest: str) -> None:
        self._body = body
        self._mapping = mapping
        self._digest = digest
        self.name = name

    def digest(self) -> str:
        """Return SHA-256 of the body."""
        return self._digest

    def batches(self, batch_rows: int, after: str | None) -> Iterator[RawBatch]:
        """Yield the lines from the beginning.

        Raises:
            SourceError: a line never ends.
        """
        self._body.seek(0)
        read = json_rows(self._mapping.wanted)
        width = len(self._mapping.columns)
        layout = Layout("json-lines", "utf-8")
        lines = self._lines()
        end = 0
        while batch := list(islice(lines, batch_rows)):
            origins: list[int] = []
            rows: list[list[Any]] = []
            raw: list[bytes] = []
            bad: list[BadRow] = []
            for number, line in enumerate(batch, end + 1):
                values = read(line)
                if isinstance(values, str):
                    bad.append(BadRow(number, None, values, line))
                else:
                    origins.append(number)
                    rows.append(values)
                    raw.append(line)
            end += len(batch)
            columns: list[Sequence[Any]] = [*zip(*rows, strict=True)] if rows else [()] * width
            yield RawBatch(origins, columns, raw, bad, end, layout=layout)

    def _lines(self) -> Iterator[bytes]:
        for line in iter(lambda: self._body.readline(LONGEST_LINE), b""):
            if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
                raise SourceError(
                    _("{file} holds a row of more than {size} bytes"), file=self.name, size=LONGEST_LINE
                )
            line = line.strip()
            if line:
                yield line


class SentArrow:
    """A stream of Arrow IPC; each row's original is kept as a JSON object of column → value."""

    def __init__(self, body: BinaryIO, mapping: SourceMapping, name: str, digest: str) -> None:
        self._body = body
        self._mapping = mapping
        self._digest = digest
        self.name = name

    def digest(self) -> str:
        """Return SHA-256 of the body."""
        return self._digest

    def batches(self, batch_rows: int, after: str | None) -> Iterator[RawBatch]:
        """Yield the record batches, those that are too large in parts.

        Raises:
            SourceError: the library for Arrow is not installed, or the body is no whole stream of Arrow IPC.
            HeaderDiffers: its columns are not those of the mapping.
        """
        try:
            import pyarrow as arrow
        except ImportError as error:
            raise SourceError(_("Arrow cannot be read here: install zhengtong[arrow]")) from error
        self._body.seek(0)
        layout = Layout("records", "utf-8")
        end = 0
        try:
            with arrow.ipc.open_stream(self._body) as stream:
                names = list(stream.schema.names)
                order = self._mapping.wanted.order(names, self.name)
                for whole in stream:
                    whole.validate(full=True)
                    for start in range(0, whole.num_rows, batch_rows):
                        part = whole.slice(start, batch_rows)
                        columns = [[_plain(value) for value in column.to_pylist()] for column in part.columns]
                        raw = [
                            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False).encode()
                            for row in zip(*columns, strict=True)
                        ]
                        origins = list(range(end + 1, end + part.num_rows + 1))
                        end += part.num_rows
                        yield RawBatch(origins, [columns[i] for i in order], raw, [], end, layout=layout)
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(_("{file} is not a whole stream of Arrow IPC"), file=self.name) from error


def _plain(value: Any) -> Any:
    """Return a value as JSON would have brought it."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return str(value)
