"""Replies in one write: uvicorn writes the head of a reply and its body apart, and each write wakes the other side."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JOINED_BYTES = 64 * 1024
"""A longer body is not copied behind its head."""


class WholeReplies(HttpToolsProtocol):
    """uvicorn's protocol over a transport that writes the head of a reply together with its body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(HeadWithBody(transport, self.loop))  # type: ignore[arg-type]


class HeadWithBody:
    """A transport that holds back what is written until the next write, or the end of this turn of the loop.

    All but writing and closing is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or hold back until more comes."""
        held = self._held
        if not held:
            self._held = data
            self._loop.call_soon(self._let_go)
        elif len(data) <= JOINED_BYTES:
            self._held = b""
            self._transport.write(held + data)
        else:
            self._let_go()
            self._transport.write(data)

    def close(self) -> None:
        """Close once all is written."""
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)
