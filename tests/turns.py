"""One at a time: what several processes of a test run would otherwise install or build at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zhengtong-tests"


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Wait until no other process holds the turn of this name, and hold it; who dies gives it back."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
