"""Keys around seals and their certificates: of the maker, and of each authority for each kind of seal."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from asn1crypto import pem

from foundation.signing import Algorithm, CertificateAuthority, KeyStore, Sm2CertificateAuthority
from foundation.signing.chain import ChainBroken
from license_registry.seals.certificates import Certificate, read_certificate
from license_registry.seals.make import Sealer
from license_registry.seals.states import SealKind

MAKER_PURPOSE: Final = "seal-maker"
_SUFFIXES: Final = {Algorithm.ES256: "", Algorithm.SM2: " sm2"}
"""Each algorithm has keys of its own, so that seals of both are put side by side when a house goes over to SM2."""


def maker_of(algorithm: Algorithm) -> str:
    """Return the purpose of the key that makes seals for keys of an algorithm."""
    return MAKER_PURPOSE + _SUFFIXES[algorithm]


def purpose_of(authority: str, kind: SealKind, algorithm: Algorithm = Algorithm.ES256) -> str:
    """Return the purpose of the key that puts seals of a kind on data for an authority."""
    return f"seal {authority} {kind.value}{_SUFFIXES[algorithm]}"


def certified(
    keys: KeyStore, purpose: str, now: datetime, algorithm: Algorithm = Algorithm.ES256
) -> tuple[Sealer, Certificate]:
    """Return the active key of a purpose with its certificate, and the root above it; made if there is none.

    Raises:
        CertificateUnavailable: the root certificate has expired.
        ChainBroken: a certificate on disk is damaged.
    """
    keys.reload()
    keys.ensure_active(purpose, algorithm, now)
    signer = keys.signer(purpose)
    authority = Sm2CertificateAuthority(keys) if algorithm is Algorithm.SM2 else CertificateAuthority(keys)
    leaf, root = chain(authority.chain_pem(signer.kid).encode("ascii"))
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
