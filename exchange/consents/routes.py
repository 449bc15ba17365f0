"""HTTP of consents: a person's own."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from exchange.consents import consent
from exchange.consents.replies import ConsentPreview, Consents, ConsentShown
from exchange.plans import offer_states
from exchange.plans.offer_states import Offer
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented

router = APIRouter(prefix="/v1/me/consents", tags=["consents"])

_STEP_PROBLEMS = ("token-missing", "role-missing", "invalid-request", "not-found", "offer-not-open")


@router.get(
    "",
    openapi_extra=audited("none"),
    response_model=Consents,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What departments would fetch about me with my consent 我的授权",
)
async def listed(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> dict[str, Any]:
    """List them, the latest first, with what each would ask for."""
    exchange: Exchange = request.app.state.exchange
    assert caller.subject is not None
    found = await offer_states.of_person(exchange.pool, caller.subject, consent.KIND)
    return {"consents": [_shown(exchange, each) for each in found]}


@router.post(
    "/{consent_id}/request",
    openapi_extra=audited("consent-requested"),
    response_model=ConsentShown,
    responses=documented(EXCHANGE_PROBLEMS, [*_STEP_PROBLEMS, "evidence-unavailable"]),
    summary="Ask for the evidence, to see it 申请调取",
)
async def requested(
    consent_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Fetch the evidence on the person's explicit request; it goes nowhere yet."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await consent.request(exchange, caller, consent_id, datetime.now(UTC)))


@router.get(
    "/{consent_id}/preview",
    openapi_extra=audited("consent-previewed"),
    response_model=ConsentPreview,
    responses=documented(EXCHANGE_PROBLEMS, _STEP_PROBLEMS),
    summary="See exactly what would go 预览",
)
async def preview(
    consent_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Show what each signed answer says, and the answer itself."""
    exchange: Exchange = request.app.state.exchange
    offer, evidence = await consent.preview(exchange, caller, consent_id, datetime.now(UTC))
    return {**_shown(exchange, offer), "evidence": [each.shown() for each in evidence]}


@router.post(
    "/{consent_id}/release",
    openapi_extra=audited("consent-released"),
    response_model=ConsentShown,
    responses=documented(EXCHANGE_PROBLEMS, _STEP_PROBLEMS),
    summary="Let it go to the department 同意提供",
)
async def release(
    consent_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Attach to the case what the person has seen; said again, it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await consent.release(exchange, caller, consent_id, datetime.now(UTC)))


@router.post(
    "/{consent_id}/refusal",
    openapi_extra=audited("consent-refused"),
    response_model=ConsentShown,
    responses=documented(EXCHANGE_PROBLEMS, _STEP_PROBLEMS),
    summary="Let nothing go 不同意提供",
)
async def refusal(
    consent_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Close it without anything going anywhere; the material is to be brought then."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await consent.refuse(exchange, caller, consent_id, datetime.now(UTC)))


def _shown(exchange: Exchange, offer: Offer) -> dict[str, Any]:
    return {
        "id": str(offer.id),
        "state": offer.standing(datetime.now(UTC)),
        "department": offer.department,
        "matter": offer.matter,
        "material": offer.material,
        "case": offer.case_ref,
        "plan": str(offer.plan),
        "asks": consent.asked_for(exchange, offer),
        "made_at": offer.made_at.isoformat(),
        "expires_at": offer.expires_at.isoformat(),
    }
