"""The client's own private key, in the forms in which people keep it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from foundation.signing import PublicKey, Signer, encode_base64url, load_signer
from foundation.signing.algorithms import PRIVATE_BYTES

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | Signer | Path | str | bytes


class KeyUnusable(ValueError):
    """The key cannot be used; the message says why and holds nothing of it."""


def load_private_key(key: PrivateKey, key_id: str | None = None, password: bytes | None = None) -> Signer:
    """Return what signs with a key.

    Args:
        key: P-256 or Ed25519: a key of `cryptography`, PEM (bytes, or text that begins with `-----BEGIN`), or the
            path of a file of it; or a signer, for keys that do not leave their device.
        key_id: the `kid` under which the public half is registered; its JWK thumbprint unless given.

    Raises:
        KeyUnusable: it is none of these.
        OSError: the file cannot be read.
    """
    if isinstance(key, str) and not key.lstrip().startswith("-----BEGIN"):
        key = Path(key)
    if isinstance(key, Path):
        key = key.read_bytes()
    if isinstance(key, str):
        key = key.encode()
    if isinstance(key, bytes):
        try:
            loaded = load_pem_private_key(key, password)
        except (TypeError, ValueError) as error:
            raise KeyUnusable("this is no private key in PEM, or its password is another") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise KeyUnusable("the key is neither P-256 nor Ed25519")
        key = loaded
    if isinstance(key, ed25519.Ed25519PrivateKey):
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key.public_key().public_bytes_raw())}
        return load_signer(key.private_bytes_raw(), PublicKey.from_jwk(jwk), key_id)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyUnusable("the key is neither P-256 nor Ed25519")
        numbers = key.private_numbers()
        x, y = (
            encode_base64url(number.to_bytes(PRIVATE_BYTES, "big"))
            for number in (numbers.public_numbers.x, numbers.public_numbers.y)
        )
        public = PublicKey.from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        return load_signer(numbers.private_value.to_bytes(PRIVATE_BYTES, "big"), public, key_id)
    return key
