"""Client authentication by `private_key_jwt` (RFC 7523 §2.2 and §3, OpenID Connect Core §9)."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from foundation.identity.clients import Client
from foundation.identity.errors import AssertionRefused
from foundation.language import _
from foundation.text import is_clean

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE_SECONDS = 300
CLOCK_SKEW_SECONDS = 30
ALGORITHMS = ["ES256", "EdDSA"]


@dataclass(frozen=True, slots=True)
class CheckedAssertion:
    """An assertion that holds; `digest` stands for it in the list of used ones until `expires_at`."""

    digest: bytes
    expires_at: datetime


def claimed_client(assertion: str) -> str:
    """Return the client id that an assertion claims, unverified: only good for finding the key.

    Raises:
        AssertionRefused: it is not a JWT with equal claims `iss` and `sub` of clean text.
    """
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise AssertionRefused(_("the client assertion is not a JWT")) from error
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not is_clean(issuer) or issuer != claims.get("sub"):
        raise AssertionRefused(_("iss and sub of the client assertion must both be the client id"))
    return issuer


def check_assertion(
    assertion: str, client: Client, audiences: Collection[str], now: float
) -> CheckedAssertion:
    """Check signature, audience, life span and `jti` of an assertion.

    Args:
        audiences: addresses by which the token endpoint may be meant.
        now: seconds since the epoch.

    Raises:
        AssertionRefused: says which of them fails.
    """
    key = _key(assertion, client)
    try:
        claims = jwt.decode(
            assertion,
            key,
            algorithms=ALGORITHMS,
            audience=list(audiences),
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "jti"], "strict_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise AssertionRefused(_("the client assertion has expired")) from error
    except jwt.InvalidAudienceError as error:
        raise AssertionRefused(_("the client assertion is meant for another audience")) from error
    except jwt.MissingRequiredClaimError as error:
        raise AssertionRefused(_("the client assertion lacks {claim}"), claim=error.claim) from error
    except jwt.ImmatureSignatureError as error:
        raise AssertionRefused(_("the client assertion is not valid yet")) from error
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
        raise AssertionRefused(_("the signature of the client assertion does not hold")) from error
    except jwt.InvalidTokenError as error:
        raise AssertionRefused(_("the claims of the client assertion cannot be used")) from error
    if not is_clean(claims["jti"]):
        raise AssertionRefused(_("the claims of the client assertion cannot be used"))
    expires = float(claims["exp"])
    if expires - now > LONGEST_LIFE_SECONDS + CLOCK_SKEW_SECONDS:
        raise AssertionRefused(
            _("the client assertion lives longer than {seconds} seconds"), seconds=LONGEST_LIFE_SECONDS
        )
    identity = f"{client.client_id}\0{claims['jti']}".encode()
    # Kept beyond expiry for as long as clock skew would still let the assertion pass.
    return CheckedAssertion(
        hashlib.sha256(identity).digest(),
        datetime.fromtimestamp(expires + 2 * CLOCK_SKEW_SECONDS, UTC),
    )


def _key(assertion: str, client: Client) -> jwt.PyJWK:
    header = jwt.get_unverified_header(assertion)
    keys: list[dict[str, Any]] = client.jwks["keys"]
    kid = header.get("kid")
    candidates = [key for key in keys if kid is None or key.get("kid") == kid]
    if len(candidates) != 1:
        raise AssertionRefused(_("the client assertion names no registered key"))
    try:
        return jwt.PyJWK(candidates[0])
    except jwt.PyJWTError as error:
        raise AssertionRefused(_("the registered key of the client cannot be used")) from error


def make_assertion(client_id: str, key: Any, kid: str, audience: str, *, now: float | None = None) -> str:
    """Make the assertion that a client sends; for clients written in Python, and the demonstration.

    Args:
        key: private key of `cryptography`, P-256 or Ed25519.
    """
    issued = time.time() if now is None else now
    algorithm = "EdDSA" if type(key).__name__.startswith("Ed25519") else "ES256"
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": int(issued),
        "exp": int(issued) + 120,
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})
