"""What every source yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from foundation.errors import DomainError
from foundation.language import _


class SourceError(DomainError):
    """The source as a whole cannot be read; nothing of it was brought in beyond the batches reported."""

    code = "source-unreadable"


class HeaderDiffers(SourceError):
    """The columns of a file are not those of its mapping: somebody has to look before anything is brought in."""

    code = "header-differs"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in which rows changed: from `begin` on, until before `end`; both with a zone."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a part are to be taken apart. Stands in the report, and with each row in quarantine.

    Args:
        format: `delimited`, `workbook`, `json-array`, `json-lines`, `xml`, `dbf`, `records` (rows that had no bytes of
            their own: their original is a JSON object of column → value).
        encoding: of text, as the mapping states it or as it was detected.
        delimiter: of delimited text.
        columns: names of the columns in the order of the part; empty where each row names its own.
        detected: what of the above was detected, not stated.
    """

    format: str
    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    detected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that a mapping takes, each under the names that sources have for it, and those it leaves."""

    names: tuple[tuple[str, ...], ...]
    ignored: frozenset[str] = frozenset()

    def order(self, found: Sequence[str], file: str) -> list[int]:
        """Return for each wanted column its place among the names found.

        Raises:
            HeaderDiffers: a column is missing, unknown or stands there twice; says which.
        """
        place = {name: number for number, name in enumerate(found)}
        order = [next((place[n] for n in names if n in place), None) for names in self.names]
        missing = [names[0] for names, number in zip(self.names, order, strict=True) if number is None]
        known = self.ignored.union(*self.names)
        unknown = [name[:40] for name in found if name not in known]
        twice = [names[0] for names in self.names if sum(name in place for name in names) > 1]
        twice += [name[:40] for name in place if found.count(name) > 1]
        if missing or unknown or twice:
            raise HeaderDiffers(
                _("the header of {file} differs: missing [{missing}], unknown [{unknown}], twice [{twice}]"),
                file=file,
                missing=", ".join(missing),
                unknown=", ".join(unknown),
                twice=", ".join(twice),
            )
        return [number for number in order if number is not None]

    def members(self) -> Mapping[str, int | None]:
        """Return for each name its wanted column, None for a column that is left."""
        found: dict[str, int | None] = dict.fromkeys(self.ignored)
        return found | {name: number for number, names in enumerate(self.names) for name in names}


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
        origins: number of each row in its part.
        columns: one sequence of values per column of the mapping, in its order; None where the source has nothing.
        raw: original bytes of each row.
        bad: rows that could not even be taken apart.
        end: number of the last row read of this part, good or bad.
        part: what the rows stand in where the source has several: member of an archive, sheet, table, page. Never
            a value out of the data.
        layout: how the part was read, as stated or as detected.
        cursor: where a source that can go on (`Source.batches`) goes on behind this batch; None where it cannot.
    """

    origins: Sequence[int]
    columns: Sequence[Sequence[Any]]
    raw: Sequence[bytes]
    bad: Sequence[BadRow]
    end: int
    part: str = ""
    layout: Layout | None = None
    cursor: str | None = None

    def cut(self, rows: int) -> Iterator[RawBatch]:
        """Yield the batch in smaller ones."""
        if len(self.raw) <= rows:
            yield self
            return
        bad = self.bad
        for at in range(0, len(self.raw), rows):
            part = slice(at, at + rows)
            columns = [column[part] for column in self.columns]
            yield replace(self, origins=self.origins[part], columns=columns, raw=self.raw[part], bad=bad)
            bad = ()

    def taken_apart(self) -> RawBatch:
        """Return itself: its rows are in columns."""
        return self

    def original(self, origin_row: int) -> bytes:
        """Return the original bytes of a row of `origins`."""
        return self.raw[self.origins.index(origin_row)]


class Slice(Protocol):
    """Rows that may still have to be taken apart, which another process can do. A batch is one that has been."""

    def cut(self, rows: int) -> Iterator[Slice]:
        """Yield the slice in smaller ones of at most so many rows."""
        ...

    def taken_apart(self) -> RawBatch:
        """Return the rows in columns, and those set aside that could not be taken apart."""
        ...

    def original(self, origin_row: int) -> bytes:
        """Return the original bytes of a row."""
        ...


class Source(Protocol):
    """Where rows come from: a file, a database, an interface, a batch sent to us.

    `name` stands in the run as its origin; it holds no value out of the data and no secret.
    """

    @property
    def name(self) -> str: ...

    def batches(self, batch_rows: int, after: str | None) -> Iterator[RawBatch]:
        """Yield the rows in batches of at most `batch_rows`, each batch of one part.

        A run asks once.

        Args:
            after: cursor of the last batch that was brought in by an earlier run; a source without cursors ignores it.

        Raises:
            SourceError: the source cannot be read (further).
        """
        ...

    def digest(self) -> str:
        """Return what tells this content from another (SHA-256 of a file, hexadecimal), or the empty string."""
        ...


@runtime_checkable
class SlicedSource(Source, Protocol):
    """A source that can give its rows before it takes them apart."""

    def slices(self, batch_rows: int, after: str | None) -> Iterator[Slice]:
        """Yield the same as `batches`, slice by slice."""
        ...
