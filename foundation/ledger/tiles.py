"""The tree as published files: C2SP tlog-tiles, and everything that is computed from them.

A tile of level L holds up to 256 hashes of 32 bytes: leaf hashes at level 0, above it the roots of full tiles
of the level below. Entry bundles hold the entries themselves. A path is immutable once a published checkpoint
covers it; the partial tiles of the right edge carry their width in the path.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foundation.ledger.checkpoint import MAXIMUM_CHECKPOINT_BYTES
from foundation.ledger.tree import EMPTY_ROOT, HASH_BYTES, leaf_hash, node_hash, root_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TILE_WIDTH = 256
CHECKPOINT_PATH = "checkpoint"
VERIFIER_KEY_FILE = "log.vkey"
MAXIMUM_ENTRY_BYTES = 0xFFFF

_TILE_BITS = 8
_LENGTH = struct.Struct(">H")
PUBLISHED_PATH = re.compile(
    r"checkpoint|log\.vkey|tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/){0,6}[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?",
    re.ASCII,
)
"""What the files of a log are called."""


class TileError(Exception):
    """A published file that cannot be used.

    Attributes:
        code: stable.
        path: of the file, below the root of the log.
    """

    code = "tile-error"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class TileMissing(TileError):
    """A published file that is not there, or cannot be fetched."""

    code = "tile-missing"


class TileMalformed(TileError):
    """A published file that is not what its path says: of another length, or not a bundle."""

    code = "tile-malformed"


class TileReader(Protocol):
    """Where published files are read from."""

    def read(self, path: str) -> bytes:
        """Return the content of `path`: `checkpoint`, `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.

        Raises:
            TileMissing: it is not there.
        """


@dataclass(frozen=True, slots=True)
class Extension:
    """What growing a tree makes.

    Attributes:
        new_size: leaves of the grown tree.
        root: of the grown tree, 32 bytes.
        tiles: paths and contents of the tiles to write, full and partial.
    """

    new_size: int
    root: bytes
    tiles: tuple[tuple[str, bytes], ...]


class DirectoryTiles:
    """Published files in a folder, which any web server can serve as it is.

    A file appears whole or not at all, and is on the disk when `write` returns.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        """Return the content of a published file.

        Raises:
            TileMissing: it is not there, or the path is not one of a log: nothing else is ever read.
        """
        if not PUBLISHED_PATH.fullmatch(path):
            raise TileMissing(path, "not a path of a log")
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise TileMissing(path, "is missing") from None
        except OSError as error:
            raise TileMissing(path, f"cannot be read: {error.strerror}") from error

    def write(self, path: str, data: bytes) -> None:
        """Put a file in place at once, over one that may be there. Doing it again changes nothing.

        Raises:
            ValueError: the path is not one of a log.
            OSError: it cannot be written; what was there before is still there.
        """
        self.write_many([(path, data)])

    def write_many(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put files in place, each at once, as `write` does; all are on the disk when this returns.

        All are written before the first is synced: the disk then takes them together, and a folder is synced once.

        Raises:
            ValueError, OSError: as for `write`; some of the files may be in place then.
        """
        written: list[tuple[Path, Path]] = []
        folders: dict[Path, None] = {}
        try:
            for path, data in files:
                if not PUBLISHED_PATH.fullmatch(path):
                    raise ValueError(f"{path} is not a path of a log")
                target = self.root / path
                folders.update(dict.fromkeys((target.parent, *_make_folders(target.parent))))
                temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
                written.append((temporary, target))
                with temporary.open("xb") as file:
                    file.write(data)
            for temporary, target in written:
                self._place(temporary, target)
        except BaseException:
            for temporary, _target in written:
                temporary.unlink(missing_ok=True)
            raise
        # A name survives a power cut only when its folder is synced too.
        for folder in folders:
            _sync_folder(folder)

    def _place(self, temporary: Path, target: Path) -> None:
        _sync_file(temporary)
        temporary.replace(target)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Yield whether this folder is ours alone to write to; that ends with the block or the process.

        A database lock is not enough: a writer that was suspended loses its connection, and the lock with it,
        and would wake up to write over the tiles of its successor.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _try_lock(descriptor)
        finally:
            os.close(descriptor)


class CachedTiles:
    """A reader that keeps the files it read last: for one run over one tree, not longer."""

    def __init__(self, reader: TileReader, files: int = 64) -> None:
        self._reader = reader
        self._files = files
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def read(self, path: str) -> bytes:
        """Return the content of a file, from memory if it was read shortly before.

        Raises:
            TileMissing: it is not there.
        """
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        data = self._reader.read(path)
        self._kept[path] = data
        if len(self._kept) > self._files:
            self._kept.popitem(last=False)
        return data


class _Overlay:
    """Tiles not written yet, over those that are."""

    def __init__(self, over: Mapping[str, bytes], reader: TileReader) -> None:
        self._over = over
        self._reader = reader

    def read(self, path: str) -> bytes:
        found = self._over.get(path)
        return self._reader.read(path) if found is None else found


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile: `tile/<L>/<N>[.p/<W>]` (C2SP tlog-tiles, "Merkle Tree").

    Args:
        level: 0 for leaf hashes, up to 63.
        number: of the tile in its level, from 0.
        width: hashes in it; 256 is a full tile.
    """
    return f"tile/{level}/{_numbered(number, width)}"


def bundle_path(number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle: `tile/entries/<N>[.p/<W>]` (C2SP tlog-tiles, "Log entries")."""
    return f"tile/entries/{_numbered(number, width)}"


def tile_width(size: int, level: int, number: int) -> int:
    """Return how many hashes a tile holds in a tree of `size` leaves: 0 to 256 ("Partial Tiles")."""
    return max(0, min(TILE_WIDTH, (size >> _TILE_BITS * level) - number * TILE_WIDTH))


def format_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as a bundle: each after its length as a big-endian uint16 ("Log entries").

    Raises:
        ValueError: an entry is longer than 65,535 bytes.
    """
    parts = []
    for entry in entries:
        if len(entry) > MAXIMUM_ENTRY_BYTES:
            raise ValueError(f"an entry has {len(entry)} bytes, at most {MAXIMUM_ENTRY_BYTES} fit")
        parts += [_LENGTH.pack(len(entry)), entry]
    return b"".join(parts)


def parse_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        ValueError: it ends within an entry.
    """
    entries, at = [], 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise ValueError("the bundle ends within a length")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise ValueError("the bundle ends within an entry")
        entries.append(data[at : at + length])
        at += length
    return entries


def read_tile(reader: TileReader, size: int, level: int, number: int) -> list[bytes]:
    """Return the hashes of a tile as it is in a tree of `size` leaves.

    A log may drop a partial tile once the full one is there; then that one is read.

    Raises:
        TileMissing: it is not there.
        TileMalformed: it has another length than its width says.
    """
    width = tile_width(size, level, number)
    path, data, full = _partial_or_full(
        reader, tile_path(level, number, width), tile_path(level, number), width
    )
    if len(data) != (TILE_WIDTH if full else width) * HASH_BYTES:
        raise TileMalformed(path, f"has {len(data)} bytes")
    return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


def read_bundle(reader: TileReader, size: int, number: int) -> list[bytes]:
    """Return the entries of a bundle as it is in a tree of `size` leaves.

    Raises:
        TileMissing: it is not there.
        TileMalformed: it is not a bundle, or holds another number of entries.
    """
    width = tile_width(size, 0, number)
    path, data, full = _partial_or_full(reader, bundle_path(number, width), bundle_path(number), width)
    try:
        entries = parse_bundle(data)
    except ValueError as error:
        raise TileMalformed(path, str(error)) from error
    if len(entries) != (TILE_WIDTH if full else width):
        raise TileMalformed(path, f"holds {len(entries)} entries")
    return entries[:width]


def hash_at(reader: TileReader, size: int, level: int, index: int) -> bytes:
    """Return the root of a complete subtree: MTH(D[index·2^level : (index+1)·2^level]) (RFC 6962 §2.1).

    Args:
        reader: of the tiles.
        size: leaves of the tree; the subtree must lie within.
        level: height in the binary tree, 0 for a leaf hash.
        index: of the subtree among those of its height.

    Raises:
        ValueError: the subtree is not within the tree.
        TileError: a tile is missing or malformed.
    """
    if level < 0 or index < 0 or (index + 1) << level > size:
        raise ValueError(f"no complete subtree {index} of height {level} in a tree of {size}")
    tile_level, within = divmod(level, _TILE_BITS)
    first = index << within
    number, at = divmod(first, TILE_WIDTH)
    return root_of(read_tile(reader, size, tile_level, number)[at : at + (1 << within)])


def root_from_tiles(reader: TileReader, size: int) -> bytes:
    """Return the root of a tree of `size` leaves, 32 bytes, from the tiles of its right edge.

    Raises:
        TileError: a tile is missing or malformed.
    """
    return _subtree(CachedTiles(reader), size, 0, size) if size else EMPTY_ROOT


def inclusion_proof(reader: TileReader, index: int, size: int) -> tuple[bytes, ...]:
    """Return the audit path of a leaf, from the leaf upwards, each 32 bytes (RFC 6962 §2.1.1).

    Raises:
        ValueError: there is no such leaf.
        TileError: a tile is missing or malformed.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is outside a tree of {size}")
    cached = CachedTiles(reader)
    low, high, path = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(cached, size, middle, high))
            high = middle
        else:
            path.append(_subtree(cached, size, low, middle))
            low = middle
    return tuple(reversed(path))


def consistency_proof(reader: TileReader, size1: int, size2: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `size1` leaves grew into that of `size2` (RFC 6962 §2.1.2).

    Empty when the older tree is the empty one or the same.

    Args:
        reader: of the tiles of the newer tree.
        size1: leaves of the older tree.
        size2: leaves of the newer tree.

    Raises:
        ValueError: the older tree is the larger one.
        TileError: a tile is missing or malformed.
    """
    if not 0 <= size1 <= size2:
        raise ValueError(f"a tree of {size1} cannot grow into one of {size2}")
    if size1 in (0, size2):
        return ()
    cached = CachedTiles(reader)
    low, high, path = 0, size2, []
    while size1 != high:
        middle = low + _split(high - low)
        if size1 <= middle:
            path.append(_subtree(cached, size2, middle, high))
            high = middle
        else:
            path.append(_subtree(cached, size2, low, middle))
            low = middle
    if low:
        # A subtree that starts at 0 is the older tree itself, whose root the verifier has.
        path.append(_subtree(cached, size2, low, high))
    return tuple(reversed(path))


def extend(reader: TileReader, old_size: int, new_leaf_hashes: Sequence[bytes]) -> Extension:
    """Return what a tree becomes when leaves are appended; reads only the right edge of the old tree.

    Args:
        reader: of the tiles of the old tree.
        old_size: its leaves.
        new_leaf_hashes: 32 bytes each, in order.

    Raises:
        TileError: a tile of the right edge is missing or malformed.
    """
    new_size = old_size + len(new_leaf_hashes)
    cached = CachedTiles(reader)
    tiles: dict[str, bytes] = {}
    level, appended = 0, list(new_leaf_hashes)
    while appended:
        number, partial = divmod(old_size >> _TILE_BITS * level, TILE_WIDTH)
        hashes = (read_tile(cached, old_size, level, number) if partial else []) + appended
        appended = []
        for at in range(0, len(hashes), TILE_WIDTH):
            tile = hashes[at : at + TILE_WIDTH]
            tiles[tile_path(level, number + at // TILE_WIDTH, len(tile))] = b"".join(tile)
            if len(tile) == TILE_WIDTH:
                appended.append(root_of(tile))
        level += 1
    return Extension(new_size, root_from_tiles(_Overlay(tiles, cached), new_size), tuple(tiles.items()))


def extend_bundles(
    reader: TileReader, old_size: int, new_entries: Sequence[bytes]
) -> tuple[tuple[str, bytes], ...]:
    """Return paths and contents of the entry bundles to write when entries are appended.

    The bundle at the right edge is carried on only if it is what the level 0 tile says.

    Args:
        reader: of the bundles and tiles of the old tree.
        old_size: its leaves.
        new_entries: at most 65,535 bytes each, in order.

    Raises:
        ValueError: an entry is too long.
        TileError: the bundle or tile at the right edge is missing or malformed, or the two do not agree.
    """
    number, partial = divmod(old_size, TILE_WIDTH)
    entries = list(new_entries)
    if partial and entries:
        kept = read_bundle(reader, old_size, number)
        if [leaf_hash(entry) for entry in kept] != read_tile(reader, old_size, 0, number):
            raise TileMalformed(bundle_path(number, partial), "does not agree with its level 0 tile")
        entries = kept + entries
    bundles = []
    for at in range(0, len(entries), TILE_WIDTH):
        bundle = entries[at : at + TILE_WIDTH]
        bundles.append((bundle_path(number + at // TILE_WIDTH, len(bundle)), format_bundle(bundle)))
    return tuple(bundles)


def _subtree(reader: TileReader, size: int, low: int, high: int) -> bytes:
    width = high - low
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return hash_at(reader, size, level, low >> level)
    middle = low + _split(width)
    return node_hash(_subtree(reader, size, low, middle), _subtree(reader, size, middle, high))


def _split(leaves: int) -> int:
    # The largest power of two smaller than `leaves` (RFC 6962 §2.1).
    return 1 << (leaves - 1).bit_length() - 1


def _partial_or_full(reader: TileReader, path: str, full_path: str, width: int) -> tuple[str, bytes, bool]:
    if width == 0:
        raise TileMissing(path, "lies outside the tree")
    try:
        return path, reader.read(path), False
    except TileMissing:
        if path == full_path:
            raise
        with contextlib.suppress(TileMissing):
            return full_path, reader.read(full_path), True
        raise


def _numbered(number: int, width: int) -> str:
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return name if width == TILE_WIDTH else f"{name}.p/{width}"


def largest_file(path: str) -> int:
    """Return how many bytes a published file can have."""
    if path == CHECKPOINT_PATH:
        return MAXIMUM_CHECKPOINT_BYTES
    if path.startswith("tile/entries/"):
        return TILE_WIDTH * (_LENGTH.size + MAXIMUM_ENTRY_BYTES)
    return TILE_WIDTH * HASH_BYTES


def _make_folders(folder: Path) -> list[Path]:
    # Returns the folders whose listing changed.
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [each.parent for each in missing]


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # Folders cannot be opened for syncing there.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
