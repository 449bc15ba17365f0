"""A file as a source, in whatever format its mapping says or it turns out to have, plain or packed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from connectors.mapping import SourceMapping
from connectors.sources.archive import Member, members
from connectors.sources.dbf import dbf_batches
from connectors.sources.delimited import delimited_slices
from connectors.sources.detect import array_member, format_of, text_layout
from connectors.sources.json_array import array_batches
from connectors.sources.json_lines import line_batches
from connectors.sources.raw import RawBatch, Slice, SourceError
from connectors.sources.workbook import workbook_batches
from connectors.sources.xml_records import xml_batches
from foundation.language import _


class FileSource:
    """One file of a source: a table, several sheets of them, or an archive of such files."""

    def __init__(self, path: Path, mapping: SourceMapping) -> None:
        self._path = path
        self._mapping = mapping
        self._stamp: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """Return the file's name, without its folders."""
        return self._path.name

    def batches(self, batch_rows: int, after: str | None = None) -> Iterator[RawBatch]:
        """Yield the rows of the file from its beginning: files have no cursor (`docs/decisions/0007`).

        Raises:
            SourceError: the file cannot be read (further), or changes while it is read.
        """
        return (piece.taken_apart() for piece in self.slices(batch_rows, after))

    def slices(self, batch_rows: int, after: str | None = None) -> Iterator[Slice]:
        """Yield the same, slice by slice: delimited text is not taken apart here.

        Raises:
            SourceError: as `batches` does.
        """
        path, mapping = self._path, self._mapping
        self._must_be_the_same()
        read_once = path.exists() and not (path.is_file() or path.is_dir())
        if read_once and "detect" in (mapping.format, mapping.encoding, mapping.delimiter):
            raise SourceError(
                _("{file} can be read only once, and has to be looked at first"), file=path.name
            )
        return self._parts(batch_rows)

    def _parts(self, batch_rows: int) -> Iterator[Slice]:
        for member in members(self._path, self._mapping.members):
            yield from _slices(member, self._mapping, batch_rows)
        self._must_be_the_same()

    def _must_be_the_same(self) -> None:
        stamp = _stamp(self._path)
        if self._stamp is not None and self._stamp != stamp:
            raise SourceError(_("{file} changed while it was read"), file=self._path.name)
        self._stamp = stamp

    def digest(self) -> str:
        """Return SHA-256 of the file; the empty string for what is not a file on a disk."""
        if not self._path.is_file():
            return ""
        self._must_be_the_same()
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _slices(member: Member, mapping: SourceMapping, batch_rows: int) -> Iterator[Slice]:
    """Yield the rows of one member by the reader of its format."""
    form: str = mapping.format
    detected: tuple[str, ...] = ()
    if form == "detect":
        form, detected = format_of(member.head(), member.name), ("format",)
    wanted, name, part = mapping.wanted, member.name, member.part
    encoding: str | None = None if mapping.encoding == "detect" else mapping.encoding
    if form == "workbook":
        yield from workbook_batches(
            member,
            wanted=wanted,
            batch_rows=batch_rows,
            sheet=mapping.sheet,
            rows_above=mapping.rows_above,
            detected=detected,
        )
        return
    if form == "dbf":
        yield from dbf_batches(
            member, encoding=encoding, wanted=wanted, batch_rows=batch_rows, detected=detected
        )
        return
    array = mapping.records_member
    if form == "json-array" and array is None and "format" in detected:
        array = array_member(member.head())
        detected += ("records_member",) if array is not None else ()
    delimiter = None if mapping.delimiter == "detect" else mapping.delimiter
    if form == "delimited" and (encoding is None or delimiter is None):
        detected += tuple(
            n for n, stated in (("encoding", encoding), ("delimiter", delimiter)) if stated is None
        )
        encoding, delimiter = text_layout(member, wanted, encoding, delimiter, mapping.rows_above)
    with member.open() as file:
        if form == "json-array":
            yield from array_batches(
                file, name, wanted=wanted, batch_rows=batch_rows, member=array, part=part, detected=detected
            )
        elif form == "json-lines":
            yield from line_batches(
                file, name, wanted=wanted, batch_rows=batch_rows, part=part, detected=detected
            )
        elif form == "xml":
            yield from xml_batches(
                file,
                name,
                wanted=wanted,
                batch_rows=batch_rows,
                record_element=mapping.record_element,
                part=part,
                detected=detected,
            )
        else:
            assert encoding is not None and delimiter is not None
            yield from delimited_slices(
                file,
                name,
                encoding=encoding,
                delimiter=delimiter,
                wanted=wanted,
                batch_rows=batch_rows,
                part=part,
                detected=detected,
                rows_above=mapping.rows_above,
            )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what differs once another writes to the file or puts another in its place; None if there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
