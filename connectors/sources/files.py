"""A file as a source, in whatever format its mapping says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from connectors.mapping import SourceMapping
from connectors.sources.delimited import read_delimited
from connectors.sources.json_array import read_json_array
from connectors.sources.raw import RawBatch, SourceError
from foundation.language import _


class FileSource:
    """One file of a source."""

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
            SourceError: the file cannot be read (further), or is not the one that was read before.
        """
        path, mapping = self._path, self._mapping
        if self._stamp is not None and self._stamp != _stamp(path):
            raise SourceError(_("{file} changed while it was judged"), file=path.name)
        if path.exists() and not (path.is_file() or path.is_dir()) and mapping.gates is not None:
            raise SourceError(_("{file} can be read only once, and its source has gates"), file=path.name)
        self._stamp = _stamp(path)
        if mapping.format == "json-array":
            return read_json_array(path, wanted=mapping.wanted, batch_rows=batch_rows)
        return read_delimited(
            path,
            encoding=mapping.encoding,
            delimiter=mapping.delimiter,
            wanted=mapping.wanted,
            batch_rows=batch_rows,
        )

    def digest(self) -> str:
        """Return SHA-256 of the file; the empty string for what is not a file on a disk."""
        if not self._path.is_file():
            return ""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what differs once another writes to the file or puts another in its place; None if there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
