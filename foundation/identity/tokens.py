"""Access tokens: JWT by RFC 9068, made at the token endpoint, checked at every request."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from foundation.identity.clients import Client
from foundation.identity.errors import TokenExpired, TokenUnknown, TokenWrongAudience
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.signing import Algorithm, Signer, canonical_json, sign_compact

TYPE = "at+jwt"
ALGORITHM = Algorithm.ES256
CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """What the token endpoint answers with (RFC 6749 §5.1); `expires_in` in seconds."""

    access_token: str
    expires_in: int


def issue_token(
    signer: Signer, issuer: str, client: Client, audience: str, *, now: float, seconds: int
) -> IssuedToken:
    """Make an access token for one service (`audience`) by RFC 9068 §2.2."""
    claims = {
        "iss": issuer,
        "sub": client.client_id,
        "client_id": client.client_id,
        "aud": audience,
        "iat": int(now),
        "exp": int(now) + seconds,
        "jti": uuid.uuid4().hex,
        "department": client.department,
        "roles": sorted(client.roles),
    }
    return IssuedToken(sign_compact(signer, canonical_json(claims), TYPE), seconds)


class TokenVerifier:
    """Checks access tokens for one service.

    A token that held once is remembered until it expires, so that the signature is checked once per token and
    not once per request. The memory is bounded; the oldest entries go first.

    Args:
        keys: gives the public keys by `kid`, as PyJWT takes them; asked again when a `kid` is new.
    """

    def __init__(self, issuer: str, audience: str, keys: Callable[[], Mapping[str, jwt.PyJWK]]) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._known: dict[str, tuple[Principal, float]] = {}

    def remembers(self, token: str) -> bool:
        """True for a token that held before, whether or not it still does."""
        return token in self._known

    def verify(self, token: str, now: float | None = None) -> Principal:
        """Return the caller of a token.

        Raises:
            TokenUnknown: malformed, of another kind, wrongly signed, or from another issuer.
            TokenExpired: past its `exp`.
            TokenWrongAudience: meant for another service.
        """
        moment = time.time() if now is None else now
        known = self._known.get(token)
        if known is not None:
            if moment < known[1]:
                return known[0]
            del self._known[token]
            raise TokenExpired(_("get a new one at the token endpoint"))
        claims = self._decode(token)
        try:
            principal = Principal(
                id=str(claims["client_id"]),
                department=str(claims["department"]),
                roles=frozenset(Role(role) for role in claims["roles"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            # Signed by us, yet not by this release: another one may know other roles.
            raise TokenUnknown(_("the token cannot be verified")) from error
        if len(self._known) >= CACHE_ENTRIES:
            del self._known[next(iter(self._known))]
        self._known[token] = (principal, float(claims["exp"]))
        return principal

    def _decode(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if str(header.get("typ", "")).lower().removeprefix("application/") != TYPE:
                raise TokenUnknown(_("the token is not an access token"))
            key = self._keys().get(str(header.get("kid")))
            if key is None:
                raise TokenUnknown(_("the token is signed by an unknown key"))
            decoded: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM.value],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired(_("get a new one at the token endpoint")) from error
        except jwt.InvalidAudienceError as error:
            raise TokenWrongAudience(_("this service is {audience}"), audience=self._audience) from error
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise TokenUnknown(_("the token cannot be verified")) from error
        return decoded
