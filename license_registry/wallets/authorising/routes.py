"""HTTP of the authorisation-code flow of wallets (OpenID4VCI 1.0 §5): pushed request, sign-in, choice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from typing_extensions import TypedDict

from foundation.identity.guard import PUBLIC, audited
from foundation.openapi import media
from foundation.problems import documented
from license_registry.catalog.types import require_type
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.wallets.authorising.authorise import (
    CHOICE_SECONDS,
    SIGN_IN_SECONDS,
    Returned,
    begin,
    choose,
    come_back,
)
from license_registry.wallets.authorising.page import HEADERS, page
from license_registry.wallets.authorising.push import PUSHED_SECONDS, PushedForm, once, push
from license_registry.wallets.headers import (
    PROOF_PROBLEMS,
    Attested,
    DpopProofs,
    fresh,
)
from license_registry.wallets.proven import Sent, prove

router = APIRouter(prefix="/v1", tags=["wallets"])

COOKIE: Final = "zhengtong-wallet"
_AWAY: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class PushedReply(TypedDict):
    """A pushed request (RFC 9126 §2.2); `expires_in` in seconds."""

    request_uri: str
    expires_in: int


@router.post(
    "/wallets/pushed-requests",
    status_code=201,
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        201: {"model": PushedReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                "invalid-request",
                "wallet-client-unknown",
                "wallet-request-refused",
                "wallet-response-unsupported",
                "wallet-scope-unknown",
                "wallet-details-refused",
                *PROOF_PROBLEMS,
            ],
        ),
    },
    summary="Pushed authorisation request of a wallet (RFC 9126)",
)
async def pushed(
    request: Request,
    dpop: DpopProofs,
    attested: Attested,
    client_id: Annotated[str, Form()] = "",
    response_type: Annotated[str, Form()] = "",
    redirect_uri: Annotated[str, Form()] = "",
    code_challenge: Annotated[str, Form()] = "",
    code_challenge_method: Annotated[str, Form()] = "",
    scope: Annotated[str, Form()] = "",
    authorization_details: Annotated[str, Form()] = "",
    state: Annotated[str, Form()] = "",
    request_uri: Annotated[str, Form()] = "",
    dpop_jkt: Annotated[str, Form()] = "",
) -> Response:
    """Keep what a wallet asks for; nothing is disclosed by it."""
    registry: Registry = request.app.state.registry
    once(name for name, _value in (await request.form()).multi_items())
    now = datetime.now(UTC)
    sent = Sent("pushed-requests", client_id, dpop, attested)
    proven = prove(registry, sent, now)
    form = PushedForm(
        proven.client_id,
        response_type,
        redirect_uri,
        code_challenge,
        code_challenge_method,
        scope,
        authorization_details,
        state,
        request_uri,
        dpop_jkt,
    )
    made = await push(registry, form, proven, now)
    body = {"request_uri": made, "expires_in": PUSHED_SECONDS}
    return JSONResponse(body, status_code=201, headers=fresh(registry, proven.bound_to, now))


@router.get(
    "/wallets/authorise",
    status_code=303,
    response_class=Response,
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        303: {"description": "To where people sign in"},
        **documented(
            REGISTRY_PROBLEMS, ["invalid-request", "wallet-request-uri-refused", "people-issuer-unavailable"]
        ),
    },
    summary="Authorisation endpoint of wallets, for a pushed request (RFC 9126 §4)",
)
async def authorise(request: Request, client_id: str = "", request_uri: str = "") -> Response:
    """Send the browser that a wallet opened to where its holder signs in."""
    registry: Registry = request.app.state.registry
    begun = await begin(registry, client_id, request_uri, datetime.now(UTC))
    answer = RedirectResponse(begun.address, status_code=303, headers=_AWAY)
    parts = urlsplit(registry.issuer)
    answer.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=SIGN_IN_SECONDS + CHOICE_SECONDS,
        path=f"{parts.path}/v1/wallets",
        secure=parts.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(
    "/wallets/signed-in",
    response_class=HTMLResponse,
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        200: media("text/html", "Which licence to put into the wallet"),
        303: {"description": "Back to the wallet, without a code"},
        **documented(REGISTRY_PROBLEMS, ["invalid-request", "sign-in-refused", "people-issuer-unavailable"]),
    },
    summary="Where people come back from signing in",
)
async def signed_in(
    request: Request, state: str = "", code: str = "", error: str = "", iss: str | None = None
) -> Response:
    """Ask the person which of their licences the wallet gets."""
    registry: Registry = request.app.state.registry
    cookie = request.cookies.get(COOKIE, "")
    asked = await come_back(registry, cookie, Returned(state, code, error, iss), datetime.now(UTC))
    if isinstance(asked, str):
        return RedirectResponse(asked, status_code=303, headers=_AWAY)
    action = f"{urlsplit(registry.issuer).path}/v1/wallets/choices"
    return HTMLResponse(
        page(asked, require_type(registry.types, asked.licence_type), action), headers=HEADERS
    )


@router.post(
    "/wallets/choices",
    status_code=303,
    response_class=Response,
    dependencies=PUBLIC,
    openapi_extra=audited("authorised-for-wallet"),
    responses={
        303: {"description": "Back to the wallet, with a code or without"},
        **documented(
            REGISTRY_PROBLEMS,
            ["invalid-request", "sign-in-refused", "not-found", "wallet-credential-denied", "holder-ended"],
        ),
    },
    summary="The licence that its holder gives to the wallet, or none",
)
async def choices(
    request: Request, ticket: Annotated[str, Form()] = "", licence: Annotated[str, Form()] = ""
) -> Response:
    """Send the person back to their wallet."""
    registry: Registry = request.app.state.registry
    cookie = request.cookies.get(COOKIE, "")
    address = await choose(registry, cookie, ticket, licence, datetime.now(UTC))
    return RedirectResponse(address, status_code=303, headers=_AWAY)
