"""Where webhooks may go: public addresses, and those private ones that the operator has named (no SSRF)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from foundation.errors import DomainError
from foundation.language import _
from foundation.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Host and port → its addresses; raises OSError where it has none."""

PUBLIC_PORTS = frozenset({443, 8443})
"""What is reached at a public address. In a named network: these, and all from 1024 on."""

RESOLVE_SECONDS = 5.0

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_GLOBAL_SIX = ipaddress.ip_network("2000::/3")
# Public by the book, but leading to an IPv4 address that is written inside (NAT64 lies outside 2000::/3 already).
_TUNNELS = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("2002::/16"))


class WebhookRefused(DomainError):
    code = "webhook-refused"


@dataclass(frozen=True, slots=True)
class Reach:
    """What webhooks may reach beside public addresses.

    Args:
        networks: private networks that departments' servers stand in.
        loopback: this machine itself, also by plain http: for development.
    """

    networks: tuple[Network, ...] = ()
    loopback: bool = False

    def allows(self, address: Address) -> bool:
        """Tell whether a connection may be made to an address."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return self.allows(address.ipv4_mapped)
        return self.names(address) or _is_public(address)

    def names(self, address: Address) -> bool:
        """Tell whether an address was named: in a network of the setting, or, in development, of this machine."""
        networks = self.networks + (_LOOPBACK if self.loopback else ())
        return any(address.version == network.version and address in network for network in networks)

    def allows_port(self, address: Address, port: int) -> bool:
        """Tell whether a port may be reached at an address that `allows` lets through."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return self.allows_port(address.ipv4_mapped, port)
        return port in PUBLIC_PORTS or (port >= 1024 and self.names(address))

    def plain(self, host: str) -> bool:
        """Tell whether a host may be called by plain http: this machine itself, where it may be called at all."""
        literal = {"localhost": "127.0.0.1"}.get(host, host)
        return literal in {"127.0.0.1", "::1"} and self.names(ipaddress.ip_address(literal))


def reach_of(settings: Settings) -> Reach:
    """Return what the settings say."""
    return Reach(
        tuple(ipaddress.ip_network(text) for text in settings.webhook_networks), settings.development_issuer
    )


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return address in _GLOBAL_SIX and not any(address in network for network in _TUNNELS)


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Return the addresses of a host as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(place[0]) for *_kind, place in found]


def require_address(url: str, reach: Reach) -> str:
    """Return a webhook's address if its form fits, or raise WebhookRefused: https, and http only where `plain` says."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise WebhookRefused(_("this is no web address"), pointer="/url") from error
    if not host or port == 0 or parts.username or parts.password or parts.fragment or not url.isascii():
        raise WebhookRefused(_("this is no web address"), pointer="/url")
    if parts.scheme != "https" and not (parts.scheme == "http" and reach.plain(host)):
        raise WebhookRefused(_("notices go to https addresses only"), pointer="/url")
    return url


async def require_reachable(url: str, reach: Reach, resolve: Resolve = resolve) -> str:
    """Return a webhook's address if it leads where webhooks may go now.

    That is asked again, of the very address that is connected to, whenever something is sent (`connecting`).

    Raises:
        WebhookRefused: the form does not fit, the host has no address, or one that is not allowed.
    """
    require_address(url, reach)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await resolve(host, port)
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise WebhookRefused(_("the host has no address"), pointer="/url") from error
    if not found:
        raise WebhookRefused(_("the host has no address"), pointer="/url")
    if not all(reach.allows(address) for address in found):
        raise WebhookRefused(_("webhooks do not go to private addresses"), pointer="/url")
    if not all(reach.allows_port(address, port) for address in found):
        raise WebhookRefused(_("webhooks do not go to port {port}"), pointer="/url", port=port)
    return url
