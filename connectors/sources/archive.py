"""What a file holds: itself, or the members of a gz or zip. Nothing is ever unpacked to a disk."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from connectors.sources.raw import SourceError
from foundation.language import _

LARGEST_MEMBER = 16 << 30
"""Bytes of one member, unpacked."""
LARGEST_RATIO = 200
"""Bytes unpacked per byte packed: text of registers gives 5 to 30, a bomb a thousand."""
RATIO_FROM = 32 << 20
"""Unpacked bytes from which on the ratio is looked at: a small file of one repeated row is no bomb."""
MOST_MEMBERS = 10_000

HEAD_BYTES = 1 << 16
"""Bytes of the beginning that tell what a file is."""

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_NESTED = (_GZIP, _ZIP, _EMPTY_ZIP, b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_LEADS_OUT = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")
_LEFT_BY_DESKTOPS = re.compile(r"(?:^|/)(?:__MACOSX/|\.DS_Store$|Thumbs\.db$)")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile, OSError)


@dataclass(frozen=True, slots=True)
class Member:
    """One thing to be read.

    Args:
        name: for messages: of the file, and of the member within a zip.
        part: of the batches that come of it (`RawBatch.part`).
        open: opens it at its beginning, as often as wanted.
        path: where it lies on a disk, packed in nothing; None for what is packed.
    """

    name: str
    part: str
    open: Callable[[], BinaryIO]
    path: Path | None = None

    def head(self) -> bytes:
        """Return the beginning, `HEAD_BYTES` of it if there are as many."""
        with self.open() as file:
            return file.read(HEAD_BYTES)


def members(path: Path, patterns: Sequence[str] = ("*",)) -> Iterator[Member]:
    """Yield what a file holds: itself, the content of a gz, or the members of a zip that fit a pattern.

    Raises:
        SourceError: the file cannot be opened, the archive is broken, encrypted, holds another archive, names that
            lead out of it or more than it may, or no member that is asked for.
    """
    itself = Member(path.name, "", lambda: _open(path), path)
    if path.exists() and not path.is_file():
        yield itself  # a pipe gives its bytes but once, and a folder is told when it is opened
        return
    head = itself.head()
    if head.startswith(_GZIP):
        size = path.stat().st_size
        member = Member(path.name, "", lambda: _guarded(cast(BinaryIO, gzip.GzipFile(path)), path.name, size))
        _refuse_nested(member)
        yield member
    elif head.startswith((_ZIP, _EMPTY_ZIP)):
        with _unpacking(path.name), zipfile.ZipFile(path) as archive:
            if is_workbook(archive):
                _check_entries(archive, path.name)
                yield itself
            else:
                yield from _members_of(archive, path, patterns)
    else:
        yield itself


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Tell a workbook, which is a zip by itself, from an archive of files: by the names OOXML and ODF prescribe."""
    names = set(archive.namelist())
    return {"[Content_Types].xml", "xl/workbook.xml"} <= names or {"mimetype", "content.xml"} <= names


def check_workbook(file: BinaryIO, name: str) -> None:
    """Refuse a zipped workbook that unpacks beyond measure.

    Raises:
        SourceError: it does, or is no whole zip.
    """
    with _unpacking(name), zipfile.ZipFile(file) as archive:
        _check_entries(archive, name)
    file.seek(0)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(
            _("{file} cannot be opened: {reason}"), file=path.name, reason=error.strerror
        ) from error


def _members_of(archive: zipfile.ZipFile, path: Path, patterns: Sequence[str]) -> Iterator[Member]:
    _check_entries(archive, path.name)
    found = False
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        name = _name(entry)
        if entry.is_dir() or _LEFT_BY_DESKTOPS.search(name):
            continue
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            continue
        found = True
        member = Member(f"{path.name}/{name}", name, _opener(archive, entry, f"{path.name}/{name}"))
        _refuse_nested(member)
        yield member
    if not found:
        raise SourceError(
            _("{file} holds no member like {patterns}"), file=path.name, patterns=", ".join(patterns)
        )


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        with _unpacking(name):
            return _guarded(cast(BinaryIO, archive.open(entry)), name, entry.compress_size)

    return opened


def _name(entry: zipfile.ZipInfo) -> str:
    """Return a member's name. Without the flag for UTF-8, Chinese packers write GBK, which zipfile read as cp437."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return entry.filename


def _check_entries(archive: zipfile.ZipFile, name: str) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise SourceError(_("{file} holds more than {count} members"), file=name, count=MOST_MEMBERS)
    for entry in entries:
        if _LEADS_OUT.search(_name(entry)) or _LEADS_OUT.search(entry.orig_filename):
            raise SourceError(_("{file} holds a name that leads out of it"), file=name)
        if entry.flag_bits & 1:
            raise SourceError(_("{file} is protected by a password"), file=name)
        _check_size(entry.file_size, entry.compress_size, name)


def _check_size(unpacked: int, packed: int, name: str) -> None:
    if unpacked > LARGEST_MEMBER or (unpacked > RATIO_FROM and unpacked > packed * LARGEST_RATIO):
        raise SourceError(_("{file} unpacks to more than it may"), file=name)


def _refuse_nested(member: Member) -> None:
    head = member.head()
    if head[257:262] == b"ustar" or (head.startswith(_NESTED) and not _is_zipped_workbook(member, head)):
        raise SourceError(_("{file} holds an archive within an archive"), file=member.name)


def _is_zipped_workbook(member: Member, head: bytes) -> bool:
    if not head.startswith(_ZIP):
        return False
    with member.open() as file, _unpacking(member.name), zipfile.ZipFile(file) as archive:
        return is_workbook(archive)


def _guarded(file: BinaryIO, name: str, packed: int) -> BinaryIO:
    return io.BufferedReader(_Guarded(file, name, packed), 1 << 16)


class _Guarded(io.RawIOBase):
    """An unpacking stream that tells its faults as ours, and stops once it gives more than it may."""

    def __init__(self, file: BinaryIO, name: str, packed: int) -> None:
        self._file = file
        self._name = name
        self._packed = packed
        self._most = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _unpacking(self._name):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        with _unpacking(self._name):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._most = max(self._most, self._file.tell())
        _check_size(self._most, self._packed, self._name)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def _unpacking(name: str) -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, NotImplementedError, RuntimeError) as error:
        raise SourceError(_("{file} is not a whole archive"), file=name) from error
