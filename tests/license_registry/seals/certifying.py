"""A small authority for tests: certificates of SM2 and P-256 keys, made with the ASN.1 library alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asn1crypto import core, x509
from asn1crypto.keys import NamedCurve, PublicKeyAlgorithm, PublicKeyInfo

from foundation.signing import Algorithm, PublicKey, Signer, decode_base64url
from license_registry.seals.certificates import P256_CURVE, SM2_CURVE, Certificate, read_certificate
from license_registry.seals.octets import signature_der
from license_registry.seals.structures import SIGNATURE_OIDS

NamedCurve.register("sm2p256v1", SM2_CURVE, 32)

BEGIN = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
END = datetime.fromisoformat("2027-01-01T00:00:00+00:00")


def certificate(
    name: str,
    key: PublicKey,
    issuer_name: str,
    issuer: Signer,
    *,
    authority: bool = False,
    usage: frozenset[str] | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
) -> Certificate:
    """Return a certificate; `usage` is by default what fits."""
    if usage is None:
        usage = frozenset({"key_cert_sign"} if authority else {"digital_signature"})
    algorithm = {"algorithm": SIGNATURE_OIDS[issuer.algorithm]}
    told = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": 1,
            "signature": algorithm,
            "issuer": x509.Name.build({"common_name": issuer_name}),
            "validity": {
                "not_before": x509.Time({"utc_time": begin}),
                "not_after": x509.Time({"utc_time": end}),
            },
            "subject": x509.Name.build({"common_name": name}),
            "subject_public_key_info": _info(key),
            "extensions": [
                {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": authority}},
                {"extn_id": "key_usage", "critical": True, "extn_value": set(usage)},
            ],
        }
    )
    signature = signature_der(issuer.sign(told.dump()))
    made = {"tbs_certificate": told, "signature_algorithm": algorithm, "signature_value": signature}
    return read_certificate(x509.Certificate(made).dump())


def _info(key: PublicKey) -> Any:
    jwk = key.to_jwk()
    point = b"\4" + decode_base64url(jwk["x"]) + decode_base64url(jwk["y"])
    curve = SM2_CURVE if key.algorithm is Algorithm.SM2 else P256_CURVE
    algorithm = PublicKeyAlgorithm(
        {"algorithm": "ec", "parameters": ("named", core.ObjectIdentifier(curve).dotted)}
    )
    return PublicKeyInfo({"algorithm": algorithm, "public_key": point})
