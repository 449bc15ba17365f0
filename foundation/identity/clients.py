"""Registered department systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.identity.principals import Role


@dataclass(frozen=True, slots=True)
class Client:
    """A department's system: its own keys are known here only by their public half (JWK Set, RFC 7517)."""

    client_id: str
    name: str
    department: str
    roles: frozenset[Role]
    jwks: Mapping[str, Any]
