"""A file as a source, in whatever format its mapping says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from connectors.mapping import SourceMapping
from connectors.sources.delimited import read_delimited
from connectors.sources.json_array import read_json_array
from connectors.sources.raw import RawBatch


class FileSource:
    """One file of a source."""

    def __init__(self, path: Path, mapping: SourceMapping) -> None:
        self._path = path
        self._mapping = mapping

    @property
    def name(self) -> str:
        """Return the file's name, without its folders."""
        return self._path.name

    def batches(self, batch_rows: int, after: str | None = None) -> Iterator[RawBatch]:
        """Yield the rows of the file from its beginning: files have no cursor (`docs/decisions/0007`).

        Raises:
            SourceError: the file cannot be read (further).
        """
        path, mapping = self._path, self._mapping
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
