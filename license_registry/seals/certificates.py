"""Certificates around seals, with keys of SM2 and P-256: read, and followed to a root that is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asn1crypto import core, x509

from foundation.signing import (
    Algorithm,
    BadSignature,
    PublicKey,
    encode_base64url,
)
from foundation.signing.chain import ChainBroken
from license_registry.seals.octets import signature_joined
from license_registry.seals.structures import ECDSA_WITH_SHA256, SM2_WITH_SM3

SM2_CURVE: Final = "1.2.156.10197.1.301"
P256_CURVE: Final = "1.2.840.10045.3.1.7"
_CURVES: Final = {SM2_CURVE: "SM2", P256_CURVE: "P-256"}
_ALGORITHMS: Final = {SM2_WITH_SM3: Algorithm.SM2, ECDSA_WITH_SHA256: Algorithm.ES256}
_POINT = 65


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is read of a certificate.

    Args:
        key: None where it is of a kind that is not read here.
        usage: names of RFC 5280 §4.2.1.3 such as `digital_signature`; None without the extension.
    """

    der: bytes = field(repr=False)
    subject: bytes = field(repr=False)
    issuer: bytes = field(repr=False)
    name: str
    serial: int
    key: PublicKey | None
    valid_from: datetime
    valid_until: datetime
    is_authority: bool
    usage: frozenset[str] | None
    covered: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)


def read_certificate(der: bytes) -> Certificate:
    """Read a certificate in DER; nothing of it is checked.

    Raises:
        ChainBroken: `malformed`.
    """
    try:
        read = x509.Certificate.load(der, strict=True)
        told = read["tbs_certificate"]
        usage = read.key_usage_value
        basic = read.basic_constraints_value
        return Certificate(
            der=der,
            subject=bytes(read.subject.dump()),
            issuer=bytes(read.issuer.dump()),
            name=read.subject.human_friendly,
            serial=int(told["serial_number"].native),
            key=_key(told["subject_public_key_info"]),
            valid_from=_zoned(told["validity"]["not_before"].native),
            valid_until=_zoned(told["validity"]["not_after"].native),
            is_authority=basic is not None and basic["ca"].native is True,
            usage=None if usage is None else frozenset(usage.native),
            covered=bytes(told.dump()),
            algorithm=str(read["signature_algorithm"]["algorithm"].dotted),
            signature=bytes(read["signature_value"].native),
        )
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise ChainBroken("malformed") from error


def holds(key: PublicKey | None, algorithm: str, covered: bytes, signature: bytes) -> bool:
    """Tell whether a signature in DER is this key's, by this algorithm (OID), over these octets."""
    if key is None or _ALGORITHMS.get(algorithm) is not key.algorithm:
        return False
    try:
        key.verify(covered, signature_joined(signature))
    except (BadSignature, ValueError):
        return False
    return True


def require_chain(leaf: Certificate, roots: Sequence[Certificate], at: datetime) -> None:
    """Return if a trusted root issued the certificate, both were valid at a moment, and it is for signing data.

    Raises:
        ChainBroken: with the codes of `foundation.signing.chain`.
    """
    named = [root for root in roots if root.subject == leaf.issuer]
    if not named:
        raise ChainBroken("root-unknown")
    issuers = [root for root in named if holds(root.key, leaf.algorithm, leaf.covered, leaf.signature)]
    if not issuers:
        raise ChainBroken("signature-wrong")
    for certificate in (leaf, issuers[0]):
        if at < certificate.valid_from:
            raise ChainBroken("not-yet-valid")
        if at > certificate.valid_until:
            raise ChainBroken("expired")
    if issuers[0].usage is not None and "key_cert_sign" not in issuers[0].usage:
        raise ChainBroken("not-for-signing")
    require_for_signing(leaf)


def require_for_signing(certificate: Certificate) -> None:
    """Return if a certificate is for signing data, as far as it says what it is for.

    Raises:
        ChainBroken: `not-for-signing`.
    """
    usage = certificate.usage
    if certificate.is_authority or (
        usage is not None and usage.isdisjoint({"digital_signature", "non_repudiation"})
    ):
        raise ChainBroken("not-for-signing")


def _key(info: x509.PublicKeyInfo) -> PublicKey | None:
    parameters = info["algorithm"]["parameters"]
    if info["algorithm"]["algorithm"].native != "ec" or parameters.name != "named":
        return None
    curve = _CURVES.get(core.ObjectIdentifier.load(parameters.chosen.dump()).dotted)
    point = bytes(info["public_key"].native)
    if curve is None or len(point) != _POINT or point[0] != 4:
        return None
    x, y = encode_base64url(point[1:33]), encode_base64url(point[33:])
    return PublicKey.from_jwk({"kty": "EC", "crv": curve, "x": x, "y": y})


def _zoned(moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("a time without a zone, or none at all")
    return moment
