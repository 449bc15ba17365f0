"""Codes that were used here, so that a copy of one is noticed even without a network."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class SeenCodes:
    """Remembers codes in a file, one line each, `<id in hex> <until>`, and forgets those that have expired.

    Several processes may share the file.
    """

    def __init__(self, path: Path, now: float) -> None:
        self._path = path
        self._now = now

    def first_use(self, code_id: bytes, until: int) -> bool:
        """Remember a code durably until this time (seconds since 1970), and say whether it is new."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+", encoding="ascii") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            kept = {known: int(end) for known, end in (line.split() for line in file) if int(end) > self._now}
            if code_id.hex() in kept:
                return False
            kept[code_id.hex()] = until
            # Within the lock and in place: another process waits for this very file.
            file.seek(0)
            file.writelines(f"{known} {end}\n" for known, end in kept.items())
            file.truncate()
            file.flush()
            os.fsync(descriptor)
        return True
