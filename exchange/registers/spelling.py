"""Rows of the registers as binary COPY takes them, spelled many at once."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from operator import add
from typing import NamedTuple

import numpy as np

COPIED = (
    "subject, content, sealed, fingerprint, origin_row, provenance,"
    " source, run_id, origin_part, version, valid_from"
)
"""The columns, in the order in which a row is spelled."""
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_LENGTH = struct.Struct(">i")
_FIRST = np.dtype(  # fields of a row; subject; length of the content and version of its form
    [("fields", ">i2"), ("size", ">i4"), ("subject", "V16"), ("length", ">i4"), ("form", "u1")]
)
_MARK = np.dtype([("size", ">i4"), ("mark", "V16"), ("row_size", ">i4"), ("row", ">i8")])


class StagedRow(NamedTuple):
    """A row ready for the merge: subject (blind index), clear part as JSON, sealed part, fingerprint, origin.

    Args:
        transforms: JSON of field → codes of what normalising changed in it; None where nothing.
    """

    subject: bytes
    content: bytes
    sealed: bytes | None
    fingerprint: bytes
    origin_row: int
    transforms: bytes | None = None


class Speller:
    """Spells rows of a batch as binary COPY takes them, each its subject's first version.

    Many rows at once, column by column, since a call for each value of a row costs more than all else about it.
    """

    def __init__(self, source: str, run_id: uuid.UUID, part: str, now: datetime) -> None:
        origin, place = source.encode(), part.encode()
        self._tail = b"".join(
            (
                _LENGTH.pack(len(origin)) + origin,
                _LENGTH.pack(16) + run_id.bytes,
                _LENGTH.pack(len(place)) + place,
                struct.pack(">ii", 4, 1),
                struct.pack(">iq", 8, (now - _EPOCH) // timedelta(microseconds=1)),
            )
        )

    def spell(
        self,
        subjects: Sequence[bytes],
        contents: Sequence[bytes],
        sealed: Sequence[bytes | None],
        fingerprints: Sequence[bytes],
        origin_rows: Sequence[int],
        transforms: Mapping[int, bytes],
    ) -> list[bytes]:
        """Return each row spelled; the parameters are those of `StagedRow`, for all rows.

        Args:
            transforms: by origin row.
        """
        rows = len(subjects)
        first = np.empty(rows, _FIRST)
        first["fields"], first["size"], first["form"] = 11, 16, 1
        first["subject"] = np.frombuffer(b"".join(subjects), "V16")
        first["length"] = np.fromiter(map(len, contents), np.int64, rows) + 1
        mark = np.empty(rows, _MARK)
        mark["size"], mark["row_size"], mark["row"] = 16, 8, origin_rows
        mark["mark"] = np.frombuffer(b"".join(fingerprints), "V16")
        if None in sealed:
            hidden = [_NULL if one is None else _LENGTH.pack(len(one)) + one for one in sealed]
        else:
            lengths = np.fromiter(map(len, filter(None, sealed)), ">i4", rows)
            hidden = list(map(add, _cut(lengths.tobytes(), 4), filter(None, sealed)))
        plain = _NULL + self._tail
        rest = [plain] * rows
        if transforms:
            rest = [self._provenance(transforms[row]) if row in transforms else plain for row in origin_rows]
        heads, marks = _cut(first.tobytes(), _FIRST.itemsize), _cut(mark.tobytes(), _MARK.itemsize)
        return list(map(b"".join, zip(heads, contents, hidden, marks, rest, strict=True)))

    def _provenance(self, transforms: bytes) -> bytes:
        provenance = b'{"transforms":%b}' % transforms
        return _LENGTH.pack(len(provenance) + 1) + b"\1" + provenance + self._tail


@dataclass(frozen=True, slots=True)
class Spelled:
    """The rows of a batch as COPY takes them, in the order of their subjects: the merge walks its index once.

    Each part is one piece, so that it goes from process to process at the cost of a copy.

    Args:
        subjects: 16 bytes for each row.
        fingerprints: likewise.
        rows: one behind the other.
        ends: where each row ends in `rows`.
    """

    subjects: bytes
    fingerprints: bytes
    rows: bytes
    ends: Sequence[int]

    @classmethod
    def of(cls, subjects: Sequence[bytes], fingerprints: Sequence[bytes], rows: Sequence[bytes]) -> Spelled:
        """Put rows together, in the order of the first half of their subjects: it is as good as random."""
        joined = b"".join(subjects)
        order = np.argsort(np.frombuffer(joined, ">u8")[::2], kind="stable").tolist()
        return cls(
            b"".join([subjects[row] for row in order]),
            b"".join([fingerprints[row] for row in order]),
            b"".join([rows[row] for row in order]),
            list(accumulate([len(rows[row]) for row in order])),
        )

    def __len__(self) -> int:
        return len(self.ends)

    def each_subject(self) -> list[bytes]:
        """Return the subjects one by one."""
        return _cut(self.subjects)

    def each(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield subject, fingerprint and row."""
        starts = [0, *self.ends]
        rows = (self.rows[start:end] for start, end in zip(starts, self.ends, strict=False))
        yield from zip(_cut(self.subjects), _cut(self.fingerprints), rows, strict=True)


def _cut(joined: bytes, size: int = 16) -> list[bytes]:
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def spelled(rows: Sequence[StagedRow], speller: Speller) -> Spelled:
    """Spell rows."""
    if not rows:
        return Spelled.of((), (), ())
    subjects, contents, sealed, marks, origins, _ = zip(*rows, strict=True)
    transforms = {row.origin_row: row.transforms for row in rows if row.transforms is not None}
    return Spelled.of(subjects, marks, speller.spell(subjects, contents, sealed, marks, origins, transforms))
