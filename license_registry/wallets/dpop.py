"""Proofs that whoever uses a token holds the key that it is bound to (DPoP, RFC 9449)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import orjson

from foundation.language import _
from foundation.sensitive import Vault
from foundation.signing import BadJwk, BadJws, PublicKey, encode_base64url, verify_chosen
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS
from license_registry.wallets.errors import (
    DpopNonceNeeded,
    DpopRefused,
    TokenDpopNonceNeeded,
    TokenDpopRefused,
)
from license_registry.wallets.metadata import PROOF_ALGORITHMS
from license_registry.wallets.nonces import NONCE_SECONDS, NonceInvalid, Use, new_nonce, read_nonce
from license_registry.wallets.once import Once

PROOF_TYPE: Final = "dpop+jwt"
PROOF_SECONDS: Final = NONCE_SECONDS
"""How old a proof may be; its nonce bounds it again, by our clock."""
LONGEST_PROOF: Final = 8_000
"""Characters."""
LONGEST_ID: Final = 500
"""Characters of `jti`."""

_PORTS: Final = {"http": 80, "https": 443}
_SAFE: Final = "/-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Bound:
    """The key that a proof was made with: `thumbprint` is `jkt` (RFC 7638, SHA-256), and the proof to be used up."""

    thumbprint: str
    proof: Once


@dataclass(frozen=True, slots=True)
class Request:
    """What a proof has to be made for.

    Args:
        address: of the endpoint as published, without query.
        token: access token that comes with it; None at endpoints that give tokens out.
    """

    method: str
    address: str
    token: str | None = None


def check_proof(vault: Vault, proofs: Sequence[str], request: Request, now: datetime) -> Bound:
    """Return the key behind the proof that came with a request (RFC 9449 §4.3).

    Args:
        proofs: values of all its header fields `DPoP`, of which there is to be one.

    Raises:
        DpopRefused, DpopNonceNeeded: it does not hold, or lacks a nonce of ours that is fresh.
        TokenDpopRefused, TokenDpopNonceNeeded: the same where an access token comes with it.
    """

    def refused(reason: str) -> DpopRefused:
        kind = DpopRefused if request.token is None else TokenDpopRefused
        return kind(_("the DPoP proof does not hold: {reason}"), reason=reason)

    if len(proofs) != 1:
        raise refused("not-one" if proofs else "missing")
    if len(proofs[0]) > LONGEST_PROOF:
        raise refused("too-large")
    try:
        key, said = _verified(proofs[0])
    except BadJws as error:
        raise refused(error.code) from error
    match said:
        case {"htm": str(method), "htu": str(address), "iat": int() | float() as made, "jti": str(proof_id)}:
            pass
        case _:
            raise refused("malformed")
    if not 0 < len(proof_id) <= LONGEST_ID:
        raise refused("malformed")
    if method != request.method:
        raise refused("method-differs")
    if (named := _normal(address)) is None or named != _normal(request.address):
        raise refused("address-differs")
    seconds = now.timestamp()
    if not seconds - PROOF_SECONDS - CLOCK_SKEW_SECONDS <= made <= seconds + CLOCK_SKEW_SECONDS:
        raise refused("not-of-now")
    if request.token is not None and said.get("ath") != token_digest(request.token):
        raise refused("token-differs")
    _check_nonce(vault, said.get("nonce"), request, now)
    thumbprint = key.thumbprint()
    # `made` is bounded by now; one second more, since it may have a fraction.
    until = datetime.fromtimestamp(int(made) + PROOF_SECONDS + CLOCK_SKEW_SECONDS + 1, UTC)
    digest = hashlib.sha256(f"dpop\0{thumbprint}\0{proof_id}".encode()).digest()
    return Bound(thumbprint, Once(digest, until, refused("used")))


def token_digest(token: str) -> str:
    """Return `ath` of an access token (RFC 9449 §4.2)."""
    return encode_base64url(hashlib.sha256(token.encode()).digest())


def _verified(proof: str) -> tuple[PublicKey, Mapping[str, Any]]:
    """Return the key that a proof brings along and is signed by, and its claims.

    Raises:
        BadJws: it does not hold.
    """
    brought: list[PublicKey] = []

    def own(header: Mapping[str, Any]) -> PublicKey | None:
        jwk = header.get("jwk")
        if not isinstance(jwk, dict):
            return None
        try:
            brought.append(PublicKey.from_jwk(jwk))  # refuses private members, as §4.3 asks
        except BadJwk:
            return None
        return brought[0]

    verified = verify_chosen(proof, own, PROOF_TYPE, frozenset(PROOF_ALGORITHMS))
    try:
        said = orjson.loads(verified.payload)
    except orjson.JSONDecodeError as error:
        raise BadJws("malformed", "the claims are not JSON") from error
    if not isinstance(said, dict):
        raise BadJws("malformed", "the claims are no object")
    return brought[0], said


def _check_nonce(vault: Vault, nonce: object, request: Request, now: datetime) -> None:
    try:
        if not isinstance(nonce, str):
            raise NonceInvalid(expired=False)
        read_nonce(vault, Use.DPOP, nonce, now)
    except NonceInvalid as error:
        kind = DpopNonceNeeded if request.token is None else TokenDpopNonceNeeded
        raise kind(new_nonce(vault, Use.DPOP, now)) from error


def _normal(address: str) -> tuple[str, str, int, str] | None:
    """Return scheme, host, port and path, normalised (RFC 3986 §6.2.2, §6.2.3), None for what is no such address.

    Query and fragment are left out, as RFC 9449 §4.3 says.
    """
    if not address.isprintable():
        return None  # some of which would be left out in silence
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return None
    path = parts.path or "/"
    if "%2f" in path.lower() or not {".", ".."}.isdisjoint(unquote(path).split("/")):
        return None  # ours have neither, and whoever sends them wants two readers to read two things
    default = _PORTS[parts.scheme]
    return parts.scheme, parts.hostname, default if port is None else port, quote(unquote(path), safe=_SAFE)
