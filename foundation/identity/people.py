"""People through OpenID Connect: ID tokens of one configured issuer (OpenID Connect Core §3.1.3.7)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from foundation.identifiers import CitizenId, IdentifierError, contains_citizen_id
from foundation.identity.errors import (
    PeopleIssuerUnavailable,
    TokenExpired,
    TokenUnknown,
    TokenWrongAudience,
)
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.sensitive import Vault

ALGORITHMS = ["ES256", "EdDSA", "RS256", "PS256"]
REFRESH_SECONDS = 30

# No answer, or one that is not what discovery and a JWK set look like.
NO_ANSWER = (
    httpx.HTTPError,
    httpx.InvalidURL,
    jwt.PyJWTError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)


class PeopleVerifier:
    """Checks ID tokens of the configured issuer, whose keys are found by discovery and kept.

    Args:
        issuer: address of the issuer, without `/.well-known/openid-configuration`.
        audience: our client id there.
        claim: claim that carries the citizen ID; it becomes a blind index here and is kept nowhere.
        http: client for discovery; the caller owns it.
    """

    def __init__(self, issuer: str, audience: str, claim: str, vault: Vault, http: httpx.AsyncClient) -> None:
        self.issuer = issuer
        self._audience = audience
        self._claim = claim
        self._vault = vault
        self._http = http
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked = -math.inf

    async def verify(self, token: str, nonce: str | None = None) -> Principal:
        """Return the person of an ID token.

        Args:
            nonce: that the token must carry, where it answers a sign-in of ours.

        Raises:
            TokenUnknown: not of this issuer, wrongly signed, of another sign-in, or without a valid citizen ID.
            TokenExpired, TokenWrongAudience: as they say.
            PeopleIssuerUnavailable: its keys cannot be fetched, so nothing can be said of the token.
        """
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            key = await self._key(kid)
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self.issuer,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpired(_("sign in again")) from error
        except jwt.InvalidAudienceError as error:
            raise TokenWrongAudience(_("this service is {audience}"), audience=self._audience) from error
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise TokenUnknown(_("the token cannot be verified")) from error
        if nonce is not None and claims.get("nonce") != nonce:
            raise TokenUnknown(_("the token is of another sign-in"))
        try:
            citizen_id = CitizenId.parse(str(claims.get(self._claim)))
        except IdentifierError as error:
            raise TokenUnknown(_("the token names no person with a valid citizen ID")) from error
        subject = self._vault.blind_index("citizen-id", citizen_id.reveal())
        name = str(claims["sub"])
        if contains_citizen_id(name):
            # Some issuers call people by the very ID; the name goes into records, the ID must not.
            name = subject.hex()
        return Principal(name, "", frozenset({Role.PERSON}), subject)

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys and time.monotonic() - self._asked > REFRESH_SECONDS:
            self._keys = await self._discover()
            self._asked = time.monotonic()
        if kid not in self._keys:
            # A key may be younger than the last look; but unknown keys must not make us ask at every request.
            raise TokenUnknown(_("the token is signed by an unknown key"))
        return self._keys[kid]

    async def described(self) -> Any:
        """Return the issuer's document of discovery.

        Raises:
            PeopleIssuerUnavailable: there is none, or it is another issuer's.
        """
        try:
            found = await self._http.get(f"{self.issuer}/.well-known/openid-configuration")
            document: Any = found.raise_for_status().json()
            named = document["issuer"]
        except NO_ANSWER as error:
            raise PeopleIssuerUnavailable(_("the issuer of people cannot be asked for its keys")) from error
        if named != self.issuer:
            raise PeopleIssuerUnavailable(_("the configured issuer calls itself otherwise"))
        return document

    async def _discover(self) -> Mapping[str, jwt.PyJWK]:
        try:
            document = await self.described()
            jwks: Any = (await self._http.get(str(document["jwks_uri"]))).raise_for_status().json()
            return {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks).keys if key.key_id}
        except NO_ANSWER as error:
            raise PeopleIssuerUnavailable(_("the issuer of people cannot be asked for its keys")) from error
