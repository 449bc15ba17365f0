"""Files of a zip that somebody sent, within limits."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

from foundation.language import _
from license_registry.verifying.errors import FileUnreadable

LONGEST_BYTES: Final = 512 << 20
MOST_FILES: Final = 10_000
ZIP: Final = b"PK\x03\x04"


def read_zip(data: bytes, name: str, longest: int = LONGEST_BYTES) -> dict[str, bytes]:
    """Return the files by their paths.

    Args:
        longest: bytes that they may have together; what a member says of its size is what is unpacked of it at most.

    Raises:
        FileUnreadable: it is no zip, larger than anything that is read, or holds a path twice; `name` is the file's.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            if (
                len(members) > MOST_FILES
                or len(names) != len(members)  # two readers may see two different ones
                or sum(member.file_size for member in members) > longest
            ):
                raise FileUnreadable(_("{file} holds no licence"), file=name)
            return {member.filename: archive.read(member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
    ) as error:
        raise FileUnreadable(_("{file} holds no licence"), file=name) from error


def has_file(data: bytes, path: str) -> bool:
    """Tell whether a zip holds a file of this path; False if it is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return path in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return False
