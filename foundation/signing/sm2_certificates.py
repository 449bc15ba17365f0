"""Certificates of SM2 keys, below a root of SM2 of their own (GM/T 0015, RFC 5280).

The library that writes the other certificates knows no SM2, so these are put together structure by structure. They lie
beside the others, each under the `kid` of its key.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any, Final

from asn1crypto import core, pem, x509
from asn1crypto.keys import NamedCurve, PublicKeyAlgorithm, PublicKeyInfo
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from foundation.signing.algorithms import NUMBER_BYTES, Algorithm, PublicKey, Signer
from foundation.signing.base64url import decode_base64url
from foundation.signing.certificates import LEAF_LIFETIME, ROOT_LIFETIME, CertificateUnavailable
from foundation.signing.keys import SM2_CA_PURPOSE
from foundation.signing.keystore import KeyStore, locked, write_whole

SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
SM2_CURVE: Final = "1.2.156.10197.1.301"
SM2_ROOT_NAME: Final = "Zhengtong internal SM2 root"

NamedCurve.register("sm2p256v1", SM2_CURVE, NUMBER_BYTES)


class Sm2CertificateAuthority:
    """Issues certificates of SM2 keys: a key has one, always the same; root and leaf live as long as those of P-256."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._directory = keys.directory / "certificates"
        self._directory.mkdir(exist_ok=True, mode=0o700)

    def chain_pem(self, kid: str) -> str:
        """Return the PEM chain of a key, leaf first, root last; made if there is none, from when the key was made.

        Raises:
            CertificateUnavailable: no such key, a revoked one, not one of SM2, or the root has expired.
        """
        public = self._keys.verification_keys().get(kid)
        record = next((each for each in self._keys.records() if each.kid == kid), None)
        if public is None or record is None or public.algorithm is not Algorithm.SM2:
            raise CertificateUnavailable(f"{kid}: no such key of SM2")
        path = self._directory / f"{kid}.pem"
        if not path.exists():
            root_pem = self.root_pem(record.created_at)
            signer = self._keys.signer(SM2_CA_PURPOSE)
            _kind, _headers, der = pem.unarmor(root_pem.encode("ascii"))
            end = min(
                record.created_at + LEAF_LIFETIME,
                x509.Certificate.load(der)["tbs_certificate"]["validity"]["not_after"].native,
            )
            if end <= record.created_at:
                raise CertificateUnavailable(
                    f"{kid}: the root certificate has expired; rotate the key of {SM2_CA_PURPOSE}"
                )
            with locked(self._directory, exclusive=True):
                if not path.exists():
                    leaf = _certificate(kid, public, signer, record.created_at, end)
                    write_whole(path, _armoured(leaf) + root_pem.encode("ascii"))
        return path.read_text(encoding="ascii")

    def root_pem(self, now: datetime) -> str:
        """Return the root certificate that is in use, made at a moment if there is none yet."""
        self._keys.ensure_active(SM2_CA_PURPOSE, Algorithm.SM2, now)
        signer = self._keys.signer(SM2_CA_PURPOSE)
        path = self._directory / f"{signer.kid}.pem"
        with locked(self._directory, exclusive=True):
            if not path.exists():
                root = _certificate(None, signer.public, signer, now, now + ROOT_LIFETIME)
                write_whole(path, _armoured(root))
        return path.read_text(encoding="ascii")


def _certificate(kid: str | None, key: PublicKey, signer: Signer, begin: datetime, end: datetime) -> bytes:
    """Return the DER of a certificate; `kid` None: of the root."""
    algorithm = {"algorithm": SM2_WITH_SM3}
    root = x509.Name.build({"common_name": SM2_ROOT_NAME})
    usage = {"key_cert_sign", "crl_sign"} if kid is None else {"digital_signature"}
    extensions: list[dict[str, Any]] = [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": kid is None}},
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "key_identifier", "extn_value": key_identifier(key)},
    ]
    if kid is not None:
        issuer = {"key_identifier": key_identifier(signer.public)}
        extensions.append({"extn_id": "authority_key_identifier", "extn_value": issuer})
    told = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": secrets.randbits(159),
            "signature": algorithm,
            "issuer": root,
            "validity": {"not_before": _time(begin), "not_after": _time(end)},
            "subject": root if kid is None else x509.Name.build({"common_name": kid}),
            "subject_public_key_info": _info(key),
            "extensions": extensions,
        }
    )
    joined = signer.sign(told.dump())
    r, s = (int.from_bytes(half, "big") for half in (joined[:NUMBER_BYTES], joined[NUMBER_BYTES:]))
    made = {
        "tbs_certificate": told,
        "signature_algorithm": algorithm,
        "signature_value": encode_dss_signature(r, s),
    }
    return bytes(x509.Certificate(made).dump())


def key_identifier(key: PublicKey) -> bytes:
    """Return the identifier of an elliptic key in certificates (RFC 5280 §4.2.1.2), 20 bytes."""
    return hashlib.sha1(_point(key), usedforsecurity=False).digest()


def _info(key: PublicKey) -> PublicKeyInfo:
    parameters = ("named", core.ObjectIdentifier(SM2_CURVE).dotted)
    algorithm = PublicKeyAlgorithm({"algorithm": "ec", "parameters": parameters})
    return PublicKeyInfo({"algorithm": algorithm, "public_key": _point(key)})


def _point(key: PublicKey) -> bytes:
    jwk = key.to_jwk()
    return b"\4" + decode_base64url(jwk["x"]) + decode_base64url(jwk["y"])


def _time(moment: datetime) -> x509.Time:
    # RFC 5280 §4.1.2.5: UTCTime through 2049.
    second = moment.replace(microsecond=0)
    return x509.Time({"utc_time" if second.year < 2050 else "general_time": second})


def _armoured(der: bytes) -> bytes:
    return bytes(pem.armor("CERTIFICATE", der))
