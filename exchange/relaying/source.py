"""What is known of a source that is asked live, and whether it can be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from exchange.relaying.errors import LiveSourceInvalid
from foundation.language import _
from foundation.signing import BadJwk, PublicKey

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Kind(StrEnum):
    """Who answers: a department's own service, or a higher-level exchange of which this one is a client."""

    DEPARTMENT = "department"
    CASCADE = "cascade"


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A resource that is not looked up here.

    Args:
        department: USCC of who answers; of a higher-level exchange, of the authority that runs it.
        address: where questions are posted; of a higher-level exchange, its address without a path.
        keys: public keys of the answers by their `kid`, registered here: what an answer brings along is never used.
        timeout_ms: how long it has for an answer.
        client_id: by which this exchange is registered at the higher-level one.
        remote_resource: what the resource is called there.
    """

    resource: str
    kind: Kind
    department: str
    address: str
    keys: Mapping[str, PublicKey]
    timeout_ms: int
    client_id: str | None = None
    remote_resource: str | None = None

    @property
    def timeout(self) -> float:
        """The time that it has, in seconds."""
        return self.timeout_ms / 1000


def require_address(url: str, kind: Kind) -> str:
    """Return an address that questions may go to: https, and http only to this machine itself.

    Raises:
        LiveSourceInvalid: it is another, or holds what does not belong there.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LiveSourceInvalid(_("this is no web address"), pointer="/address") from error
    if not host or port == 0 or parts.username or parts.query or parts.fragment or not url.isascii():
        raise LiveSourceInvalid(_("this is no web address"), pointer="/address")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise LiveSourceInvalid(_("questions go to https addresses only"), pointer="/address")
    if kind is Kind.CASCADE and parts.path.strip("/"):
        raise LiveSourceInvalid(
            _("give the address of the other exchange without a path"), pointer="/address"
        )
    return url.rstrip("/") if kind is Kind.CASCADE else url


def read_keys(jwks: Mapping[str, Any]) -> Mapping[str, PublicKey]:
    """Return the keys of a JWK Set, each with its `kid`.

    Raises:
        LiveSourceInvalid: there is none, or one that cannot be used.
    """
    try:
        found = {str(each["kid"]): PublicKey.from_jwk(each) for each in jwks["keys"]}
    except (BadJwk, KeyError, TypeError) as error:
        raise LiveSourceInvalid(
            _("the keys are not a JWK Set of public keys with kid"), pointer="/jwks"
        ) from error
    if not found:
        raise LiveSourceInvalid(_("the keys are not a JWK Set of public keys with kid"), pointer="/jwks")
    return found
