"""The key store outlives deaths at any file operation, full disks, and rivals in other processes and threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foundation.signing import (
    Algorithm,
    KeyState,
    KeyStore,
)
from tests.foundation.signing.stores import (
    DAY,
    MASTER,
    NOW,
    reopened,
    states,
    token,
    verifies,
)


class Death(BaseException):
    """What ends the process between two file operations."""


class FullDisk(OSError):
    """What a write meets on a full disk; the process lives on."""


@contextmanager
def failing(at: int, failure: type[BaseException] | None, *, after: bool = False) -> Iterator[list[str]]:
    """Let the file operation of this number fail, before or after it took effect; collect the names of all."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            done.append(name)
            fails = failure is not None and len(done) - 1 == at
            if fails and not after:
                raise failure()
            result = real(*arguments, **named)
            if fails:
                raise failure()
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fchmod", "fdopen", "fsync", "replace"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield done


def prepare(directory: Path) -> tuple[str, set[str]]:
    """Make a folder with a retired, an active and a next key; return a token of the active, and all kids."""
    made = KeyStore(directory, MASTER)
    made.ensure_active("answer", Algorithm.ES256, NOW)
    made.rotate("answer", NOW + DAY)
    return token(made), {record.kid for record in made.records()}


def without_next(directory: Path) -> tuple[str, set[str]]:
    made = KeyStore(directory, MASTER)
    made.ensure_active("answer", Algorithm.ES256, NOW)
    return token(made), {record.kid for record in made.records()}


@pytest.mark.parametrize(("begin", "writes"), [(prepare, 3), (without_next, 4)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_file_operation_of_a_rotation_leaves_a_store_that_works(
    tmp_path: Path, begin: Callable[[Path], tuple[str, set[str]]], writes: int, after: bool
) -> None:
    early, kids = begin(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "whole")
    whole = KeyStore(tmp_path / "whole", MASTER)
    with failing(-1, None) as done:
        whole.rotate("answer", NOW + 2 * DAY)
    assert done.count("replace") == writes
    assert done.count("fsync") == 2 * writes  # of each file and of the folder that names it
    seen = set()
    for at in range(len(done)):
        folder = tmp_path / f"died-{at}"
        shutil.copytree(tmp_path / "original", folder)
        dying = KeyStore(folder, MASTER)
        with failing(at, Death, after=after), pytest.raises(Death):
            dying.rotate("answer", NOW + 2 * DAY)
        opened = KeyStore(folder, MASTER)
        left = states(opened)
        seen.add(tuple(left))
        assert left.count("active") == 1
        assert left.count("next") <= 1
        assert kids <= {record.kid for record in opened.records()}
        assert verifies(opened, early)
        assert verifies(opened, token(opened))
        before = opened.signer("answer").kid
        # The next rotation finishes what was left undone, on disk too.
        newest = opened.rotate("answer", NOW + 3 * DAY)
        assert newest.kid != before
        on_disk = [json.loads(path.read_bytes())["state"] for path in folder.glob("*.key.json")]
        assert (on_disk.count("active"), on_disk.count("next")) == (1, 1)
        assert verifies(reopened(opened), early)
    assert len(seen) > 1  # some died before the new key was active, some after


def test_a_full_disk_at_any_file_operation_fails_the_rotation_and_not_the_running_store(
    tmp_path: Path,
) -> None:
    early, _ = prepare(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "whole")
    whole = KeyStore(tmp_path / "whole", MASTER)
    with failing(-1, None) as done:
        whole.rotate("answer", NOW + 2 * DAY)
    for at in range(len(done)):
        folder = tmp_path / f"full-{at}"
        shutil.copytree(tmp_path / "original", folder)
        running = KeyStore(folder, MASTER)
        with failing(at, FullDisk), pytest.raises(FullDisk):
            running.rotate("answer", NOW + 2 * DAY)
        assert verifies(running, early)
        assert verifies(running, token(running))
        running.rotate("answer", NOW + 3 * DAY)
        assert states(running).count("active") == states(reopened(running)).count("active") == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_while_the_first_key_is_made_leaves_none_or_the_key(tmp_path: Path, after: bool) -> None:
    outcomes = set()
    for at in range(7):
        folder = tmp_path / str(at)
        dying = KeyStore(folder, MASTER)
        with failing(at, Death, after=after), pytest.raises(Death):
            dying.ensure_active("answer", Algorithm.ES256, NOW)
        opened = KeyStore(folder, MASTER)
        outcomes.add(len(opened.records()))
        opened.ensure_active("answer", Algorithm.ES256, NOW)
        assert states(reopened(opened)) == ["active"]
    assert outcomes == {0, 1}


ROTATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from foundation.signing import Algorithm, KeyStore
store = KeyStore(Path(sys.argv[1]), bytes(range(32)))
print("ready", flush=True)
sys.stdin.readline()
store.ensure_active("answer", Algorithm.ES256, datetime(2025, 1, 1, tzinfo=UTC))
for _ in range(8):
    store.rotate("answer", datetime(2025, 1, 2, tzinfo=UTC))
"""


def test_two_processes_that_rotate_at_once_leave_one_active_key_and_lose_none(store: KeyStore) -> None:
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", ROTATE, str(store.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[3],
        )
        for _ in range(2)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        rival.communicate(timeout=60)
        assert rival.returncode == 0
    assert store.reload()
    # One first key, made by whoever came first, and sixteen rotations.
    assert states(store) == ["active", "next", *["retired"] * 16]
    moments = sorted(r.activated_at for r in store.records() if r.activated_at)
    assert len(set(moments)) == 17
    active = next(r for r in store.records() if r.state is KeyState.ACTIVE)
    assert active.activated_at == moments[-1]


def test_threads_that_rotate_while_others_sign_never_find_the_store_without_a_key(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    done, signed, troubles = threading.Event(), [], []

    def watch() -> None:
        try:
            while True:
                signed.append(token(store))
                if done.is_set():
                    return
        except Exception as error:  # noqa: BLE001
            troubles.append(error)

    def rotate() -> None:
        try:
            for _ in range(5):
                store.rotate("answer", NOW + DAY)
        except Exception as error:  # noqa: BLE001
            troubles.append(error)

    watcher, rivals = threading.Thread(target=watch), [threading.Thread(target=rotate) for _ in range(2)]
    for thread in (watcher, *rivals):
        thread.start()
    for thread in rivals:
        thread.join()
    done.set()
    watcher.join()
    assert not troubles
    assert states(store) == ["active", "next", *["retired"] * 10]
    assert all(
        verifies(store, text) for text in {signed[0], signed[-1], *signed[:: max(1, len(signed) // 50)]}
    )
