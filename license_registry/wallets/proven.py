"""What a wallet proved with a request at the authorisation server: which key it holds, and whose wallet it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from license_registry.ports import Registry
from license_registry.wallets.attestation import Said, check_attestation, demand
from license_registry.wallets.dpop import Request, check_proof
from license_registry.wallets.once import Once


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request says of its sender.

    Args:
        endpoint: that it came to: its name, below the path of wallets.
        client_id: of the form; empty where it names none.
        dpop: values of its header fields `DPoP`.
        attested: what it says by attestation.
    """

    endpoint: str
    client_id: str
    dpop: Sequence[str]
    attested: Said


@dataclass(frozen=True, slots=True)
class Proven:
    """What is to be taken for granted about the sender of a request, once its proofs are used up.

    Args:
        client_id: as it was attested, or as the request says; empty if neither.
        bound_to: thumbprint of the key that it holds (DPoP); None: it proved none.
        proofs: to be used up with what the request changes.
    """

    client_id: str
    bound_to: str | None
    proofs: tuple[Once, ...]


def prove(registry: Registry, sent: Sent, now: datetime, *, gives_tokens: bool = False) -> Proven:
    """Check the proofs that came with a request to an endpoint of the authorisation server.

    Args:
        gives_tokens: the endpoint is the one that demands DPoP, if the house does.

    Raises:
        AttestationNeeded, AttestationRefused, AttestationStale, DpopRefused, DpopNonceNeeded: as they say.
    """
    settings = registry.settings
    client_id, proofs = sent.client_id, []
    if sent.attested.attestations or sent.attested.proofs:
        attested = check_attestation(registry.attesters, sent.attested, registry.issuer, sent.client_id, now)
        client_id = attested.client_id
        proofs.append(attested.proof)
    else:
        demand(registry.attesters, client_id, settings.wallet_attestation == "required")
    if not sent.dpop and not (gives_tokens and settings.wallet_dpop == "required"):
        return Proven(client_id, None, tuple(proofs))
    request = Request("POST", f"{registry.issuer}/v1/wallets/{sent.endpoint}")
    bound = check_proof(registry.vault, sent.dpop, request, now)
    return Proven(client_id, bound.thumbprint, (*proofs, bound.proof))
