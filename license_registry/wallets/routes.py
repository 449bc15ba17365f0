"""HTTP for wallets: OpenID4VCI 1.0 and OpenID4VP 1.0, with what holders and counters do about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, media
from foundation.problems import documented
from foundation.text import Code, FreeText
from license_registry.issuing.routes import CALLER_PROBLEMS, without_citizen_id
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.wallets.answers import Answer, take_answer
from license_registry.wallets.authorising.redeem import CodeForm, redeem_code
from license_registry.wallets.encryption import LARGEST
from license_registry.wallets.errors import WalletGrantUnsupported, WalletTokenRefused
from license_registry.wallets.headers import (
    PROOF_PROBLEMS,
    Attested,
    DpopProofs,
    fresh,
)
from license_registry.wallets.issuance import AskedFor, issue_to_wallet
from license_registry.wallets.metadata import (
    AUTHORISATION_CODE,
    DETAILS_TYPE,
    PRE_AUTHORISED,
    IssuerMetadata,
    WalletServerMetadata,
    authorisation_metadata,
    issuer_metadata,
)
from license_registry.wallets.nonces import Use, new_nonce
from license_registry.wallets.offers import TOKEN_SECONDS, offer, redeem
from license_registry.wallets.proven import Sent, prove
from license_registry.wallets.qr import qr_svg
from license_registry.wallets.requests import answer_of, ask, open_request, request_object
from license_registry.wallets.tokens import Shown, right_of

router = APIRouter(prefix="/v1", tags=["wallets"])
well_known = APIRouter(prefix="/.well-known", tags=["wallets"])
"""Stands at the root of the host, where wallets look (OpenID4VCI 1.0 §12.2.2, RFC 8414 §3.1)."""

_FRESH = {"Cache-Control": "no-store"}


class OfferRequest(BaseModel):
    """How to offer a licence to one's own wallet."""

    model_config = ConfigDict(extra="forbid")

    transaction_code: bool = Field(default=True, description="Also give a code that is typed into the wallet")


class Proofs(BaseModel):
    """Proofs that the wallet holds its key: one."""

    jwt: Annotated[
        list[Annotated[str, StringConstraints(max_length=10_000)]], Field(min_length=1, max_length=1)
    ]


class CredentialRequest(BaseModel):
    """Credential request of OpenID4VCI 1.0 §8.2; members that are not known here are ignored, as §8.2 says."""

    credential_configuration_id: Annotated[str | None, Field(max_length=100)] = None
    credential_identifier: Annotated[str | None, Field(max_length=200)] = None
    proofs: Proofs


class WalletRequest(BaseModel):
    """Which licence a wallet is to show, which of its fields, for what purpose (用证事由), matter and case."""

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    fields: Annotated[list[Code], Field(max_length=100)] = []
    purpose: FreeText
    matter: Annotated[Code, AfterValidator(without_citizen_id)]
    case: FreeText
    encrypted: bool = Field(
        default=False,
        description="The wallet is to encrypt its answer (`direct_post.jwt`), as wallets of the HAIP profile expect",
    )


class OfferReply(TypedDict):
    """A credential offer as link and QR code; the transaction code is told on another way."""

    credential_offer_uri: str
    qr_svg: str
    transaction_code: str | None
    expires_at: Moment


class AuthorisedDetails(TypedDict):
    """What a wallet may ask for by its token, where it asked by `authorization_details` (OpenID4VCI 1.0 §6.2)."""

    type: str
    credential_configuration_id: str
    credential_identifiers: list[str]


class WalletTokenReply(TypedDict):
    """Token response of OpenID4VCI 1.0 §6.2."""

    access_token: str
    token_type: str
    expires_in: int
    authorization_details: NotRequired[list[AuthorisedDetails]]


class NonceReply(TypedDict):
    """Nonce response of OpenID4VCI 1.0 §7.2."""

    c_nonce: str


class IssuedCredential(TypedDict):
    """A credential: SD-JWT VC."""

    credential: str


class CredentialReply(TypedDict):
    """Credential response of OpenID4VCI 1.0 §8.3."""

    credentials: list[IssuedCredential]


class WalletRequestReply(TypedDict):
    """A request for a wallet as link and QR code."""

    id: str
    request_uri: str
    qr_svg: str
    expires_at: Moment


class WalletOutcome(TypedDict):
    """What a wallet answered: `status` is `waiting`, `expired` or `answered`; the rest is there once it answered."""

    status: str
    purpose: NotRequired[str]
    matter: NotRequired[str]
    result: NotRequired[int]
    checks: NotRequired[dict[str, bool | None]]
    reasons: NotRequired[dict[str, str]]
    identifier: NotRequired[str | None]
    state: NotRequired[str]
    state_name: NotRequired[str]
    fields: NotRequired[dict[str, Any]]


class KeySet(TypedDict):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, str]]


