"""Header fields that wallets and we tell each other at several endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from license_registry.ports import Registry
from license_registry.wallets.attestation import Said
from license_registry.wallets.nonces import Use, new_nonce


def _dpop(
    request: Request,
    dpop: Annotated[
        str | None,
        Header(
            alias="DPoP", description="One proof of possession (RFC 9449), with a nonce from `DPoP-Nonce`"
        ),
    ] = None,
) -> list[str]:
    return [] if dpop is None else request.headers.getlist("dpop")


def _attested(
    request: Request,
    attestation: Annotated[
        str | None,
        Header(alias="OAuth-Client-Attestation", description="What the maker of the wallet attests"),
    ] = None,
    proof: Annotated[
        str | None,
        Header(
            alias="OAuth-Client-Attestation-PoP",
            description="Proof of the key that was attested, good once",
        ),
    ] = None,
) -> Said:
    return Said(
        [] if attestation is None else request.headers.getlist("oauth-client-attestation"),
        [] if proof is None else request.headers.getlist("oauth-client-attestation-pop"),
    )


# Described as one each, as a wallet sends them; taken as often as they come, since two are refused.
DpopProofs = Annotated[list[str], Depends(_dpop)]
"""Each header field `DPoP` of a request."""
Attested = Annotated[Said, Depends(_attested)]
"""What a request says by attestation."""

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
