"""Compact JWS (RFC 7515 §3.1), read strictly after RFC 8725: the key decides the algorithm, not the token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

from foundation.signing.algorithms import Algorithm, BadSignature, PublicKey, Signer
from foundation.signing.base64url import decode_base64url, encode_base64url
from foundation.signing.canonical import canonical_json

LONGEST_TOKEN: Final = 1 << 20
"""Characters of the longest token that is read."""
LONGEST_HEADER: Final = 16 * 1024
"""Characters of the longest header, in base64url, that is read."""

_OWN_MEMBERS: Final = frozenset({"alg", "kid", "typ", "crit", "b64"})


class BadJws(Exception):
    """The token does not hold.

    Args:
        code: stable: `too-large`, `malformed`, `header-malformed`, `critical-unknown`, `payload-unencoded`,
            `algorithm-refused`, `type-mismatch`, `key-unknown`, `algorithm-mismatch` or `signature-wrong`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature held: its payload as signed, and its protected header."""

    payload: bytes
    header: Mapping[str, Any]


def sign_compact(
    signer: Signer, payload: bytes, typ: str, extra_headers: Mapping[str, Any] | None = None
) -> str:
    """Return a compact JWS over `payload` with `alg`, `kid` and `typ` in its header (RFC 7515 §5.1).

    Raises:
        ValueError: an extra header that is set here or changes how the token is read, or that is not canonical
            JSON.
    """
    if extra_headers:
        forbidden = _OWN_MEMBERS.intersection(extra_headers)
        if forbidden:
            raise ValueError(f"headers that cannot be given: {', '.join(sorted(forbidden))}")
        own = {"alg": signer.algorithm.value, "kid": signer.kid, "typ": typ}
        header = encode_base64url(canonical_json({**extra_headers, **own}))
    else:
        header = _header(signer.algorithm, signer.kid, typ)
    signed = f"{header}.{encode_base64url(payload)}"
    return f"{signed}.{encode_base64url(signer.sign(signed.encode('ascii')))}"


def verify_compact(
    token: str, keys: Mapping[str, PublicKey], typ: str | None, allowed: frozenset[Algorithm]
) -> Verified:
    """Check a compact JWS (RFC 7515 §5.2) with the key of `keys` that its `kid` names.

    Keys that the token brings along (`jwk`, `jku`, `x5c`, `x5u`) are never used.

    Args and raises: as for `verify_chosen`.
    """

    def named(header: Mapping[str, Any]) -> PublicKey | None:
        kid = header.get("kid")
        return keys.get(kid) if isinstance(kid, str) else None

    return verify_chosen(token, named, typ, allowed)


def verify_chosen(
    token: str,
    choose: Callable[[Mapping[str, Any]], PublicKey | None],
    typ: str | None,
    allowed: frozenset[Algorithm],
) -> Verified:
    """Check a compact JWS (RFC 7515 §5.2) with the key that the caller chooses by its header, not yet checked.

    Args:
        choose: gives the key, None if it trusts none; what else it raises goes through.
        typ: the type that the token must state (RFC 8725 §3.11), compared as a media type: without regard to case
            and with or without `application/` (RFC 7515 §4.1.9). None takes any.
        allowed: algorithms that the caller takes.

    Raises:
        BadJws: it does not hold; see there for the codes.
    """
    header_text, payload_text, signature_text = _parts(token)
    header = _read_header(header_text)
    if "crit" in header:
        raise BadJws("critical-unknown", "the header demands extensions that are not known here")
    if header.get("b64", True) is not True:
        raise BadJws("payload-unencoded", "unencoded payloads (RFC 7797) are not taken")
    key = _key(header, choose, allowed)
    if typ is not None and _media_type(header.get("typ")) != _media_type(typ):
        raise BadJws("type-mismatch", f"the token is not of type {typ}")
    try:
        payload = decode_base64url(payload_text)
        signature = decode_base64url(signature_text)
    except ValueError as error:
        raise BadJws("malformed", "a part is not base64url") from error
    try:
        key.verify(token[: len(header_text) + 1 + len(payload_text)].encode("ascii"), signature)
    except BadSignature as error:
        raise BadJws("signature-wrong", "the signature does not hold") from error
    return Verified(payload, header)


@lru_cache(maxsize=256)
def _header(algorithm: Algorithm, kid: str, typ: str) -> str:
    return encode_base64url(canonical_json({"alg": algorithm.value, "kid": kid, "typ": typ}))


def _parts(token: str) -> tuple[str, str, str]:
    if len(token) > LONGEST_TOKEN:
        raise BadJws("too-large", "the token is too long")
    parts = token.split(".", 3)
    if len(parts) != 3 or not token.isascii():
        raise BadJws("malformed", "a compact JWS has three parts of base64url")
    header, payload, signature = parts
    if len(header) > LONGEST_HEADER:
        raise BadJws("too-large", "the header is too long")
    return header, payload, signature


@lru_cache(maxsize=256)
def _read_header(text: str) -> Mapping[str, Any]:
    # One signer's headers are all the same.
    try:
        decoded = decode_base64url(text).decode("utf-8")
        header = json.loads(decoded, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadJws("header-malformed", "the header is not JSON in base64url") from error
    if not isinstance(header, dict):
        raise BadJws("header-malformed", "the header is not an object")
    return MappingProxyType(header)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):  # RFC 7515 §4: two readers may see two different headers
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not JSON")


def _key(
    header: Mapping[str, Any],
    choose: Callable[[Mapping[str, Any]], PublicKey | None],
    allowed: frozenset[Algorithm],
) -> PublicKey:
    stated = header.get("alg")
    if not isinstance(stated, str) or stated not in allowed:
        raise BadJws("algorithm-refused", "the algorithm is not taken here")
    key = choose(header)
    if key is None:
        raise BadJws("key-unknown", "the header names no key that is known here")
    if key.algorithm.value != stated:
        raise BadJws("algorithm-mismatch", "the key is for another algorithm than the header states")
    return key


def _media_type(typ: object) -> str | None:
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None
