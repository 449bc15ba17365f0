"""What a wallet proved with a request at the authorisation server: which key it holds, and whose wallet it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from license_registry.ports import Registry
from license_registry.wallets.dpop import Request, check_proof
from license_registry.wallets.once import Once


@dataclass(frozen=True, slots=True)
class Proven:
    """What is to be taken for granted about the sender of a request, once its proofs are used up.

    Args:
        bound_to: thumbprint of the key that it holds (DPoP); None: it proved none.
        proofs: to be used up with what the request changes.
    """

    bound_to: str | None
    proofs: tuple[Once, ...]


def prove(
    registry: Registry, endpoint: str, dpop: Sequence[str], now: datetime, *, demanded: bool = False
) -> Proven:
    """Check the proofs that came with a request to an endpoint of the authorisation server.

    Args:
        endpoint: name of it, below the path of wallets.
        dpop: values of its header fields `DPoP`.
        demanded: by this endpoint, if the house demands proofs at all.

    Raises:
        DpopRefused, DpopNonceNeeded: a proof does not hold, or is missing.
    """
    if not dpop and not (demanded and registry.settings.wallet_dpop == "required"):
        return Proven(None, ())
    bound = check_proof(
        registry.vault, dpop, Request("POST", f"{registry.issuer}/v1/wallets/{endpoint}"), now
    )
    return Proven(bound.thumbprint, (bound.proof,))
