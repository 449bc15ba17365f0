"""A local OpenID Connect issuer for development: whoever asks may be anybody.

It exists so that the whole can be tried without a national identity platform, and must never face a network:
settings refuse it unless the service listens on loopback, and so does `mount` itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import time
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from foundation.identifiers import CitizenId, IdentifierError
from foundation.identity.errors import TokenRequestMalformed
from foundation.identity.guard import PUBLIC, audited
from foundation.language import _, both
from foundation.settings import LOOPBACK_HOSTS, Settings, SettingsError
from foundation.signing import KeyStore, canonical_json, sign_compact

PREFIX = "/development-issuer"
PURPOSE = "development-issuer"
CODE_SECONDS = 60
TOKEN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class _Authorisation:
    citizen_id: str
    name: str
    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str | None
    expires: float


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """State of the issuer: codes given out and not yet redeemed, in memory only."""

    issuer: str
    client_id: str
    keys: KeyStore
    codes: dict[str, _Authorisation] = field(default_factory=dict)


def mount(app: FastAPI, settings: Settings, keys: KeyStore) -> None:
    """Serve the issuer under `/development-issuer`.

    Raises:
        SettingsError: the service listens beyond loopback.
    """
    if settings.listen_host not in LOOPBACK_HOSTS:
        raise SettingsError("the development issuer refuses to run on a service that listens beyond loopback")
    issuer = DevelopmentIssuer(settings.base_url + PREFIX, settings.people_audience, keys)
    app.state.development_issuer = issuer
    app.include_router(router, prefix=PREFIX)


router = APIRouter(tags=["development-issuer"], include_in_schema=False)


@router.get("/.well-known/openid-configuration", dependencies=PUBLIC, openapi_extra=audited("none"))
async def discovery(request: Request) -> dict[str, object]:
    """Describe the issuer (OpenID Connect Discovery §3)."""
    issuer: DevelopmentIssuer = request.app.state.development_issuer
    return {
        "issuer": issuer.issuer,
        "authorization_endpoint": f"{issuer.issuer}/authorize",
        "token_endpoint": f"{issuer.issuer}/token",
        "jwks_uri": f"{issuer.issuer}/jwks.json",
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    }


@router.get("/jwks.json", dependencies=PUBLIC, openapi_extra=audited("none"))
async def keys(request: Request) -> dict[str, object]:
    """Give the public key of the ID tokens."""
    issuer: DevelopmentIssuer = request.app.state.development_issuer
    wanted = set(issuer.keys.verification_keys(PURPOSE))
    return {"keys": [key for key in issuer.keys.jwks()["keys"] if key["kid"] in wanted]}


@router.get("/authorize", dependencies=PUBLIC, openapi_extra=audited("none"))
async def ask(
    client_id: str,
    redirect_uri: str,
    code_challenge: str,
    response_type: str = "code",
    code_challenge_method: str = "S256",
    state: str = "",
    nonce: str = "",
) -> Response:
    """Ask who to be, on a page."""
    _check_request(response_type, code_challenge_method, redirect_uri)
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
        for name, value in {
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "code_challenge": code_challenge,
            "state": state,
            "nonce": nonce,
        }.items()
    )
    return HTMLResponse(
        "<!doctype html><meta charset=utf-8><title>证通</title>"
        f"<h1>{html.escape(both(_('Sign in (development only)')))}</h1><form method=post>{hidden}"
        f"<p><label>{html.escape(both(_('Citizen ID')))} <input name=citizen_id required></label>"
        f"<p><label>{html.escape(both(_('Name')))} <input name=name required></label>"
        f"<p><button>{html.escape(both(_('Sign in')))}</button></form>"
    )


@router.post("/authorize", dependencies=PUBLIC, openapi_extra=audited("none"))
async def authorise(
    request: Request,
    client_id: Annotated[str, Form()],
    redirect_uri: Annotated[str, Form()],
    code_challenge: Annotated[str, Form()],
    citizen_id: Annotated[str, Form()],
    name: Annotated[str, Form()],
    state: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Send the person back with an authorisation code (RFC 6749 §4.1.2, PKCE by RFC 7636)."""
    issuer: DevelopmentIssuer = request.app.state.development_issuer
    _check_request("code", "S256", redirect_uri)
    if client_id != issuer.client_id:
        raise TokenRequestMalformed(_("client_id is not known here"))
    try:
        checked = CitizenId.parse(citizen_id)
    except IdentifierError as error:
        raise TokenRequestMalformed(_("the citizen ID is not valid ({reason})"), reason=error.code) from error
    code = secrets.token_urlsafe(32)
    now = time.time()
    for old in [known for known, entry in issuer.codes.items() if entry.expires < now]:
        del issuer.codes[old]
    issuer.codes[code] = _Authorisation(
        checked.reveal(), name, client_id, redirect_uri, code_challenge, nonce or None, now + CODE_SECONDS
    )
    query = urlencode({"code": code, "state": state} if state else {"code": code})
    separator = "&" if urlsplit(redirect_uri).query else "?"
    return RedirectResponse(f"{redirect_uri}{separator}{query}", status_code=303)


@router.post("/token", dependencies=PUBLIC, openapi_extra=audited("none"))
async def redeem(
    request: Request,
    grant_type: Annotated[str, Form()],
    code: Annotated[str, Form()],
    code_verifier: Annotated[str, Form()],
    client_id: Annotated[str, Form()],
    redirect_uri: Annotated[str, Form()],
) -> Response:
    """Exchange a code, once, for an ID token."""
    issuer: DevelopmentIssuer = request.app.state.development_issuer
    known = issuer.codes.pop(code, None)
    digest = hashlib.sha256(code_verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    now = time.time()
    if (
        grant_type != "authorization_code"
        or known is None
        or known.expires < now
        or (known.client_id, known.redirect_uri) != (client_id, redirect_uri)
        or not hmac.compare_digest(known.challenge.encode(), challenge.encode())
    ):
        raise TokenRequestMalformed(_("the authorisation code is not good"))
    signer = issuer.keys.signer(PURPOSE)
    claims = {
        "iss": issuer.issuer,
        "sub": hashlib.sha256(f"{issuer.issuer}\0{known.citizen_id}".encode()).hexdigest()[:32],
        "aud": client_id,
        "iat": int(now),
        "exp": int(now) + TOKEN_SECONDS,
        "name": known.name,
        "citizen_id": known.citizen_id,
    }
    if known.nonce:
        claims["nonce"] = known.nonce
    token = sign_compact(signer, canonical_json(claims), "JWT")
    body = {"id_token": token, "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _check_request(response_type: str, method: str, redirect_uri: str) -> None:
    if response_type != "code" or method != "S256":
        raise TokenRequestMalformed(_("only response_type=code with S256 is offered"))
    try:
        target = urlsplit(redirect_uri)
        on_loopback = target.scheme in {"http", "https"} and target.hostname in LOOPBACK_HOSTS
    except ValueError:  # brackets that hold no IPv6 address
        on_loopback = False
    if not on_loopback:
        raise TokenRequestMalformed(_("redirect_uri must be on loopback"))
