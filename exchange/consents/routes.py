"""HTTP of consents: a person's own, and the codes that counters present."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from exchange.consents import codes, consent, counter
from exchange.consents.replies import (
    CodePresented,
    ConsentCodeShown,
    ConsentPreview,
    Consents,
    ConsentShown,
)
from exchange.plans import offer_states
from exchange.plans.offer_states import Offer
from exchange.plans.routes import CaseInPath
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import Code

router = APIRouter(prefix="/v1", tags=["consents"])

_STEP_PROBLEMS = ("token-missing", "role-missing", "invalid-request", "not-found", "offer-not-open")

CodeText = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9:]{8,100}$")]


class CodeRequest(BaseModel):
    """Consents of one case that a code is to release; `id` is new for each code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: uuid.UUID
    consents: Annotated[list[uuid.UUID], Field(min_length=1, max_length=50)]


class PresentedCode(BaseModel):
    """What a person shows at the counter, for which matter; `id` is new for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: uuid.UUID
    matter: Code
    code: CodeText


@router.get(
    "/me/consents",
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
    "/me/consents/{consent_id}/request",
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
    "/me/consents/{consent_id}/preview",
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
    "/me/consents/{consent_id}/release",
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
    "/me/consents/{consent_id}/refusal",
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


@router.post(
    "/me/consents/{consent_id}/withdrawal",
    openapi_extra=audited("consent-withdrawn"),
    response_model=ConsentShown,
    responses=documented(EXCHANGE_PROBLEMS, _STEP_PROBLEMS),
    summary="Take back what was released 撤回同意",
)
async def withdrawal(
    consent_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Give the department nothing of it from now on, while the case is open; said again, it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await consent.withdraw(exchange, caller, consent_id, datetime.now(UTC)))


@router.post(
    "/me/consent-codes",
    openapi_extra=audited("consent-code-made"),
    response_model=ConsentCodeShown,
    responses=documented(
        EXCHANGE_PROBLEMS, [*_STEP_PROBLEMS, "consent-code-not-allowed", "consent-id-taken"]
    ),
    summary="A code to show at the counter, which releases what I saw 凭码同意",
)
async def code(
    body: CodeRequest,
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Make a code for previewed consents of one case; the same id again gives the same code."""
    exchange: Exchange = request.app.state.exchange
    made = await codes.make_code(exchange, caller, body.id, body.consents, datetime.now(UTC))
    response.headers["Cache-Control"] = "no-store"
    return {
        "id": made.code.id,
        "code": made.text,
        "consents": list(made.code.offers),
        "department": made.code.department,
        "matter": made.code.matter,
        "case": made.code.case_ref,
        "expires_at": made.code.expires_at,
    }


@router.delete(
    "/me/consent-codes/{code_id}",
    status_code=204,
    openapi_extra=audited("consent-code-withdrawn"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        ["token-missing", "role-missing", "invalid-request", "not-found", "consent-code-used"],
    ),
    summary="Withdraw a code of mine 作废同意码",
)
async def withdrawn_code(
    code_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> Response:
    """Let a code release nothing any more; its consents stay open."""
    exchange: Exchange = request.app.state.exchange
    await codes.withdraw_code(exchange, caller, code_id, datetime.now(UTC))
    return Response(status_code=204)


@router.post(
    "/cases/{case:path}/presented-codes",
    openapi_extra=audited("consent-presented"),
    response_model=CodePresented,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_STEP_PROBLEMS,
            "malformed-body",
            "evidence-unavailable",
            "consent-code-unknown",
            "consent-code-used",
            "consent-code-over",
            "consent-code-differs",
            "consent-code-by-agent",
            "consent-id-taken",
        ],
    ),
    summary="A code that the applicant shows at the counter 窗口扫码授权",
)
async def presented(
    case: CaseInPath,
    body: PresentedCode,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Ask the person who shows a code for their consents in a case, or take the code that stands for them.

    A presenting code of the licence registry (`ZT1:`) identifies its holder, who sees and decides on their own device.
    A code made for the consent itself (`ZT3:`) releases exactly what its person has previewed.
    """
    exchange: Exchange = request.app.state.exchange
    wanted = counter.Presented(body.id, body.matter, case, body.code)
    now = datetime.now(UTC)
    found = await counter.present(exchange, caller, wanted, now)
    return {
        "id": body.id,
        "result": found.kind,
        "consents": [
            {"id": each.id, "material": each.material, "state": each.standing(now)} for each in found.offers
        ],
    }


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
        "by_code": offer.by_code,
        "presented_at": None if offer.presented_at is None else offer.presented_at.isoformat(),
    }
