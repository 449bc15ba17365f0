"""What every source yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.errors import DomainError


class SourceError(DomainError):
    """The source as a whole cannot be read; nothing of it was brought in beyond the batches reported."""

    code = "source-unreadable"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that goes to quarantine: where it stood, what is wrong with it, and its original bytes.

    Args:
        origin_row: number of the row in its file, the first data row being 1.
        field: field of the register at fault, None where it is the row as a whole.
        reason: stable kebab-case code.
    """

    origin_row: int
    field: str | None
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A batch of rows as a source gives them.

    Args:
        origins: number of each row.
        columns: one sequence of values per field of the mapping, in its order; None where the source has nothing.
        raw: original bytes of each row.
        bad: rows that could not even be taken apart.
        end: number of the last row read, good or bad.
    """

    origins: Sequence[int]
    columns: Sequence[Sequence[Any]]
    raw: Sequence[bytes]
    bad: Sequence[BadRow]
    end: int
