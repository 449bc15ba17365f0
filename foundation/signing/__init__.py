"""Signatures: three algorithms, keys and their rotation, an internal root certificate, compact JWS, canonical JSON.

Nothing here knows of a database or of HTTP, so that a verifier can use it alone.
"""

from foundation.signing.algorithms import (
    Algorithm,
    BadJwk,
    BadSignature,
    PublicKey,
    Signer,
    generate_key,
    load_signer,
    new_signer,
)
from foundation.signing.base64url import decode_all, decode_base64url, encode_base64url
from foundation.signing.canonical import canonical_json
from foundation.signing.certificates import CertificateAuthority, CertificateUnavailable
from foundation.signing.jws import BadJws, Verified, sign_compact, verify_chosen, verify_compact
from foundation.signing.keys import CA_PURPOSE, SM2_CA_PURPOSE, KeyRecord, KeyState, KeyStateError
from foundation.signing.keystore import KeyStore, KeyStoreError
from foundation.signing.sm2_certificates import Sm2CertificateAuthority

__all__ = [
    "CA_PURPOSE",
    "SM2_CA_PURPOSE",
    "Algorithm",
    "BadJwk",
    "BadJws",
    "BadSignature",
    "CertificateAuthority",
    "CertificateUnavailable",
    "KeyRecord",
    "KeyState",
    "KeyStateError",
    "KeyStore",
    "KeyStoreError",
    "PublicKey",
    "Signer",
    "Sm2CertificateAuthority",
    "Verified",
    "canonical_json",
    "decode_all",
    "decode_base64url",
    "encode_base64url",
    "generate_key",
    "load_signer",
    "new_signer",
    "sign_compact",
    "verify_chosen",
    "verify_compact",
]
