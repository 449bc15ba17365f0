"""Letting a person sign in at their issuer, in their browser: code flow with PKCE (OpenID Connect Core §3.1)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx

from foundation.identity.errors import (
    PeopleIssuerUnavailable,
    SignInRefused,
    TokenExpired,
    TokenUnknown,
    TokenWrongAudience,
)
from foundation.identity.people import NO_ANSWER, PeopleVerifier
from foundation.identity.principals import Principal
from foundation.language import _


@dataclass(frozen=True, slots=True)
class SignIn:
    """What we must remember of a sign-in until the person is back.

    Args:
        verifier: secret of PKCE (RFC 7636); nonce: that the ID token must carry.
        redirect_uri: where the person comes back.
    """

    verifier: str
    nonce: str
    redirect_uri: str


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_sign_in(redirect_uri: str) -> SignIn:
    """Return fresh secrets for one sign-in."""
    return SignIn(secrets.token_urlsafe(48), secrets.token_urlsafe(24), redirect_uri)


class SigningIn:
    """Sends people to the issuer whose tokens `people` verifies, and takes them back.

    Args:
        client_id: ours there; `secret`: the one beside it, None for a public client.
        http: client; the caller owns it.
    """

    def __init__(
        self, people: PeopleVerifier, client_id: str, secret: str | None, http: httpx.AsyncClient
    ) -> None:
        self._people = people
        self._client_id = client_id
        self._secret = secret
        self._http = http

    async def address(self, sign_in: SignIn, state: str) -> str:
        """Return the address that the person's browser is sent to.

        Raises:
            PeopleIssuerUnavailable: the issuer does not say where that is.
        """
        endpoint = _named(await self._people.described(), "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": sign_in.redirect_uri,
            "scope": "openid",
            "state": state,
            "nonce": sign_in.nonce,
            "code_challenge": challenge_of(sign_in.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def finish(self, sign_in: SignIn, code: str, issuer: str | None) -> Principal:
        """Return the person who came back with a code.

        Args:
            issuer: `iss` of the answer (RFC 9207), which tells the answer of another issuer from that of ours.

        Raises:
            SignInRefused: another issuer's answer, or a code or token that is not good.
            PeopleIssuerUnavailable: the issuer does not answer; the same may be tried again.
        """
        document = await self._people.described()
        told = document.get("authorization_response_iss_parameter_supported") is True
        if issuer != self._people.issuer and (told or issuer is not None):
            raise SignInRefused(_("the answer is another issuer's"))
        token = await self._redeem(_named(document, "token_endpoint"), sign_in, code)
        try:
            return await self._people.verify(token, sign_in.nonce)
        except (TokenUnknown, TokenExpired, TokenWrongAudience) as error:
            raise SignInRefused(_("the issuer of people gave no token that holds")) from error

    async def _redeem(self, endpoint: str, sign_in: SignIn, code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": sign_in.redirect_uri,
            "client_id": self._client_id,
            "code_verifier": sign_in.verifier,
        }
        # RFC 6749 §2.3.1: both are encoded as in a form before they go into the header.
        auth: httpx.Auth | None = None
        if self._secret is not None:
            auth = httpx.BasicAuth(quote_plus(self._client_id), quote_plus(self._secret))
        try:
            reply = await self._http.post(endpoint, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
            if 400 <= reply.status_code < 500:
                raise SignInRefused(_("the issuer of people gave no token that holds"))
            said: Any = reply.raise_for_status().json()
            token = said["id_token"]
        except NO_ANSWER as error:
            raise PeopleIssuerUnavailable(_("the issuer of people cannot be asked for a token")) from error
        return str(token)


def _named(document: Any, name: str) -> str:
    address = document.get(name)
    if not isinstance(address, str) or not address.startswith(("https://", "http://")):
        raise PeopleIssuerUnavailable(_("the issuer of people does not say where to sign in"))
    return address
