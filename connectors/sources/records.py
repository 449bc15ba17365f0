"""Rows that have no bytes of their own: records of a database or an interface, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from connectors.sources.raw import BadRow, Layout, RawBatch
from foundation.civil import CHINA


@dataclass(frozen=True, slots=True)
class Record:
    """One row.

    Args:
        values: in the order of the mapping's columns.
        raw: JSON object of column → value, as it came.
        fault: why it cannot be used; None if it can.
        cursor: where to go on behind it; None where the source cannot.
    """

    values: Sequence[str | None]
    raw: bytes
    fault: str | None = None
    cursor: str | None = None


def record(names: Sequence[str], values: Sequence[Any], cursor: str | None = None) -> Record:
    """Return a row of values as they came from a driver or a decoder."""
    fault: str | None = None
    texts: list[str | None] = []
    for value in values:
        try:
            texts.append(as_text(value))
        except Unfit as error:
            fault = fault or str(error)
            texts.append(None)
    raw = orjson.dumps(dict(zip(names, texts, strict=True))) if fault is None else _as_it_came(names, values)
    return Record(texts, raw, fault, cursor)


_MOST_DIGITS = 400
"""Of a number written out: beyond all doubles, and an exponent of nine digits would fill the memory."""


class Unfit(ValueError):
    """A value that is no text and has none; the message is the reason for quarantine."""


def as_text(value: Any) -> str | None:
    """Return a value as text, exactly: numbers without exponent, days and times by ISO 8601, moments in China's time.

    Raises:
        Unfit: bytes, lists, objects, numbers that are none, text that is not Unicode.
    """
    match value:
        case None:
            return None
        case str():
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise Unfit("undecodable-bytes")
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | Decimal():
            number = Decimal(repr(value)) if isinstance(value, float) else value
            if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
                raise Unfit("not-a-number")
            return format(number, "f")
        case datetime():
            return (value if value.tzinfo is None else value.astimezone(CHINA)).isoformat()
        case date() | time():
            return value.isoformat()
        case UUID() | timedelta():
            return str(value)
        case bytes() | bytearray() | memoryview():
            raise Unfit("binary-value")
    raise Unfit("nested-value")


def _as_it_came(names: Sequence[str], values: Sequence[Any]) -> bytes:
    return orjson.dumps(dict(zip(names, map(_shown, values), strict=True)), default=str)


def _shown(value: Any) -> Any:
    """Return what JSON can hold of a value: bytes in hexadecimal."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(_shown(name)): _shown(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(member) for member in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value


def batched(rows: Iterable[Record], batch_rows: int, columns: Sequence[str], part: str) -> Iterator[RawBatch]:
    """Yield rows in batches, numbered from 1 on; the cursor of a batch is that of its last row."""
    layout = Layout("records", columns=tuple(columns))
    incoming = iter(rows)
    end = 0
    while batch := list(islice(incoming, batch_rows)):
        numbered = list(enumerate(batch, end + 1))
        good = [(number, row) for number, row in numbered if row.fault is None]
        bad = [BadRow(n, None, row.fault, row.raw) for n, row in numbered if row.fault is not None]
        turned: list[Sequence[Any]] = [*zip(*(row.values for _, row in good), strict=True)]
        end += len(batch)
        yield RawBatch(
            [number for number, _ in good],
            turned or [()] * len(columns),
            [row.raw for _, row in good],
            bad,
            end,
            part,
            layout,
            batch[-1].cursor,
        )
