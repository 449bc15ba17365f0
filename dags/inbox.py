"""The folder a department puts its files in, and where they go once they are brought in."""

from __future__ import annotations

import os
from pathlib import Path

from foundation.settings import Settings

DONE = "done"
UNFINISHED = (".part", ".tmp", ".filepart")
"""Endings under which programs that send files write them until they are whole."""


def inbox(settings: Settings, source: str) -> Path:
    """Return the folder of a source: `<ZHENGTONG_INBOX>/<source>`, or `<home>/inbox/<source>` where that is not set."""
    given = os.environ.get("ZHENGTONG_INBOX")
    return (Path(given) if given else settings.home / "inbox") / source


def waiting(folder: Path) -> list[str]:
    """Return the names of the files that wait in a folder, in the order they are to be brought in.

    Hidden files and those still being sent do not wait yet. A folder that is not there holds nothing.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(UNFINISHED)
    )


def mark(path: Path) -> str:
    """Return what tells a file from a later one of the same name: size in bytes and time of change in ns."""
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def file_away(folder: Path, name: str, marked: str, run_id: str) -> str | None:
    """Move a file that was brought in to `done/<run>/`, and return where it is, relative to the folder.

    Again after dying in the middle, it finds the file moved already. None: meanwhile another file of the same name
    has come, which stays for the next time.
    """
    target = folder / DONE / run_id / name
    if not target.exists():
        source = folder / name
        if mark(source) != marked:
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    return target.relative_to(folder).as_posix()
