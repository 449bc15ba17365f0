"""Header fields that wallets and we tell each other at several endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Header

from license_registry.ports import Registry
from license_registry.wallets.nonces import Use, new_nonce

DpopProofs = Annotated[
    list[str] | None,
    Header(alias="DPoP", description="One proof of possession (RFC 9449), with a nonce from `DPoP-Nonce`"),
]
"""Each header field `DPoP` of a request."""


def fresh(registry: Registry, bound_to: str | None, now: datetime) -> dict[str, str]:
    """Return the header fields of an answer that nobody keeps, with the nonce for the next proof of who sent one."""
    told = {"Cache-Control": "no-store"}
    if bound_to is not None:
        told["DPoP-Nonce"] = new_nonce(registry.vault, Use.DPOP, now)
    return told
