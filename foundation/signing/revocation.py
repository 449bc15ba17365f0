"""Revocation lists of the internal certificate authorities (RFC 5280 §5): which certificates count no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asn1crypto import crl, pem, x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from foundation.signing.algorithms import NUMBER_BYTES, Algorithm, Signer
from foundation.signing.certificates import CertificateAuthority
from foundation.signing.keys import CA_PURPOSE, SM2_CA_PURPOSE
from foundation.signing.keystore import KeyStore
from foundation.signing.sm2_certificates import SM2_WITH_SM3, Sm2CertificateAuthority, key_identifier

REVOCATION_LIST_LIVES: Final = timedelta(days=7)
"""Until when a list counts; whoever fetches one anew each day is told of a revocation within a day."""

_ALGORITHMS: Final = {Algorithm.ES256: "1.2.840.10045.4.3.2", Algorithm.SM2: SM2_WITH_SM3}


def revocation_lists(keys: KeyStore, now: datetime) -> tuple[bytes, ...]:
    """Return the lists of the roots that are in use, DER, dated now: first that of P-256; SM2 only if it has a root.

    A key is revoked because others may have it; so each entry says `keyCompromise`. Certificates below a root that was
    rotated away are not listed by that one any more: it signs no more.

    Raises:
        KeyStateError: the key of a root is of another algorithm.
    """
    record = keys.ensure_active(CA_PURPOSE, Algorithm.ES256, now)
    roots = [(CA_PURPOSE, CertificateAuthority(keys).chain_pem(record.kid))]
    if keys.records(SM2_CA_PURPOSE):
        roots.append((SM2_CA_PURPOSE, Sm2CertificateAuthority(keys).root_pem(now)))
    return tuple(_list(keys, keys.signer(purpose), root, now) for purpose, root in roots)


def _list(keys: KeyStore, signer: Signer, root_pem: str, now: datetime) -> bytes:
    root = _first(root_pem.encode("ascii"))
    algorithm = {"algorithm": _ALGORITHMS[signer.algorithm]}
    told: dict[str, Any] = {
        "version": "v2",
        "signature": algorithm,
        "issuer": root.subject,
        "this_update": _time(now),
        "next_update": _time(now + REVOCATION_LIST_LIVES),
        "crl_extensions": [
            {
                "extn_id": "authority_key_identifier",
                "extn_value": {"key_identifier": key_identifier(signer.public)},
            },
            # It only has to grow; the next list is dated later.
            {"extn_id": "crl_number", "extn_value": int(now.timestamp())},
        ],
    }
    entries = list(_entries(keys, root))
    if entries:  # an empty list is left out (RFC 5280 §5.1.2.6)
        told["revoked_certificates"] = entries
    covered = crl.TbsCertList(told)
    joined = signer.sign(covered.dump())
    r, s = (int.from_bytes(half, "big") for half in (joined[:NUMBER_BYTES], joined[NUMBER_BYTES:]))
    made = {
        "tbs_cert_list": covered,
        "signature_algorithm": algorithm,
        "signature": encode_dss_signature(r, s),
    }
    return bytes(crl.CertificateList(made).dump())


def _entries(keys: KeyStore, root: x509.Certificate) -> Iterator[dict[str, Any]]:
    for kid, (_public, moment) in sorted(keys.revoked().items()):
        path: Path = keys.directory / "certificates" / f"{kid}.pem"
        if not path.exists():
            continue
        certificate = _first(path.read_bytes())
        if certificate.issuer.dump() == root.subject.dump():
            yield {
                "user_certificate": certificate.serial_number,
                "revocation_date": _time(moment),
                "crl_entry_extensions": [{"extn_id": "crl_reason", "extn_value": "key_compromise"}],
            }


def _first(text: bytes) -> x509.Certificate:
    _kind, _headers, der = next(iter(pem.unarmor(text, multiple=True)))
    return x509.Certificate.load(der)


def _time(moment: datetime) -> x509.Time:
    second = moment.replace(microsecond=0)
    return x509.Time({"utc_time" if second.year < 2050 else "general_time": second})
