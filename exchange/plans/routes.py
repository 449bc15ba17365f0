"""HTTP of plans: the counter's one call, and what its department finds in the case later."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from exchange.plans import cases, following_states
from exchange.plans.errors import PlanKeyInvalid
from exchange.plans.plan import Planning, Wanted, make_plan
from exchange.plans.replies import CaseEvidence, FollowingMaterials, PlanResult
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.idempotency import HEADER, is_key, key_parameter
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.shortcut import JsonReply
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1", tags=["plans"])


CaseInPath = Annotated[FreeText, Path(description="Number of the case, as the plan was asked for")]


class PlanRequest(BaseModel):
    """A case: who it is about, what the applicant states in the form, which materials are there on paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: FreeText
    subjects: Annotated[dict[Code, CleanText], Field(min_length=1, max_length=10)]
    inputs: Annotated[dict[Code, CleanText | StrictBool | StrictInt], Field(max_length=60)] = {}
    brought: Annotated[list[Code], Field(max_length=200)] = []


@router.post(
    "/matters/{code}/plan",
    openapi_extra=audited("plan") | {"parameters": [key_parameter(required=True)]},
    response_model=None,
    responses={
        200: {"model": PlanResult},
        **documented(
            EXCHANGE_PROBLEMS,
            [
                "malformed-body",
                "invalid-request",
                "body-too-large",
                "token-missing",
                "role-missing",
                "not-found",
                "matter-malformed",
                "matter-not-granted",
                "subject-malformed",
                "plan-malformed",
                "plan-key-invalid",
                "plan-key-reused",
                "plan-forgotten",
            ],
        ),
    },
    summary="What of a matter is settled, and what is still needed 免证办方案",
)
async def plan(
    code: Code,
    body: PlanRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Ask for all that a matter needs at once, instead of asking the applicant for papers."""
    planning: Planning = request.app.state.planning
    wanted = Wanted(
        code, _key(request), body.case, body.subjects, body.inputs, tuple(sorted(set(body.brought)))
    )
    reply = await make_plan(planning, caller, wanted, datetime.now(UTC))
    return JsonReply(orjson.dumps(reply))


@router.get(
    "/cases/{case:path}/evidence",
    openapi_extra=audited("case-evidence"),
    response_model=CaseEvidence,
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="Evidence of a case: settled under grants, or released by people 案件证据",
)
async def evidence(
    case: CaseInPath,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Give the plans of a case of the caller's department as they stand now, with all signed answers."""
    exchange: Exchange = request.app.state.exchange
    return await cases.evidence(exchange, caller, case, datetime.now(UTC))


@router.put(
    "/cases/{case:path}/materials/{material}/brought",
    openapi_extra=audited("material-brought"),
    response_model=FollowingMaterials,
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="A material that might follow is there now 容缺材料补交",
)
async def brought(
    case: CaseInPath,
    material: Code,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Note that a material came, and whether it came late; said again, it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    found = await cases.brought(exchange, caller, case, material, now)
    return {"materials": [cases.shown(each, now) for each in found]}


@router.get(
    "/materials-to-follow",
    openapi_extra=audited("none"),
    response_model=FollowingMaterials,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="What my department still waits for 待补材料",
)
async def to_follow(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    late: Annotated[bool, Query(description="Only what is late")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List materials that may follow and have not come, those that are due first first."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    found = await following_states.outstanding(exchange.pool, caller.department, now, late=late, limit=limit)
    return {"materials": [cases.shown(each, now) for each in found]}


@router.get(
    "/me/materials-to-follow",
    openapi_extra=audited("none"),
    response_model=FollowingMaterials,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What I still have to bring 我的待补材料",
)
async def own_to_follow(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """List what the caller may bring later, and until when."""
    exchange: Exchange = request.app.state.exchange
    assert caller.subject is not None
    now = datetime.now(UTC)
    found = await following_states.of_person(exchange.pool, caller.subject)
    return {"materials": [cases.shown(each, now) for each in found]}


def _key(request: Request) -> str:
    text = request.headers.get(HEADER, "")
    if not is_key(text):
        raise PlanKeyInvalid(_("send 1 to 200 visible ASCII characters, new for each request"))
    return text
