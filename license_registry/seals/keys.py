"""Keys around seals and their certificates: of the maker, and of each authority for each kind of seal."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from asn1crypto import pem

from foundation.signing import Algorithm, CertificateAuthority, KeyStore
from foundation.signing.chain import ChainBroken
from license_registry.seals.certificates import Certificate, read_certificate
from license_registry.seals.make import Sealer
from license_registry.seals.states import SealKind

MAKER_PURPOSE: Final = "seal-maker"


def purpose_of(authority: str, kind: SealKind) -> str:
    """Return the purpose of the key that puts seals of a kind on data for an authority."""
    return f"seal {authority} {kind.value}"


def certified(keys: KeyStore, purpose: str, now: datetime) -> tuple[Sealer, Certificate]:
    """Return the active key of a purpose with its certificate, and the root above it; made if there is none.

    The internal root certifies P-256 keys only, so these sign ES256 (decision 28).

    Raises:
        CertificateUnavailable: the root certificate has expired.
        ChainBroken: a certificate on disk is damaged.
    """
    keys.reload()
    keys.ensure_active(purpose, Algorithm.ES256, now)
    signer = keys.signer(purpose)
    leaf, root = chain(CertificateAuthority(keys).chain_pem(signer.kid).encode("ascii"))
    return Sealer(signer, leaf.der), root


def chain(text: bytes) -> list[Certificate]:
    """Return the certificates of a PEM file.

    Raises:
        ChainBroken: `malformed`.
    """
    try:
        ders = [der for _, _, der in pem.unarmor(text, multiple=True)]
    except ValueError as error:
        raise ChainBroken("malformed") from error
    return [read_certificate(der) for der in ders]
