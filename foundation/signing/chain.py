"""Checking a certificate chain of ours: one certificate for the key, one root that the verifier holds (RFC 5280)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.signing.algorithms import PublicKey
from foundation.signing.base64url import encode_base64url


class ChainBroken(Exception):
    """The chain does not hold.

    Args:
        code: stable: `malformed`, `root-unknown`, `signature-wrong`, `not-yet-valid`, `expired` or `not-for-signing`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def certified_key(chain_pem: str, roots: Sequence[x509.Certificate], now: datetime) -> PublicKey:
    """Return the key of the first certificate of a chain, leaf first, after checking the way to a trusted root.

    The root that the chain brings along is never used: only those of `roots` are.

    Raises:
        ChainBroken: it does not hold; see there for the codes.
    """
    try:
        leaf, *_further = x509.load_pem_x509_certificates(chain_pem.encode("ascii"))
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise ChainBroken("malformed") from error
    issuers = [root for root in roots if root.subject == leaf.issuer]
    if not issuers:
        raise ChainBroken("root-unknown")
    root = next((root for root in issuers if _issued(leaf, root)), None)
    if root is None:
        raise ChainBroken("signature-wrong")
    for certificate in (leaf, root):
        if now < certificate.not_valid_before_utc:
            raise ChainBroken("not-yet-valid")
        if now > certificate.not_valid_after_utc:
            raise ChainBroken("expired")
    if not usage.digital_signature or basic.ca:
        raise ChainBroken("not-for-signing")
    return _public(leaf)


def load_roots(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file.

    Raises:
        ChainBroken: `malformed`.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise ChainBroken("malformed") from error


def _issued(leaf: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _public(leaf: x509.Certificate) -> PublicKey:
    key = leaf.public_key()
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
            x, y = (encode_base64url(half) for half in (point[:32], point[32:]))
            return PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        case ed25519.Ed25519PublicKey():
            x = encode_base64url(key.public_bytes_raw())
            return PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": x})
        case _:
            raise ChainBroken("malformed")
