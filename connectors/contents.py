"""Writing the rows of a batch as JSON objects, from their columns, without an object for each on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import cast

import orjson

from connectors.normalise import Texts


def contents(
    columns: Mapping[str, Texts], missing: Mapping[str, int], names: Sequence[str], rows: int
) -> list[bytes]:
    """Return each row as a JSON object of these fields in their order, without those that have no value.

    The bytes are those of `orjson.dumps`, for texts without control characters, of which the checks leave none.

    Args:
        missing: field → rows that have no value.
    """
    pieces: list[Iterable[str]] = []
    constant = "{"
    # A field that every row has needs no comma of its own: those before it end with one, those behind begin with one.
    anchor = next((at for at, name in enumerate(names) if not missing[name]), len(names))
    for at, name in enumerate(names):
        texts = columns[name]
        if missing[name] == rows:
            continue
        left, right = ("," if at > anchor else ""), ("," if at < anchor else "")
        key = orjson.dumps(name).decode()
        texts = _escaped(texts)
        if missing[name]:
            found = ["" if text is None else f'{left}{key}:"{text}"{right}' for text in texts]
            pieces += [repeat(constant), found] if constant else [found]
            constant = ""
        else:
            pieces += [repeat(f'{constant}{left}{key}:"'), cast(list[str], texts)]
            constant = f'"{right}'
    if not pieces:
        return [b"{}"] * rows
    if anchor == len(names):
        return [("".join(row).rstrip(",") + "}").encode() for row in zip(*pieces, strict=False)]
    pieces.append(repeat(f"{constant}}}"))
    # Pieces joined: a third less than one template filled in for each row.
    return [text.encode() for text in map("".join, zip(*pieces, strict=False))]


def _escaped(texts: Texts) -> Texts:
    """Return texts as they stand between quotes in JSON; most columns have nothing that would be written otherwise."""
    together = "".join(filter(None, texts))
    if '"' not in together and "\\" not in together:
        return texts
    return [text and orjson.dumps(text).decode()[1:-1] for text in texts]
