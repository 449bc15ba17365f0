"""Signed codes that work without a network: a CWT in COSE_Sign1 (RFC 8392, RFC 9052), deflated, in base 45 (RFC 9285).

What a QR code of moderate size can hold: the fields that its holder chose, the purpose, until when. The registry
signs it when its holder, signed in, asks for it; that signature is the holder binding.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import base45
import cbor2

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import Algorithm, BadSignature, Signer, decode_base64url
from license_registry.credentials.sd_jwt import Credential
from license_registry.verifying.trust import Trust

PREFIX: Final = "ZT2:"
FORMAT: Final = 1
LONGEST_TEXT: Final = 4296
"""Characters that the largest QR code holds."""
LONGEST_INFLATED: Final = 64 * 1024
KID_BYTES: Final = 8

# Registered claims of RFC 8392, and `status` of Token Status List; ours are below -65536, for private use.
_ISSUER, _EXPIRES, _SIGNED_AT, _ID, _STATUS = 1, 4, 6, 7, 65535
_LICENCE, _PRESENTED, _FORMAT = -65537, -65538, -65539
# SM2 has no registered number in COSE: this one is private to Zhengtong, as its name in JOSE is.
_ALGORITHMS: Final = {Algorithm.ES256: -7, Algorithm.EDDSA: -8, Algorithm.SM2: -65540}
_SIGN1: Final = 18


class OfflineCodeInvalid(DomainError):
    code = "offline-code-invalid"


@dataclass(frozen=True, slots=True)
class OfflineCode:
    """A code as read, its signature checked.

    Args:
        id: of this code alone, so that a second use is noticed.
        presented: purpose, matter and, where somebody acts for the holder, `agent`.
    """

    kid: str
    id: bytes
    signed_at: int
    expires_at: int
    credential: Credential
    presented: Mapping[str, Any]


def make_code(
    signer: Signer,
    code_id: bytes,
    credential: Credential,
    presented: Mapping[str, str],
    *,
    now: int,
    lives: int,
) -> str:
    """Return the text for a QR code.

    Args:
        credential: what is shown of the licence, verified.
        lives: seconds.

    Raises:
        OfflineCodeInvalid: more is shown than a QR code holds.
    """
    claims = credential.claims
    reference = claims["status"]["status_list"]
    kept = {"iat", "iss", "status", "nbf", "exp"}
    licence = {**{k: v for k, v in claims.items() if k not in kept}, **credential.disclosed}
    payload = {
        _ISSUER: claims["iss"],
        _SIGNED_AT: now,
        _EXPIRES: now + lives,
        _ID: code_id,
        _STATUS: {"status_list": {"idx": reference["idx"], "uri": reference["uri"]}},
        _FORMAT: FORMAT,
        _LICENCE: licence,
        _PRESENTED: dict(presented),
    }
    protected = cbor2.dumps({1: _ALGORITHMS[signer.algorithm], 4: decode_base64url(signer.kid)[:KID_BYTES]})
    body = cbor2.dumps(payload)
    signature = signer.sign(_signed(protected, body))
    message = cbor2.dumps(cbor2.CBORTag(_SIGN1, [protected, {}, body, signature]))
    text: str = PREFIX + base45.b45encode(zlib.compress(message, 9)).decode("ascii")
    if len(text) > LONGEST_TEXT:
        raise OfflineCodeInvalid(_("it shows more than a QR code can hold; choose fewer fields"))
    return text


def read_code(text: str, trust: Trust) -> OfflineCode:
    """Return what a code says, after checking its signature. Dates and the licence are the caller's to judge.

    Raises:
        OfflineCodeInvalid: malformed, of an unknown format, or not signed by a key that is known.
    """
    protected, body, signature = _take_apart(text)
    header = _decoded(protected)
    if not isinstance(header, dict) or set(header) != {1, 4} or not isinstance(header[4], bytes):
        # Critical headers (`crit`) too: none is known here.
        raise OfflineCodeInvalid(_("the code is malformed"))
    known = trust.beginning(header[4])
    fitting = {kid: key for kid, key in known.items() if _ALGORITHMS[key.algorithm] == header[1]}
    if known and not fitting:
        raise OfflineCodeInvalid(_("the signature does not hold: {reason}"), reason="algorithm-mismatch")
    for kid, key in fitting.items():
        try:
            key.verify(_signed(protected, body), signature)
        except BadSignature:
            continue
        return _said(kid, _decoded(body))
    reason = "signature-wrong" if known else "key-unknown"
    raise OfflineCodeInvalid(_("the signature does not hold: {reason}"), reason=reason)


def dates_refused(code: OfflineCode, now: datetime, skew: int) -> tuple[str, Mapping[str, object]] | None:
    """Return why a code does not count now, by its dates, or None."""
    moment = now.timestamp()
    if moment >= code.expires_at + skew:
        return _("the code has expired; ask the holder for a new one"), {}
    if moment < code.signed_at - skew:
        return _("it says that it was signed in the future; look at the clock"), {}
    return None


def _signed(protected: bytes, body: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", body])


def _take_apart(text: str) -> tuple[bytes, bytes, bytes]:
    if not text.startswith(PREFIX) or len(text) > LONGEST_TEXT:
        raise OfflineCodeInvalid(_("the code is malformed"))
    try:
        packed = base45.b45decode(text.removeprefix(PREFIX))
        inflater = zlib.decompressobj()
        message = inflater.decompress(packed, LONGEST_INFLATED)
    except (ValueError, zlib.error) as error:
        raise OfflineCodeInvalid(_("the code is malformed")) from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise OfflineCodeInvalid(_("the code is malformed"))
    match _decoded(message):
        case cbor2.CBORTag(tag=18, value=[bytes(protected), unprotected, bytes(body), bytes(signature)]):
            if unprotected:
                raise OfflineCodeInvalid(_("the code is malformed"))
            return protected, body, signature
        case _:
            raise OfflineCodeInvalid(_("the code is malformed"))


def _decoded(data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        value = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as error:
        raise OfflineCodeInvalid(_("the code is malformed")) from error
    if stream.read(1):
        raise OfflineCodeInvalid(_("the code is malformed"))
    return value


def _said(kid: str, claims: Any) -> OfflineCode:
    if not isinstance(claims, Mapping) or claims.get(_FORMAT) != FORMAT:
        raise OfflineCodeInvalid(_("the code is of a format that is not known here"))
    match claims:
        case {
            1: str(issuer),
            6: int(signed_at),
            4: int(expires_at),
            7: bytes(code_id),
            65535: {"status_list": {"idx": int(), "uri": str()}} as status,
            -65537: Mapping() as licence,
            -65538: Mapping() as presented,
        }:
            said = {**licence, "iss": issuer, "iat": signed_at, "status": status}
            return OfflineCode(kid, code_id, signed_at, expires_at, Credential(said, {}, 0), presented)
        case _:
            raise OfflineCodeInvalid(_("the code is malformed"))
