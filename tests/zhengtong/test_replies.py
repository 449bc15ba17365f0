"""The head of a reply leaves with its body, and nothing that was written stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zhengtong.replies import JOINED_BYTES, HeadWithBody


class Written:
    """Takes down what a transport is told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def told(*steps: Any, later: bool = True) -> list[bytes | str]:
    """Return what the transport was told when these steps were taken in one turn of the loop."""

    async def take() -> list[bytes | str]:
        written = Written()
        transport = HeadWithBody(written, asyncio.get_running_loop())  # type: ignore[arg-type]
        for step in steps:
            step(transport)
        if later:
            await asyncio.sleep(0)
        return list(written.told)

    return asyncio.run(take())


def write(data: bytes) -> Any:
    return lambda transport: transport.write(data)


def test_head_and_body_leave_together_and_at_once() -> None:
    assert told(write(b"head"), write(b"body"), later=False) == [b"headbody"]


def test_a_head_without_a_body_leaves_at_the_end_of_the_turn() -> None:
    assert told(write(b"head"), later=False) == []
    assert told(write(b"head")) == [b"head"]


@pytest.mark.parametrize("length", [JOINED_BYTES, JOINED_BYTES + 1])
def test_all_is_written_in_order_whatever_its_length(length: int) -> None:
    pieces = told(write(b"head"), write(b"x" * length), write(b"next"), write(b"more"), write(b"last"))
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == (
        b"head" + b"x" * length + b"nextmorelast"
    )


def test_what_is_held_back_is_written_before_closing() -> None:
    assert told(write(b"head"), lambda transport: transport.close()) == [b"head", "close"]


def test_all_else_is_the_transports_own() -> None:
    assert told(lambda transport: transport.write(b"%d" % transport.is_closing())) == [b"0"]
