"""Whose key signed: by `kid` among keys that are known, or by a certificate chain (`x5c`) to a root that is trusted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from foundation.language import _
from foundation.signing import BadJwk, PublicKey, encode_base64url
from license_registry.credentials.errors import CredentialInvalid

LONGEST_CHAIN: Final = 5


def chosen_by(
    keys: Mapping[str, PublicKey], roots: Sequence[x509.Certificate], now: datetime
) -> Callable[[Mapping[str, Any]], PublicKey | None]:
    """Return what chooses the key for a header: of `keys` by its `kid`, else by its `x5c` (RFC 7515 §4.1.6).

    What a header brings along besides (`jwk`, `jku`, `x5u`) is never used.
    """

    def choose(header: Mapping[str, Any]) -> PublicKey | None:
        kid = header.get("kid")
        known = keys.get(kid) if isinstance(kid, str) else None
        if known is not None or "x5c" not in header:
            return known
        return key_of_chain(header["x5c"], roots, now)

    return choose


def x5c(chain_pem: str) -> list[str]:
    """Return the `x5c` of a PEM chain, leaf first: without the root, which verifiers hold themselves."""
    chain = x509.load_pem_x509_certificates(chain_pem.encode("ascii"))
    kept = [certificate for certificate in chain if certificate.subject != certificate.issuer] or chain
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii") for one in kept]


def key_of_chain(said: object, roots: Sequence[x509.Certificate], now: datetime) -> PublicKey:
    """Return the key of the first certificate of an `x5c`, after checking the way to a trusted root.

    Signatures, dates, CA rights, path lengths, unknown critical extensions, and that the leaf is made for signing
    and is no CA itself (RFC 5280 §6.1). Revocation of certificates is not looked up: a key that must not be
    trusted any more is taken out of what the verifier trusts.

    Raises:
        CredentialInvalid: the chain does not hold.
    """
    chain = _read(said)
    if not roots:
        raise CredentialInvalid(_("the certificate chain leads to nobody who is trusted"))
    builder = PolicyBuilder().store(Store(list(roots))).time(now).max_chain_depth(LONGEST_CHAIN)
    verifier = builder.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_LEAF
    ).build_client_verifier()
    try:
        verifier.verify(chain[0], chain[1:])
    except VerificationError as error:
        raise CredentialInvalid(_("the certificate chain leads to nobody who is trusted")) from error
    return _public(chain[0])


def _read(said: object) -> list[x509.Certificate]:
    if not isinstance(said, list) or not 1 <= len(said) <= LONGEST_CHAIN:
        raise CredentialInvalid(_("the certificate chain is malformed"))
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(str(one), validate=True)) for one in said]
    except (binascii.Error, ValueError) as error:
        raise CredentialInvalid(_("the certificate chain is malformed")) from error


def _public(leaf: x509.Certificate) -> PublicKey:
    key = leaf.public_key()
    try:
        match key:
            case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
                point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
                named = {"kty": "EC", "crv": "P-256", "x": point[:32], "y": point[32:]}
            case ed25519.Ed25519PublicKey():
                named = {"kty": "OKP", "crv": "Ed25519", "x": key.public_bytes_raw()}
            case _:
                raise CredentialInvalid(_("the certificate is for a key that is not taken here"))
        return PublicKey.from_jwk(
            {name: encode_base64url(v) if isinstance(v, bytes) else v for name, v in named.items()}
        )
    except BadJwk as error:
        raise CredentialInvalid(_("the certificate is for a key that is not taken here")) from error


def _for_signing(_policy: Policy, _leaf: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the certificate is not for signatures")


def _no_authority(_policy: Policy, _leaf: x509.Certificate, basic: x509.BasicConstraints | None) -> None:
    if basic is not None and basic.ca:
        raise ValueError("the certificate is one of an authority")


_LEAF: Final = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _for_signing)
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _no_authority)
)
