"""Keys that another process changes are followed, whatever else lies in the folder for a moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.signing import Algorithm, KeyState, KeyStore
from foundation.signing.keystore import SUFFIX
from zhengtong import following_keys
from zhengtong.following_keys import follow_keys

MASTER = bytes(range(32))


def test_a_folder_that_cannot_be_read_for_a_while_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following_keys, "LOOK_SECONDS", 0.01)
    here, there = KeyStore(tmp_path, MASTER), KeyStore(tmp_path, MASTER)
    now = datetime.now(UTC)

    async def until(said: Callable[[], bool]) -> None:
        for _turn in range(1000):
            if said():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it was not followed")

    async def work() -> None:
        following = asyncio.create_task(follow_keys(here))
        first = there.create("credential", Algorithm.ES256, KeyState.ACTIVE, now)
        await until(lambda: first.kid in here.verification_keys())
        known = tmp_path / f"{first.kid}{SUFFIX}"
        whole = known.read_bytes()
        known.write_bytes(b"{")
        await until(lambda: "keys not read" in caplog.text)
        assert first.kid in here.verification_keys()  # what was known goes on to hold
        known.write_bytes(whole)
        there.reload()
        there.rotate("credential", now)
        there.revoke(first.kid, now)
        await until(lambda: first.kid not in here.verification_keys())
        assert here.signer("credential").kid == there.signer("credential").kid
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    asyncio.run(work())
