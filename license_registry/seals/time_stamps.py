"""Time stamps (RFC 3161): asking for one, reading the answer, and whether one holds. No network here."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

LARGEST: Final = 256 << 10
REPLY_TYPE: Final = "application/timestamp-reply"
QUERY_TYPE: Final = "application/timestamp-query"
_DEEPEST: Final = 4
"""Certificates between an authority of time stamps and a trusted root."""
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)


class TimeStampBroken(Exception):
    """A time stamp does not hold.

    Args:
        code: stable: `malformed`, `algorithm-unknown`, `root-unknown`, `data-differ`, `signature-wrong`, `expired`,
            `not-for-time-stamps`; of an answer also `refused` and `another-question`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def question(covered: bytes) -> tuple[bytes, int]:
    """Return a request for a time stamp over some octets, DER, and the number that its answer has to repeat."""
    nonce = secrets.randbits(63)
    asked = tsp.TimeStampReq(
        {
            "version": 1,
            "message_imprint": {
                "hash_algorithm": {"algorithm": "sha256"},
                "hashed_message": hashlib.sha256(covered).digest(),
            },
            "nonce": nonce,
            "cert_req": True,
        }
    )
    return bytes(asked.dump()), nonce


def token_of(reply: bytes, nonce: int) -> bytes:
    """Return the token of an answer, DER; whether it holds is to be checked.

    Raises:
        TimeStampBroken: the authority refused, it answers another question, or what came is no answer.
    """
    try:
        if len(reply) > LARGEST:
            raise ValueError("larger than anything that is read")
        # A refusal is the status alone, which the library's structure for whole answers does not take.
        parts = core.Sequence.load(reply, strict=True)
        status = tsp.PKIStatusInfo.load(bytes(parts[0].dump()), strict=True)
        if status["status"].native not in {"granted", "granted_with_mods"}:
            raise TimeStampBroken("refused")
        token = bytes(parts[1].dump())
        if _info(cms.ContentInfo.load(token, strict=True)["content"])["nonce"].native != nonce:
            raise TimeStampBroken("another-question")
        return token
    except _UNREADABLE as error:
        raise TimeStampBroken("malformed") from error


def check_time_stamp(token: bytes, covered: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """Return the moment by which some octets were there, by the word of an authority below a trusted root.

    Raises:
        TimeStampBroken: it does not hold; see there for the codes.
    """
    try:
        if len(token) > LARGEST:
            raise ValueError("larger than anything that is read")
        content = cms.ContentInfo.load(token, strict=True)
        if content["content_type"].native != "signed_data":
            raise ValueError("no signed data")
        signed = content["content"]
        told = _info(signed)
        (signer,) = signed["signer_infos"]
        at: datetime = told["gen_time"].native.astimezone(UTC)
        imprint = told["message_imprint"]
        digest = _hash(imprint["hash_algorithm"])
        expected, bound = bytes(imprint["hashed_message"].native), _attributes(signer)
        held = [
            x509.load_der_x509_certificate(each.chosen.dump())
            for each in signed["certificates"]
            if each.name == "certificate"
        ]
    except _UNREADABLE as error:
        raise TimeStampBroken("malformed") from error
    if _digest(digest, covered) != expected:
        raise TimeStampBroken("data-differ")
    own = _own(signer, held)
    _require_bound(signed, signer, bound, own)
    _require_signature(signer, own)
    _require_trusted(own, held, roots, at)
    return at


def _info(signed: Any) -> Any:
    inner = signed["encap_content_info"]
    if inner["content_type"].native != "tst_info":
        raise ValueError("no time stamp")
    return tsp.TSTInfo.load(bytes(inner["content"]), strict=True)


def _hash(algorithm: Any) -> hashes.HashAlgorithm:
    found = _HASHES.get(algorithm["algorithm"].native)
    if found is None:
        raise TimeStampBroken("algorithm-unknown")
    return found


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _attributes(signer: Any) -> dict[str, Any]:
    return {each["type"].native: each["values"][0] for each in signer["signed_attrs"]}


def _own(signer: Any, held: Sequence[x509.Certificate]) -> x509.Certificate:
    sid = signer["sid"]
    if sid.name != "issuer_and_serial_number":
        raise TimeStampBroken("algorithm-unknown")
    issuer, serial = bytes(sid.chosen["issuer"].dump()), sid.chosen["serial_number"].native
    for each in held:
        if each.serial_number == serial and each.issuer.public_bytes() == issuer:
            return each
    # Whoever asks for a token asks for the certificate with it.
    raise TimeStampBroken("root-unknown")


def _require_bound(signed: Any, signer: Any, bound: dict[str, Any], own: x509.Certificate) -> None:
    """Return if what is signed names the content by its digest, and the certificate of the signer (RFC 5816)."""
    try:
        content = bytes(signed["encap_content_info"]["content"])
        named = bound["message_digest"].native == _digest(_hash(signer["digest_algorithm"]), content)
        typed = bound["content_type"].native == "tst_info"
        der = own.public_bytes(Encoding.DER)
        if "signing_certificate_v2" in bound:
            first = bound["signing_certificate_v2"]["certs"][0]
            certified = first["cert_hash"].native == _digest(_hash(first["hash_algorithm"]), der)
        else:
            first = bound["signing_certificate"]["certs"][0]
            certified = first["cert_hash"].native == hashlib.sha1(der, usedforsecurity=False).digest()
    except _UNREADABLE as error:
        raise TimeStampBroken("malformed") from error
    if not (named and typed and certified):
        raise TimeStampBroken("signature-wrong")


def _require_signature(signer: Any, own: x509.Certificate) -> None:
    # What is signed is the SET OF, not the [0] that stands in its place (RFC 5652 §5.4).
    covered = signer["signed_attrs"].untag().dump()
    signature = bytes(signer["signature"].native)
    digest = _hash(signer["digest_algorithm"])
    try:
        key, kind = own.public_key(), signer["signature_algorithm"].signature_algo
        if isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
            key.verify(signature, covered, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(signature, covered, ec.ECDSA(digest))
        else:
            raise TimeStampBroken("algorithm-unknown")
    except InvalidSignature as error:
        raise TimeStampBroken("signature-wrong") from error
    except (UnsupportedAlgorithm, ValueError) as error:
        raise TimeStampBroken("algorithm-unknown") from error


def _require_trusted(
    own: x509.Certificate, held: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> None:
    try:
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise TimeStampBroken("not-for-time-stamps") from error
    if list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING] or not usage.critical:
        raise TimeStampBroken("not-for-time-stamps")
    current = own
    for _step in range(_DEEPEST):
        if not current.not_valid_before_utc <= at <= current.not_valid_after_utc:
            raise TimeStampBroken("expired")
        root = next((each for each in roots if _issued(current, each)), None)
        if root is not None:
            if not root.not_valid_before_utc <= at <= root.not_valid_after_utc:
                raise TimeStampBroken("expired")
            return
        between = next((each for each in held if _is_authority(each) and _issued(current, each)), None)
        if between is None or between == current:
            break
        current = between
    raise TimeStampBroken("root-unknown")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
