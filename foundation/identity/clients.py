"""Registered department systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.errors import DomainError
from foundation.identity.principals import Role
from foundation.signing import PublicKey


class KeyOfAnother(DomainError):
    code = "key-of-another"


@dataclass(frozen=True, slots=True)
class Client:
    """A department's system: its own keys are known here only by their public half (JWK Set, RFC 7517)."""

    client_id: str
    name: str
    department: str
    roles: frozenset[Role]
    jwks: Mapping[str, Any]


def thumbprints(jwks: Mapping[str, Any]) -> frozenset[str]:
    """Return the JWK thumbprints (RFC 7638) of a key set."""
    return frozenset(PublicKey.from_jwk(key).thumbprint() for key in jwks["keys"])
