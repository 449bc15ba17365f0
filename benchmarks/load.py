"""A closed-loop HTTP load generator: some keep-alive connections, each sending its next request upon the last reply.

Small on purpose: it shares two cores with the server and the database that it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run: replies a second, latencies in milliseconds, and how many replies were not 200."""

    rate: float
    p50: float
    p99: float
    failed: int


class _Connection(asyncio.Protocol):
    def __init__(self, requests: itertools.cycle[bytes], until: float, latencies: list[float]) -> None:
        self.requests = requests
        self.until = until
        self.latencies = latencies
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._send()

    def _send(self) -> None:
        self.started = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        place = head.index(b"content-length:") + 15
        length = int(head[place:].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        now = time.perf_counter()
        self.latencies.append(now - self.started)
        self.failed += not head.startswith(b"http/1.1 200")
        self.buffer.clear()
        if now < self.until:
            self._send()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return the bytes of one POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """Send the requests in turn, over and over, on that many connections for that long."""

    async def work() -> Load:
        loop = asyncio.get_running_loop()
        latencies: list[float] = []
        started = time.perf_counter()
        turn = itertools.cycle(requests)
        made = [
            await loop.create_connection(
                lambda: _Connection(turn, started + seconds, latencies), "127.0.0.1", port
            )
            for _ in range(connections)
        ]
        await asyncio.gather(*(protocol.done for _, protocol in made))
        elapsed = time.perf_counter() - started
        latencies.sort()
        return Load(
            rate=len(latencies) / elapsed,
            p50=latencies[len(latencies) // 2] * 1000,
            p99=latencies[int(len(latencies) * 0.99)] * 1000,
            failed=sum(protocol.failed for _, protocol in made),
        )

    return uvloop.run(work())
