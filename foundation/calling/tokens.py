"""Who calls, and the access tokens they hold (RFC 7523 client assertions, RFC 9068 tokens)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from foundation.calling.calls import read_json
from foundation.calling.errors import ReplyUnreadable
from foundation.signing import Signer, canonical_json, sign_compact

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS: Final = 120
RENEW_BEFORE_SECONDS: Final = 30.0
"""A token is renewed when it has this much left, or a fifth of its life, whichever is less."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A registered system: its client id, and the private key whose public half is registered."""

    client_id: str
    signer: Signer


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; after `renew_at` (seconds since the epoch) it is not used any more."""

    text: str = field(repr=False)
    renew_at: float


class TokenCache:
    """Tokens by whom they are for. Holds no lock: who renews sees to it that one does at a time."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def good(self, audience: str, now: float) -> str | None:
        """Return a token that can be used now, if there is one."""
        held = self._tokens.get(audience)
        return held.text if held is not None and now < held.renew_at else None

    def keep(self, audience: str, token: Token) -> None:
        """Keep a token in the place of the one before."""
        self._tokens[audience] = token

    def drop(self, audience: str, text: str) -> None:
        """Forget a token that the service does not take any more; not one that has come since."""
        held = self._tokens.get(audience)
        if held is not None and held.text == text:
            del self._tokens[audience]


def assertion(identity: Identity, issuer: str, now: float) -> str:
    """Return a fresh client assertion for the authorisation server `issuer`; it holds once."""
    claims = {
        "iss": identity.client_id,
        "sub": identity.client_id,
        "aud": issuer,
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    return sign_compact(identity.signer, canonical_json(claims), "JWT")


def token_form(identity: Identity, issuer: str, audience: str, now: float) -> dict[str, str]:
    """Return the form that is sent to the token endpoint."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(identity, issuer, now),
        "resource": audience,
    }


def read_token(reply: httpx.Response, now: float) -> Token:
    """Read the token endpoint's reply.

    Args:
        now: when it was asked for; its life is counted from there.
    """
    body: dict[str, Any] = read_json(reply)
    text, lives = body.get("access_token"), body.get("expires_in")
    if not isinstance(text, str) or not isinstance(lives, int) or isinstance(lives, bool):
        raise ReplyUnreadable("the reply of the token endpoint holds no token")
    return Token(text, now + lives - min(RENEW_BEFORE_SECONDS, lives / 5))
