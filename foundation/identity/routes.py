"""HTTP of the authorisation server: token endpoint, metadata (RFC 8414), keys (RFC 7517), certificates."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.identity import tables
from foundation.identity.assertions import ASSERTION_TYPE, check_assertion, claimed_client
from foundation.identity.errors import (
    IDENTITY_PROBLEMS,
    AssertionRefused,
    AssertionReplayed,
    GrantTypeUnsupported,
    TargetUnknown,
    TokenRequestMalformed,
)
from foundation.identity.guard import PUBLIC, audited
from foundation.identity.tokens import issue_token
from foundation.language import _
from foundation.openapi import media
from foundation.problems import documented
from foundation.signing import CertificateAuthority, CertificateUnavailable, KeyStore
from foundation.signing.revocation import revocation_lists

TOKEN_PURPOSE = "access-token"  # noqa: S105 -- the name of a purpose, not a secret


@dataclass(frozen=True, slots=True)
class AuthorisationServer:
    """What the token endpoint works with; put into `app.state.authorisation_server`.

    Args:
        issuer: address of this server, the `iss` of its tokens.
        audiences: services that tokens can be had for; the first is the default.
    """

    issuer: str
    audiences: tuple[str, ...]
    engine: AsyncEngine
    keys: KeyStore
    certificates: CertificateAuthority
    token_seconds: int


class TokenReply(TypedDict):
    """An access token (RFC 6749 §5.1); `expires_in` in seconds."""

    access_token: str
    token_type: str
    expires_in: int


class KeySetReply(TypedDict):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, Any]]


class ServerMetadata(TypedDict):
    """Metadata of the authorisation server (RFC 8414 §2)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    response_types_supported: list[str]


router = APIRouter(tags=["identity"])


@router.post(
    "/oauth2/token",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={200: {"model": TokenReply}, **documented(IDENTITY_PROBLEMS, IDENTITY_PROBLEMS)},
    summary="Access token by client credentials with private_key_jwt",
)
async def token(
    request: Request,
    grant_type: Annotated[str, Form()] = "",
    client_assertion_type: Annotated[str, Form()] = "",
    client_assertion: Annotated[str, Form()] = "",
    resource: Annotated[str | None, Form()] = None,
    named_client: Annotated[str | None, Form(alias="client_id")] = None,
) -> Response:
    """Give an access token to a department's system that proves to hold its private key.

    1. Find the client that the assertion claims.
    2. Check the assertion with the client's registered keys.
    3. Mark it as used, durably: if we die after this, the client makes a new assertion.
    4. Sign and give out the token.
    """
    server: AuthorisationServer = request.app.state.authorisation_server
    if grant_type != "client_credentials":
        raise GrantTypeUnsupported(_("grant_type must be client_credentials"))
    if client_assertion_type != ASSERTION_TYPE or not client_assertion:
        raise TokenRequestMalformed(_("client_assertion and its type for private_key_jwt are needed"))
    audience = resource or server.audiences[0]
    if audience not in server.audiences:
        raise TargetUnknown(_("known are: {audiences}"), audiences=", ".join(server.audiences))
    client_id = claimed_client(client_assertion)
    if client_id != (named_client or client_id):
        raise AssertionRefused(_("client_id names another client than the assertion"))
    client = await tables.find_client(server.engine, client_id)
    if client is None:
        raise AssertionRefused(_("the client is not registered"))
    now = time.time()
    checked = check_assertion(client_assertion, client, (server.issuer, f"{server.issuer}/oauth2/token"), now)
    if not await tables.use_assertion(server.engine, checked.digest, checked.expires_at):
        raise AssertionReplayed(_("make a new assertion for every token request"))
    signer = server.keys.signer(TOKEN_PURPOSE)
    issued = issue_token(signer, server.issuer, client, audience, now=now, seconds=server.token_seconds)
    body = {"access_token": issued.access_token, "token_type": "Bearer", "expires_in": issued.expires_in}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


@router.get("/.well-known/oauth-authorization-server", dependencies=PUBLIC, openapi_extra=audited("none"))
async def metadata(request: Request) -> ServerMetadata:
    """Describe this authorisation server (RFC 8414)."""
    server: AuthorisationServer = request.app.state.authorisation_server
    return {
        "issuer": server.issuer,
        "token_endpoint": f"{server.issuer}/oauth2/token",
        "jwks_uri": f"{server.issuer}/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA"],
        "response_types_supported": [],
    }


@router.get(
    "/jwks.json", dependencies=PUBLIC, openapi_extra=audited("none"), responses={200: {"model": KeySetReply}}
)
async def jwks(request: Request) -> JSONResponse:
    """Give all public keys: of tokens, answers and licences; the coming ones and the retired ones too."""
    server: AuthorisationServer = request.app.state.authorisation_server
    server.keys.reload()
    return JSONResponse(server.keys.jwks(), headers={"Cache-Control": "public, max-age=60"})


@router.get(
    "/certificates/{kid}.pem",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        200: media("text/plain", "Certificates in PEM"),
        **documented(IDENTITY_PROBLEMS, ["not-found"]),
    },
)
async def certificate(kid: str, request: Request) -> Response:
    """Give the certificate chain of a key, leaf first."""
    server: AuthorisationServer = request.app.state.authorisation_server
    if kid not in server.keys.verification_keys():
        raise NotFound(_("no such key"))
    try:
        chain = server.certificates.chain_pem(kid)
    except CertificateUnavailable as error:
        raise NotFound(_("this key has no certificate")) from error
    return PlainTextResponse(chain, media_type="application/pem-certificate-chain")


@router.get(
    "/certificates/{root}.crl",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    response_class=Response,
    responses={
        200: media("application/pkix-crl", "Revocation list of a root, DER", binary=True),
        **documented(IDENTITY_PROBLEMS, ["not-found"]),
    },
)
async def revoked(root: str, request: Request) -> Response:
    """Give the revocation list of the internal root (`root`), or of that of SM2 (`root-sm2`), dated now."""
    server: AuthorisationServer = request.app.state.authorisation_server
    server.keys.reload()
    lists = await asyncio.to_thread(revocation_lists, server.keys, datetime.now(UTC))
    told = dict(zip(("root", "root-sm2"), lists, strict=False)).get(root)
    if told is None:
        raise NotFound(_("no such root"))
    headers = {"Cache-Control": "public, max-age=60"}
    return Response(told, media_type="application/pkix-crl", headers=headers)
