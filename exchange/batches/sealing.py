"""Results sealed to who asked: one JWE (RFC 7516, compact) for each part, ECDH-ES and A256GCM.

The protected header names batch and part, so that no part stands in for another; what is inside are lines of JSON.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from exchange.batches.batch import BatchResultKeyUnusable
from foundation.errors import DomainError
from foundation.language import _

KEY_AGREEMENT = "ECDH-ES"
CIPHER = "A256GCM"
CONTENT = "application/jsonl"
LARGEST_PART = 1 << 28
"""Bytes of a sealed part that a reader takes."""

_CURVES = {"EC": frozenset({"P-256", "P-384", "P-521"}), "OKP": frozenset({"X25519"})}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class _Registry(jwe.JWERegistry):
    max_ciphertext_length = LARGEST_PART


_REGISTRY = _Registry(algorithms=[KEY_AGREEMENT, CIPHER], strict_check_header=False)

Key = ECKey | OKPKey


class BatchResultBroken(DomainError):
    """A result that is not what its statement says; nothing of it may be used."""

    code = "batch-result-broken"


def public_key(jwk: Mapping[str, Any]) -> Key:
    """Return the key that results can be sealed to.

    Raises:
        BatchResultKeyUnusable: it is private, for something else, or of a kind that is not taken.
    """
    if _PRIVATE.intersection(jwk):
        raise BatchResultKeyUnusable(_("send the public half of the key only"), pointer="/result_key")
    if jwk.get("use", "enc") != "enc" or jwk.get("alg", KEY_AGREEMENT) != KEY_AGREEMENT:
        raise BatchResultKeyUnusable(_("the key is for something else"), pointer="/result_key")
    kid = jwk.get("kid", "")
    if not isinstance(kid, str) or len(kid) > 200:
        raise BatchResultKeyUnusable(_("the key cannot be read"), pointer="/result_key")
    return _key(jwk)


def private_key(jwk: Mapping[str, Any]) -> Key:
    """Return the key that opens results.

    Raises:
        BatchResultKeyUnusable: it is not private, or of a kind that is not taken.
    """
    if "d" not in jwk:
        raise BatchResultKeyUnusable(_("the private key is needed"))
    return _key(jwk)


def _key(jwk: Mapping[str, Any]) -> Key:
    kind = jwk.get("kty")
    if not isinstance(kind, str) or jwk.get("crv") not in _CURVES.get(kind, ()):
        raise BatchResultKeyUnusable(
            _("a key on P-256, P-384, P-521 or X25519 is needed"), pointer="/result_key"
        )
    # What else it says of itself (alg, key_ops) is checked above or is no matter of ours.
    bare = {name: jwk[name] for name in ("kty", "crv", "x", "y", "d") if name in jwk}
    try:
        key: Key = ECKey.import_key(bare) if kind == "EC" else OKPKey.import_key(bare)
        key.as_dict(private=False)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise BatchResultKeyUnusable(_("the key cannot be read"), pointer="/result_key") from error
    return key


def seal(key: Key, kid: str | None, batch: uuid.UUID, part: int, plain: bytes) -> bytes:
    """Return the lines of a part as a JWE; `part` is counted from 0."""
    header: dict[str, Any] = {
        "alg": KEY_AGREEMENT,
        "enc": CIPHER,
        "cty": CONTENT,
        "batch": str(batch),
        "part": part,
    }
    if kid:
        header["kid"] = kid
    return jwe.encrypt_compact(header, plain, key, registry=_REGISTRY).encode("ascii")


def unseal(key: Key, batch: str, part: int, sealed: str) -> bytes:
    """Return the lines of a part.

    Raises:
        BatchResultBroken: altered, of another batch, not in its place, or sealed to another key.
    """
    try:
        opened = jwe.decrypt_compact(sealed, key, registry=_REGISTRY)
    except (JoseError, ValueError) as error:
        raise BatchResultBroken(_("part {part} cannot be opened"), part=part) from error
    if (opened.protected.get("batch"), opened.protected.get("part")) != (batch, part):
        raise BatchResultBroken(_("part {part} belongs somewhere else"), part=part)
    if opened.plaintext is None:
        raise BatchResultBroken(_("part {part} cannot be opened"), part=part)
    return opened.plaintext
