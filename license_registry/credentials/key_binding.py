"""Key binding (RFC 9901 §4.3, §7.3): the holder signs for whom and for which question a presentation is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJwk,
    BadJws,
    PublicKey,
    Signer,
    canonical_json,
    sign_compact,
    verify_chosen,
)
from license_registry.credentials.disclosures import DIGEST_ALGORITHM, digest_of
from license_registry.credentials.errors import CredentialInvalid

KB_TYPE: Final = "kb+jwt"
CLOCK_SKEW_SECONDS: Final = 60
"""How far two clocks may be apart (RFC 7519 §4.1.4: a small leeway)."""
OLDEST_SECONDS: Final = 300
"""How old a key binding may be. The nonce says to which question it belongs; this only bounds a late answer."""


@dataclass(frozen=True, slots=True)
class ExpectedBinding:
    """What a verifier asked for.

    Args:
        audience: itself, as the wallet was told.
        nonce: of its question.
        now: seconds since 1970.
    """

    audience: str
    nonce: str
    now: int
    oldest: int = OLDEST_SECONDS
    skew: int = CLOCK_SKEW_SECONDS


def confirmation(key: PublicKey) -> dict[str, Any]:
    """Return the `cnf` claim that binds a credential to a holder's key (RFC 7800 §3.2)."""
    return {"jwk": key.to_jwk()}


def holder_key(claims: Mapping[str, Any]) -> PublicKey:
    """Return the key that `cnf` binds a credential to.

    Raises:
        CredentialInvalid: there is none, or not one that is taken here.
    """
    match claims.get("cnf"):
        case {"jwk": dict(jwk)}:
            try:
                return PublicKey.from_jwk(jwk)
            except BadJwk as error:
                raise CredentialInvalid(_("it is bound to a key that is not taken here")) from error
        case _:
            raise CredentialInvalid(_("it is bound to no key of its holder"))


def make_binding(presentation: str, signer: Signer, *, audience: str, nonce: str, now: int) -> str:
    """Return the key binding of a presentation, which ends with `~` (RFC 9901 §4.3)."""
    claims = {
        "iat": now,
        "aud": audience,
        "nonce": nonce,
        "sd_hash": digest_of(presentation, DIGEST_ALGORITHM),
    }
    return sign_compact(signer, canonical_json(claims), KB_TYPE)


def check_binding(
    presentation: str,
    binding: str,
    claims: Mapping[str, Any],
    algorithm: str,
    allowed: frozenset[Algorithm],
    expected: ExpectedBinding,
) -> None:
    """Check a key binding (RFC 9901 §7.3 step 5).

    Args:
        presentation: all that stands before it, the last `~` included.
        claims: of the credential, `cnf` among them.
        algorithm: `_sd_alg` of the credential.

    Raises:
        CredentialInvalid: it does not hold.
    """
    key = holder_key(claims)
    try:
        said = orjson.loads(verify_chosen(binding, lambda _header: key, KB_TYPE, allowed).payload)
    except BadJws as error:
        raise CredentialInvalid(_("the key binding does not hold: {reason}"), reason=error.code) from error
    except orjson.JSONDecodeError as error:
        raise CredentialInvalid(_("the key binding does not hold: {reason}"), reason="malformed") from error
    match said:
        case {
            "iat": int() | float() as made,
            "aud": str(audience),
            "nonce": str(nonce),
            "sd_hash": str(digest),
        }:
            pass
        case _:
            raise CredentialInvalid(_("the key binding does not hold: {reason}"), reason="malformed")
    wrong = {
        "audience-differs": audience != expected.audience,
        "nonce-differs": nonce != expected.nonce,
        "presentation-differs": digest != digest_of(presentation, algorithm),
        "not-yet-made": made > expected.now + expected.skew,
        "too-old": made < expected.now - expected.oldest - expected.skew,
    }
    for reason, holds in wrong.items():
        if holds:
            raise CredentialInvalid(_("the key binding does not hold: {reason}"), reason=reason)
