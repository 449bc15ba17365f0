"""Sending a webhook once, and when it is sent again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpcore
import httpx
from http_message_signatures import HTTPMessageSignaturesException

from foundation.settings import Settings
from foundation.signing import Signer
from foundation.webhooks.addresses import Reach, Resolve, reach_of, resolve
from foundation.webhooks.connecting import Checked
from foundation.webhooks.signing import signed

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""After each failure; what fails once more than this lies dead."""

TIMEOUT_SECONDS = 10.0
"""For all of it: resolving, connecting, sending, and reading what is read of the answer."""
ANSWER_BYTES = 16 << 10
"""What is read of an answer, whose status alone counts; of a longer one the connection is closed."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of what was to be sent. `dead`: given up now, of those that failed."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(self.delivered + other.delivered, self.failed + other.failed, self.dead + other.dead)


def next_attempt(failures: int, now: datetime) -> datetime | None:
    """Return when something is sent again that has failed before this failure as often; None: it lies dead."""
    return now + WAITS[failures] if failures < len(WAITS) else None


class Sender:
    """Sends webhooks to where they may go. Redirects are not followed: they lead to where nobody registered.

    Proxies of the environment are not used either: they would connect to addresses that nobody checked.
    """

    def __init__(
        self,
        reach: Reach,
        *,
        resolve: Resolve = resolve,
        trusted: ssl.SSLContext | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted or trusting(None),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30,
            network_backend=Checked(reach, resolve),
        )
        self._seconds = seconds

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], signer: Signer, now: datetime
    ) -> str | None:
        """POST JSON, signed; return None if it arrived (2xx), else what went wrong, which names nobody."""
        request = httpx.Request(
            "POST", url, content=body, headers={**headers, "Content-Type": "application/json"}
        )
        try:
            signed(request, signer, now)
            async with asyncio.timeout(self._seconds):
                status = await self._status(request)
        except TimeoutError:
            return "TimeoutError"
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            httpcore.ProxyError,
            httpcore.UnsupportedProtocol,
            httpcore.ConnectionNotAvailable,
            HTTPMessageSignaturesException,
            ssl.SSLError,
        ) as error:
            return type(error).__name__
        return None if 200 <= status < 300 else f"HTTP {status}"

    async def _status(self, request: httpx.Request) -> int:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        async with self._pool.stream(
            b"POST", url, headers=request.headers.raw, content=request.content
        ) as reply:
            read = 0
            async for part in reply.aiter_stream():
                read += len(part)
                if read > ANSWER_BYTES:
                    break
            return reply.status


def trusting(file: Path | None) -> ssl.SSLContext:
    """Return whom connections trust: whom the world trusts, and whose certificates stand in the file.

    Raises:
        OSError: the file cannot be read, or holds no certificates.
    """
    context = httpcore.default_ssl_context()
    if file is not None:
        context.load_verify_locations(cafile=str(file))
    return context


@asynccontextmanager
async def sender(settings: Settings) -> AsyncIterator[Sender]:
    """Open what sends webhooks as the settings say, and close it."""
    opened = Sender(reach_of(settings), trusted=trusting(settings.webhook_ca_file))
    try:
        yield opened
    finally:
        await opened.close()
