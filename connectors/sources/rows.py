"""Rows that have no line of text of their own: their original is a JSON object of column → value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from connectors.sources.raw import BadRow, Layout, RawBatch

Row = Sequence[Any] | BadRow


def record_batches(
    rows: Iterable[Row], layout: Layout, order: Sequence[int], batch_rows: int, part: str
) -> Iterator[RawBatch]:
    """Yield batches of rows whose cells are in the order of `layout.columns`.

    Args:
        rows: each as its cells, or set aside; a bad row's number is given here.
        order: place of each wanted column among the cells.
    """
    remaining = iter(rows)
    number = 0
    columns = layout.columns
    while batch := list(islice(remaining, batch_rows)):
        bad: list[BadRow] = []
        origins: list[int] = []
        raw: list[bytes] = []
        good: list[Sequence[Any]] = []
        before, number = number, number + len(batch)
        for origin, row in enumerate(batch, before + 1):
            if isinstance(row, BadRow):
                bad.append(BadRow(origin, row.field, row.reason, row.raw))
                continue
            origins.append(origin)
            raw.append(orjson.dumps(dict(zip(columns, row, strict=True))))
            good.append(row)
        turned = list(zip(*good, strict=True)) if good else [()] * len(columns)
        yield RawBatch(origins, [turned[i] for i in order], raw, bad, number, part, layout)
