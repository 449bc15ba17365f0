"""The object store: licences as files, written once, read back whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from foundation.errors import DomainError
from foundation.language import _
from foundation.settings import Settings
from license_registry.store.write_through import write_through


class StoreFull(DomainError):
    code = "store-full"


class StoreUnavailable(DomainError):
    code = "store-unavailable"


class ObjectMissing(DomainError):
    code = "object-missing"


class ObjectExists(DomainError):
    """Something else stands under the key: an object is never replaced."""

    code = "object-exists"


class StoreWithoutLock(DomainError):
    """Objects are to be retained, in a bucket that cannot."""

    code = "store-without-lock"


class ObjectAltered(DomainError):
    """What the store gave back is not what was put into it."""

    code = "object-altered"


WRITERS = 8
"""Files that are made at once."""

WORKING = "issuing/"
"""Objects under this are needed for a while only, and never retained."""

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class ObjectStore(Protocol):
    """Puts and gets whole objects under keys such as `licences/<identifier>.sdjwt`.

    A key has parts of letters, digits, `.`, `_` and `-`, none of which begins with a dot; anything else is a
    ValueError.
    """

    def put(self, key: str, data: bytes) -> None:
        """Store durably, once: the same bytes again change nothing, other bytes raise ObjectExists.

        If this raises StoreFull, nothing new stands under the key.
        """

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Store several durably, each as `put` does; of one that fails, others may be stored or not."""

    def get(self, key: str) -> bytes:
        """Return an object, or raise ObjectMissing."""

    def delete(self, key: str) -> None:
        """Remove an object; no error if it is not there."""


class FileStore:
    """Objects as files under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        temporary = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: it fails where something stands already.
            os.link(temporary, path)
            temporary.unlink()
            for folder in (path.parent, self._root):
                _make_names_durable(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                require_same(self.get(key), data)
                return
            raise _refused(error) from error

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """As `put`, but the disk is waited for twice in all: once for what is in the files, once for their names."""
        temporary = {key: self._path(key).with_name(f".{secrets.token_hex(8)}.part") for key, _ in objects}
        try:
            for folder in {path.parent for path in temporary.values()}:
                folder.mkdir(parents=True, exist_ok=True)
            # Making a file is waiting for the file system's journal, mostly: several wait as long as one.
            with ThreadPoolExecutor(WRITERS) as several:
                for _done in several.map(lambda each: temporary[each[0]].write_bytes(each[1]), objects):
                    pass
            write_through(list(temporary.values()), self._root)
            for key, data in objects:
                try:
                    os.link(temporary[key], self._path(key))
                except FileExistsError:
                    require_same(self.get(key), data)
                temporary[key].unlink()
            write_through([path.parent for path in temporary.values()], self._root)
        except OSError as error:
            raise _refused(error) from error
        finally:
            for path in temporary.values():
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(_("the store does not hold the object")) from error
        except OSError as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


def checked(key: str) -> str:
    """Return a key, or raise ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError("not a key of the object store")
    return key


def require_same(stored: bytes, data: bytes) -> None:
    """Raise ObjectExists where something else is stored."""
    if stored != data:
        raise ObjectExists(_("an object in the store is never replaced"))


def _refused(error: OSError) -> DomainError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StoreFull(_("nothing was stored; the request may be repeated later"))
    return StoreUnavailable(_("nothing was stored; the request may be repeated later"))


def _make_names_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_store(settings: Settings) -> ObjectStore:
    """Return the configured store."""
    if settings.object_store == "files":
        return FileStore(settings.objects_folder)
    # It brings much along that files do not need.
    from license_registry.store.s3 import open_s3

    return open_s3(settings)