class IssuerKeys(TypedDict):
    """Keys of the issuer of credentials (SD-JWT VC §4)."""

    issuer: str
    jwks: KeySet


class AnswerTaken(TypedDict):
    """An empty object: the answer was taken (OpenID4VP 1.0 §8.2)."""


@router.post(
    "/me/licences/{identifier}/offers",
    status_code=201,
    openapi_extra=audited("offered-to-wallet"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [*CALLER_PROBLEMS, "invalid-request", "not-found", "wallet-credential-denied", "holder-ended"],
    ),
    summary="Put a licence into a wallet: credential offer as link and QR code 存入卡包",
)
async def offers(
    identifier: str,
    body: OfferRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> OfferReply:
    """Offer one's own licence to a wallet; the offer lives ten minutes and works once."""
    registry: Registry = request.app.state.registry
    made = await offer(registry, caller, identifier, body.transaction_code, datetime.now(UTC))
    return {
        "credential_offer_uri": made.uri,
        "qr_svg": qr_svg(made.uri),
        "transaction_code": made.pin,
        "expires_at": made.expires_at.isoformat(),
    }


@router.post(
    "/wallets/token",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        200: {"model": WalletTokenReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                "invalid-request",
                "wallet-code-refused",
                "wallet-grant-unsupported",
                *PROOF_PROBLEMS,
            ],
        ),
    },
    summary="Token endpoint for wallets (OpenID4VCI 1.0 §6)",
)
async def token(
    request: Request,
    dpop: DpopProofs,
    attested: Attested,
    grant_type: Annotated[str, Form()] = "",
    code: Annotated[str, Form(alias="pre-authorized_code", max_length=200)] = "",
    pin: Annotated[str | None, Form(alias="tx_code", max_length=20)] = None,
    authorised: Annotated[str, Form(alias="code", max_length=200)] = "",
    client_id: Annotated[str, Form(max_length=200)] = "",
    redirect_uri: Annotated[str, Form(max_length=2000)] = "",
    code_verifier: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Give an access token for a pre-authorised code, or for the code that a holder came back with."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    sent = Sent("token", client_id, dpop, attested)
    proven = prove(registry, sent, now, gives_tokens=True)
    body: dict[str, Any] = {
        "token_type": "Bearer" if proven.bound_to is None else "DPoP",
        "expires_in": TOKEN_SECONDS,
    }
    if grant_type == PRE_AUTHORISED:
        body["access_token"] = await redeem(registry, code, pin, proven, now)
    elif grant_type == AUTHORISATION_CODE and registry.wallets_come_by_themselves:
        form = CodeForm(authorised, proven.client_id, redirect_uri, code_verifier)
        redeemed = await redeem_code(registry, form, proven, now)
        body["access_token"] = redeemed.token
        if redeemed.details is not None:
            licence_type, identifier = redeemed.details
            body["authorization_details"] = [
                {
                    "type": DETAILS_TYPE,
                    "credential_configuration_id": licence_type,
                    "credential_identifiers": [identifier],
                }
            ]
    else:
        raise WalletGrantUnsupported(
            _("wallets come with a pre-authorised code, or with an authorisation code")
        )
    return JSONResponse(body, headers=fresh(registry, proven.bound_to, now))


@router.post(
    "/wallets/nonce",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={200: {"model": NonceReply}},
    summary="Nonce endpoint (OpenID4VCI 1.0 §7)",
)
async def nonce(request: Request) -> Response:
    """Give a nonce for a proof of possession; `DPoP-Nonce` has one for DPoP."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    told = {**_FRESH, "DPoP-Nonce": new_nonce(registry.vault, Use.DPOP, now)}
    return JSONResponse({"c_nonce": new_nonce(registry.vault, Use.CREDENTIAL, now)}, headers=told)


@router.post(
    "/wallets/credential",
    dependencies=PUBLIC,
    openapi_extra=audited("issued-to-wallet"),
    responses={
        200: {"model": CredentialReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                "malformed-body",
                "invalid-request",
                "wallet-token-refused",
                "wallet-token-dpop-refused",
                "wallet-token-dpop-nonce-needed",
                "wallet-credential-unknown",
                "wallet-credential-identifier-unknown",
                "wallet-credential-denied",
                "wallet-proof-refused",
                "wallet-nonce-refused",
                "object-missing",
                "object-altered",
            ],
        ),
    },
    summary="Credential endpoint (OpenID4VCI 1.0 §8)",
)
async def credential(body: CredentialRequest, request: Request, dpop: DpopProofs) -> Response:
    """Give the licence that the wallet's token is for, bound to the wallet's key."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    scheme, _space, said = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "dpop"} or not said:
        raise WalletTokenRefused(_("send it as `Authorization: Bearer ...`, or `DPoP ...` where it is bound"))
    right = await right_of(registry, Shown(said, scheme.lower() == "dpop", dpop), now)
    issued = await issue_to_wallet(
        registry,
        right,
        AskedFor(body.credential_configuration_id, body.credential_identifier),
        body.proofs.jwt[0],
        now,
    )
    told = fresh(registry, right.access.bound_to, now)
    return JSONResponse({"credentials": [{"credential": issued}]}, headers=told)


@router.post(
    "/wallets/requests",
    status_code=201,
    openapi_extra=audited("none"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [*CALLER_PROBLEMS, "invalid-request", "licence-type-unknown", "licence-fields-invalid"],
    ),
    summary="Ask a wallet to show a licence: link and QR code 请求亮证",
)
async def requests(
    body: WalletRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.COUNTER))],
) -> WalletRequestReply:
    """Make a request for one wallet; nothing is disclosed by it yet."""
    registry: Registry = request.app.state.registry
    made = await ask(
        registry,
        caller,
        body.licence_type,
        body.fields,
        body.purpose,
        body.matter,
        body.case,
        body.encrypted,
        datetime.now(UTC),
    )
    return {
        "id": made.id,
        "request_uri": made.uri,
        "qr_svg": qr_svg(made.uri),
        "expires_at": made.expires_at.isoformat(),
    }


