"""HTTP of commitments: a person reads and signs, the public sees, a department follows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from exchange.commitments import commitment, tables
from exchange.commitments.commitment import Offered
from exchange.commitments.replies import (
    OwnCommitments,
    PublicCommitments,
    SignedCommitment,
    SignedCommitments,
    Templates,
)
from exchange.commitments.tables import Commitment
from exchange.matters.commitments import load_templates
from exchange.plans.plan import Planning
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented

router = APIRouter(prefix="/v1", tags=["commitments"])


class SignatureRequest(BaseModel):
    """The text that the person agrees to, by its digest as it was shown to them."""

    model_config = ConfigDict(extra="forbid")

    text_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@router.get(
    "/commitments/templates",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    response_model=Templates,
    responses=documented(EXCHANGE_PROBLEMS, []),
    summary="What may be committed to 告知承诺书模板",
)
async def templates() -> dict[str, Any]:
    """List the templates, with legal basis, consequences, and what is verified later."""
    return {
        "templates": [
            {
                "id": each.id,
                "version": each.version,
                "title": each.title,
                "title_en": each.title_en,
                "text": each.text,
                "text_en": each.text_en,
                "legal_basis": each.legal_basis,
                "consequences": each.consequences,
                "consequences_en": each.consequences_en,
                "public": each.public,
                "public_basis": each.public_basis,
                "verified_after_working_days": each.verify_after_days,
                "verified_by": None
                if each.verified_by is None
                else {"resource": each.verified_by.resource, "claims": sorted(each.verified_by.claims)},
            }
            for each in load_templates().values()
        ]
    }


@router.get(
    "/commitments/public",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    response_model=PublicCommitments,
    responses=documented(EXCHANGE_PROBLEMS, ["invalid-request"]),
    summary="Commitments that the law makes public 公开的承诺",
)
async def public(
    request: Request,
    before: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """List them, the latest first, with the name masked; of the rest the law says nothing, so nothing is shown."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.public(exchange.pool, before, limit)
    return {
        "commitments": [
            {
                "id": str(each.id),
                "template": each.template,
                "template_version": each.template_version,
                "name": each.name_masked,
                "department": each.department,
                "matter": each.matter,
                "signed_at": each.signed_at.isoformat(),
                "state": each.state,
            }
            for each in found
        ]
    }


@router.get(
    "/commitments",
    openapi_extra=audited("none"),
    response_model=SignedCommitments,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Commitments to my department, and what came of verifying them 承诺核查",
)
async def to_department(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    state: Literal["signed", "held", "breached", "unknown"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List them, the latest first, with the signed statements."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.of_department(exchange.pool, caller.department, state, limit)
    return {"commitments": [_shown(each) for each in found]}


@router.get(
    "/me/commitments",
    openapi_extra=audited("none"),
    response_model=OwnCommitments,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What I may sign, and what I signed 我的承诺",
)
async def own(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> dict[str, Any]:
    """List both, with the text that each was or would be signed for."""
    exchange: Exchange = request.app.state.exchange
    assert caller.subject is not None
    offered = await commitment.offers(exchange, caller)
    signed = await tables.of_person(exchange.pool, caller.subject)
    return {
        "offered": [_offered(each) for each in offered],
        "signed": [_shown(each) for each in signed],
    }


@router.post(
    "/me/commitments/{offer}/signature",
    openapi_extra=audited("commitment-signed"),
    response_model=SignedCommitment,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            "token-missing",
            "role-missing",
            "malformed-body",
            "invalid-request",
            "not-found",
            "offer-not-open",
            "commitment-text-differs",
        ],
    ),
    summary="Sign a commitment 签署承诺",
)
async def signature(
    offer: uuid.UUID,
    body: SignatureRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Sign for the text that was shown; said again, it gives the same commitment."""
    planning: Planning = request.app.state.planning
    return _shown(await commitment.sign(planning, caller, offer, body.text_sha256, datetime.now(UTC)))


def _offered(each: Offered) -> dict[str, Any]:
    return {
        "id": str(each.offer.id),
        "state": each.offer.standing(datetime.now(UTC)),
        "template": each.template.id,
        "template_version": each.template.version,
        "title": each.template.title,
        "text": each.text.text,
        "text_en": each.text.text_en,
        "legal_basis": each.template.legal_basis,
        "consequences": each.text.consequences,
        "consequences_en": each.text.consequences_en,
        "public": each.template.public,
        "text_sha256": each.text.sha256,
        "department": each.offer.department,
        "matter": each.offer.matter,
        "material": each.offer.material,
        "case": each.offer.case_ref,
        "expires_at": each.offer.expires_at.isoformat(),
    }


def _shown(each: Commitment) -> dict[str, Any]:
    return {
        "id": str(each.id),
        "state": each.state,
        "template": each.template,
        "template_version": each.template_version,
        "department": each.department,
        "matter": each.matter,
        "material": each.material,
        "case": each.case_ref,
        "plan": str(each.plan),
        "signed_at": each.signed_at.isoformat(),
        "statement": each.statement,
        "public": each.public,
        "verify_at": None if each.verify_at is None else each.verify_at.isoformat(),
        "verified_at": None if each.verified_at is None else each.verified_at.isoformat(),
        "records": [str(record) for record in each.records],
    }
