"""The internal certificate authority: one root, and below it one certificate per signing key (RFC 5280).

It lets a verifier who holds the root check any key of ours; it is for use inside and no public authority.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from foundation.signing.algorithms import Algorithm, Ed25519PublicKey, P256PublicKey, P256Signer, PublicKey
from foundation.signing.keys import CA_PURPOSE
from foundation.signing.keystore import KeyStore, KeyStoreError, locked, write_whole

ROOT_NAME: Final = "Zhengtong internal root"
ROOT_LIFETIME: Final = timedelta(days=3653)
LEAF_LIFETIME: Final = timedelta(days=730)


class CertificateUnavailable(LookupError):
    """There is no certificate for this key, and there cannot be one; the message says why."""


class CertificateAuthority:
    """Issues certificates and keeps them in `certificates/` beside the keys: a key has one, always the same.

    Root: P-256, ten years. Leaf: subject CN is the `kid`, key usage digitalSignature, two years but never longer
    than the root.
    """

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._directory = keys.directory / "certificates"
        self._directory.mkdir(exist_ok=True, mode=0o700)

    def issue(self, kid: str, now: datetime) -> str:
        """Return the PEM chain of a key, leaf first, root last; issued at `now` if there was none.

        Raises:
            CertificateUnavailable: no such key, an SM2 key, or a key for root certificates that is not active.
        """
        root_keys = self._keys.verification_keys(CA_PURPOSE)
        public = self._keys.verification_keys().get(kid) or root_keys.get(kid)
        if public is None:
            raise CertificateUnavailable(f"{kid}: no such key")
        path = self._path(kid)
        if path.exists():
            return path.read_text(encoding="ascii")
        subject_key = _certifiable(kid, public)
        self._keys.ensure_active(CA_PURPOSE, Algorithm.ES256, now)
        signer = self._keys.signer(CA_PURPOSE)
        if not isinstance(signer, P256Signer):
            raise KeyStoreError(f"{self._keys.directory}: the root certificate's key is not of P-256")
        if kid in root_keys and kid != signer.kid:
            # A leaf under the kid of a root would later be taken for that root.
            raise CertificateUnavailable(f"{kid}: a key of {CA_PURPOSE} has a certificate once it is active")
        with locked(self._directory, exclusive=True):
            if not path.exists():
                root_path = self._path(signer.kid)
                if not root_path.exists():
                    write_whole(root_path, _root(signer, now).public_bytes(Encoding.PEM))
                root = x509.load_pem_x509_certificate(root_path.read_bytes())
                if kid != signer.kid:
                    leaf = _leaf(kid, subject_key, signer, root, now)
                    write_whole(path, leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM))
        return path.read_text(encoding="ascii")

    def chain_pem(self, kid: str) -> str:
        """Return the PEM chain of a key, leaf first, root last.

        If none was issued, it is, with a validity that begins when the key was made: so a key fresh from a rotation
        is never without one.

        Raises:
            CertificateUnavailable: as for `issue`.
        """
        for record in self._keys.records():
            if record.kid == kid:
                return self.issue(kid, record.created_at)
        raise CertificateUnavailable(f"{kid}: no such key")

    def _path(self, kid: str) -> Path:
        return self._directory / f"{kid}.pem"


def _certifiable(kid: str, public: PublicKey) -> CertificatePublicKeyTypes:
    match public:
        case P256PublicKey() | Ed25519PublicKey():
            return public.key
        case _:
            raise CertificateUnavailable(
                f"{kid}: an SM2 key cannot be put into a certificate here; take it from the JWK set"
            )


def _root(signer: P256Signer, now: datetime) -> x509.Certificate:
    name = _name(ROOT_NAME)
    key = signer.private_key.public_key()
    usage = _usage(digital_signature=False, key_cert_sign=True, crl_sign=True)
    return (
        _begun(name, name, key, now, now + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(signer.private_key, SHA256())
    )


def _leaf(
    kid: str, key: CertificatePublicKeyTypes, signer: P256Signer, root: x509.Certificate, now: datetime
) -> x509.Certificate:
    end = min(now + LEAF_LIFETIME, root.not_valid_after_utc)
    if end <= now:
        raise CertificateUnavailable(
            f"{kid}: the root certificate has expired; rotate the key of {CA_PURPOSE}"
        )
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.private_key.public_key())
    return (
        _begun(_name(kid), root.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=False, crl_sign=False), critical=True)
        .add_extension(issuer_key, critical=False)
        .sign(signer.private_key, SHA256())
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, digital_signature: bool, key_cert_sign: bool, crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