@router.get(
    "/wallets/requests/{request_id}",
    openapi_extra=audited("none"),
    responses={
        200: {"model": WalletOutcome},
        **documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found"]),
    },
    summary="What the wallet answered",
)
async def outcome(
    request_id: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.COUNTER))],
) -> Response:
    """Give the outcome to the department that asked; its event was recorded when the wallet answered."""
    registry: Registry = request.app.state.registry
    found = await answer_of(registry, caller, request_id, datetime.now(UTC))
    return JSONResponse(found, headers=_FRESH)


@router.get(
    "/wallets/requests/{request_id}/object",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        200: media("application/oauth-authz-req+jwt", "The signed request"),
        **documented(REGISTRY_PROBLEMS, ["not-found"]),
    },
    summary="Signed request object (OpenID4VP 1.0 §5)",
)
async def request_object_of(request_id: str, request: Request) -> Response:
    """Give a wallet the request that a counter showed it."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    signed = request_object(registry, await open_request(registry, request_id, now), now)
    return Response(signed, media_type="application/oauth-authz-req+jwt", headers=_FRESH)


@router.post(
    "/wallets/requests/{request_id}/answer",
    dependencies=PUBLIC,
    openapi_extra=audited("wallet-presentation-verified"),
    responses={
        200: {"model": AnswerTaken},
        **documented(REGISTRY_PROBLEMS, ["invalid-request", "not-found", "wallet-answer-refused"]),
    },
    summary="Where a wallet sends its answer (OpenID4VP 1.0 §8.2 direct_post, §8.3 direct_post.jwt)",
)
async def answer(
    request_id: str,
    request: Request,
    vp_token: Annotated[str, Form(max_length=300_000)] = "",
    state: Annotated[str, Form(max_length=200)] = "",
    response: Annotated[str, Form(max_length=LARGEST)] = "",
) -> Response:
    """Verify what a wallet shows and keep the outcome for the department that asked."""
    registry: Registry = request.app.state.registry
    await take_answer(registry, request_id, Answer(vp_token, state, response), datetime.now(UTC))
    return JSONResponse({}, headers=_FRESH)


Name = Literal["registry"]
"""The path of the issuer's address, which stands behind the well-known part."""


@well_known.get("/openid-credential-issuer/{name}", dependencies=PUBLIC, openapi_extra=audited("none"))
async def credential_issuer(name: Name, request: Request) -> IssuerMetadata:
    """Describe the credential issuer (OpenID4VCI 1.0 §12.2)."""
    registry: Registry = request.app.state.registry
    return issuer_metadata(
        registry.issuer,
        registry.types.values(),
        registry.keys.signer(PURPOSE).algorithm,
        registry.wallets_come_by_themselves,
    )


@well_known.get("/oauth-authorization-server/{name}", dependencies=PUBLIC, openapi_extra=audited("none"))
async def authorisation_server(name: Name, request: Request) -> WalletServerMetadata:
    """Describe the authorisation server of wallets (RFC 8414)."""
    registry: Registry = request.app.state.registry
    return authorisation_metadata(
        registry.issuer,
        registry.types if registry.wallets_come_by_themselves else None,
        attested=bool(registry.attesters),
        anonymous=registry.settings.wallet_attestation != "required",
    )


@well_known.get("/jwt-vc-issuer/{name}", dependencies=PUBLIC, openapi_extra=audited("none"))
async def jwt_vc_issuer(name: Name, request: Request) -> IssuerKeys:
    """Give the keys of the issuer of credentials (SD-JWT VC §4)."""
    registry: Registry = request.app.state.registry
    wanted = registry.keys.verification_keys(PURPOSE)
    keys = [key for key in registry.keys.jwks()["keys"] if key["kid"] in wanted]
    return {"issuer": registry.issuer, "jwks": {"keys": keys}}
