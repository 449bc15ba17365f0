"""Header fields that wallets and we tell each other at several endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Header

from license_registry.ports import Registry
from license_registry.wallets.nonces import Use, new_nonce

DpopProofs = Annotated[
    list[str] | None,
    Header(alias="DPoP", description="One proof of possession (RFC 9449), with a nonce from `DPoP-Nonce`"),
]
"""Each header field `DPoP` of a request."""

Attestations = Annotated[
    list[str] | None,
    Header(alias="OAuth-Client-Attestation", description="What the maker of the wallet attests"),
]
AttestationProofs = Annotated[
    list[str] | None,
    Header(alias="OAuth-Client-Attestation-PoP", description="Proof of the key that was attested, good once"),
]

PROOF_PROBLEMS: Final = (
    "wallet-attestation-needed",
    "wallet-attestation-refused",
    "wallet-attestation-stale",
    "wallet-dpop-refused",
    "wallet-dpop-nonce-needed",
)
"""Codes of what is refused for its proofs at the authorisation server."""


def fresh(registry: Registry, bound_to: str | None, now: datetime) -> dict[str, str]:
    """Return the header fields of an answer that nobody keeps, with the nonce for the next proof of who sent one."""
    told = {"Cache-Control": "no-store"}
    if bound_to is not None:
        told["DPoP-Nonce"] = new_nonce(registry.vault, Use.DPOP, now)
    return told
