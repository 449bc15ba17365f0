"""Published files of a log, read over HTTP.

Apart from the rest, so that whoever verifies without a network needs no client for one.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from foundation.ledger.tiles import PUBLISHED_PATH, TileMalformed, TileMissing, largest_file


class HttpTiles:
    """Published files of a log on the web. Close it, or use it as a context manager."""

    def __init__(
        self, base_url: str, *, timeout: float = 10.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Open a client; `base_url` is the prefix of the log, `timeout` in seconds for each network step."""
        self._base_url = base_url.rstrip("/")
        self._client = httpx.Client(timeout=timeout, transport=transport, follow_redirects=False)

    def read(self, path: str) -> bytes:
        """Return the content of a published file, never more than such a file can hold.

        Raises:
            TileMissing: it is not there, or cannot be fetched.
            TileMalformed: it is larger than such a file can be.
        """
        if not PUBLISHED_PATH.fullmatch(path):
            raise TileMissing(path, "not a path of a log")
        limit, parts, received = largest_file(path), [], 0
        try:
            with self._client.stream("GET", f"{self._base_url}/{path}") as response:
                if response.status_code != httpx.codes.OK:
                    raise TileMissing(path, f"the server answers {response.status_code}")
                for part in response.iter_bytes():
                    received += len(part)
                    if received > limit:
                        raise TileMalformed(path, f"is larger than {limit} bytes")
                    parts.append(part)
        except httpx.HTTPError as error:
            raise TileMissing(path, f"cannot be fetched: {type(error).__name__}") from error
        return b"".join(parts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
