"""Connecting: the name is resolved, the addresses are checked, and one of exactly these is connected to.

So a name that is public when it is checked and private when it is used (DNS rebinding) gets nowhere. The name stays
what the certificate must be for (SNI, Host).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore

from foundation.webhooks.addresses import Reach, Resolve


class AddressRefused(httpcore.ConnectError):
    """The host leads, now, where webhooks do not go."""


class NoAddress(httpcore.ConnectError):
    """The host has no address."""


class Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that `reach` allows, and to no other."""

    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        self._reach = reach
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host.

        Raises:
            AddressRefused: one of its addresses is not allowed; then the others are not tried either.
            NoAddress: it has none.
        """
        try:
            found = await self._resolve(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise NoAddress("the host has no address") from error
        if not found:
            raise NoAddress("the host has no address")
        if not all(self._reach.allows(each) and self._reach.allows_port(each, port) for each in found):
            raise AddressRefused("the host leads where webhooks do not go")
        *others, last = dict.fromkeys(found)
        for address in others:
            try:
                return await self._plain.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._plain.connect_tcp(str(last), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 -- the signature is httpcore's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: webhooks go through the network."""
        raise AddressRefused("webhooks go through the network")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._plain.sleep(seconds)
