"""Files that stand on a server: seen twice before they are taken, copied here, then read as any file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from connectors.mapping import SourceMapping
from connectors.sources.files import FileSource
from connectors.sources.raw import RawBatch, Slice, SourceError
from foundation.language import _

SETTLE_SECONDS = 2.0
"""Between two looks: a file that differs in the second is still being written."""


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """A file over there.

    Args:
        stamp: what differs once somebody writes to it: time of the last change, or a tag of the content.
    """

    name: str
    size: int
    stamp: str


class Folder(Protocol):
    """Where files stand. Both methods raise SourceError if it cannot be reached."""

    @property
    def name(self) -> str: ...

    def look(self) -> list[Seen]: ...

    def fetch(self, seen: Seen, into: IO[bytes]) -> None: ...


def settled(
    folder: Folder,
    taken: Collection[str] = (),
    sleep: Callable[[float], None] = time.sleep,
    seconds: float = SETTLE_SECONDS,
) -> list[Seen]:
    """Return the files that are not taken yet and that nobody is writing to, in the order of their names.

    Args:
        taken: names of files that were brought in before.
    """
    first = [seen for seen in folder.look() if seen.name not in taken]
    if not first:
        return []
    sleep(seconds)
    second = set(folder.look())
    return [seen for seen in first if seen in second]


class FetchedFile:
    """One file over there as a source. It is copied when it is first read, and the copy goes with this object."""

    def __init__(self, folder: Folder, seen: Seen, mapping: SourceMapping) -> None:
        self._folder = folder
        self._seen = seen
        self._mapping = mapping
        self._copy: FileSource | None = None
        self._kept: tempfile.TemporaryDirectory[str] | None = None

    @property
    def name(self) -> str:
        """Return the file's name over there."""
        return self._seen.name

    def batches(self, batch_rows: int, after: str | None = None) -> Iterator[RawBatch]:
        """Yield the rows of the file from its beginning.

        Raises:
            SourceError: it cannot be fetched, is not the one that was seen, or cannot be read.
        """
        return self._fetched().batches(batch_rows, after)

    def slices(self, batch_rows: int, after: str | None = None) -> Iterator[Slice]:
        """Yield the same, slice by slice.

        Raises:
            SourceError: as `batches` does.
        """
        return self._fetched().slices(batch_rows, after)

    def digest(self) -> str:
        """Return SHA-256 of the file."""
        return self._fetched().digest()

    def _fetched(self) -> FileSource:
        if self._copy is None:
            kept = tempfile.TemporaryDirectory(prefix="zhengtong-")
            path = Path(kept.name) / PurePosixPath(self._seen.name).name
            with path.open("wb") as file:
                self._folder.fetch(self._seen, file)
            if path.stat().st_size != self._seen.size or self._seen not in self._folder.look():
                kept.cleanup()
                raise SourceError(_("{file} changed while it was fetched"), file=self._seen.name)
            self._kept, self._copy = kept, FileSource(path, self._mapping)
        return self._copy
