"""HTTP of automatic entitlement: a department finds and reviews, a person is told."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from exchange.audit.record import prepare, record_within
from exchange.entitlements import answer, review, tables
from exchange.entitlements.find import place
from exchange.entitlements.replies import Beneficiary, Decided, Entitlements, FoundPage, RunShown
from exchange.entitlements.rules import load_rules
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.civil import civil_date
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import Code

router = APIRouter(prefix="/v1", tags=["entitlements"])

_CALLER = ("token-missing", "role-missing", "invalid-request", "not-found")


class RunRequest(BaseModel):
    """A run. The same `id` again gives the same run, so a retry is safe."""

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    rule: Code


class DecisionRequest(BaseModel):
    """Whom to decide on, by `ids`; all that nobody decided on yet, where there are none.

    `until`: the last day on which they can accept, where the rule needs that; absent: as the rule says.
    """

    model_config = ConfigDict(extra="forbid")

    approved: bool
    ids: Annotated[list[uuid.UUID], Field(max_length=10_000)] | None = None
    until: date | None = None


class AnswerRequest(BaseModel):
    """Whether a person accepts a benefit, or refuses it."""

    model_config = ConfigDict(extra="forbid")

    accepted: bool


@router.post(
    "/entitlements/runs",
    status_code=201,
    openapi_extra=audited("entitlement-run"),
    response_model=RunShown,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            "malformed-body",
            "run-stands",
            "not-granted",
            "grant-not-in-force",
            "mode-not-granted",
            "matter-not-granted",
            "field-not-granted",
            "outside-hours",
            "resource-unknown",
            "field-unknown",
            "claim-malformed",
        ],
    ),
    summary="Find who is entitled, without asking them 免申即享筛查",
)
async def started(
    body: RunRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Start a run under a grant for batches; nobody is told before the department has reviewed."""
    exchange: Exchange = request.app.state.exchange
    return await _shown(exchange, await review.start(exchange, caller, body.id, body.rule, datetime.now(UTC)))


@router.get(
    "/entitlements/runs/{run}",
    openapi_extra=audited("none"),
    response_model=RunShown,
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="How far a run came",
)
async def one(
    run: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Tell how many were looked at and found."""
    exchange: Exchange = request.app.state.exchange
    return await _shown(exchange, await review.own_run(exchange, caller, run))


@router.get(
    "/entitlements/runs/{run}/found",
    openapi_extra=audited("entitlement-found"),
    response_model=FoundPage,
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Whom a run found, to be reviewed",
)
async def found(
    run: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    after: uuid.UUID | None = None,
    state: Literal["found", "declined", "told", "accepted", "refused", "lapsed"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Give a page of them, as the grant discloses them; recorded for each first."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await review.own_run(exchange, caller, run)
    async with exchange.pool.acquire() as connection, connection.transaction():
        page = await tables.found_by(connection, run, after, state, civil_date(now), limit)
        for each in page:
            await record_within(
                connection,
                prepare("entitlement-found", "answered", caller, now, subject=each.subject, run=str(run)),
            )
    return {
        "found": [
            {
                "id": each.id,
                "state": each.state,
                "told_at": each.told_at,
                "answer_until": each.answer_until,
                "answered_at": each.answered_at,
                "due_at": each.due_at,
                "values": None
                if each.sealed is None
                else orjson.loads(exchange.vault.open(each.sealed, place(each.id))),
            }
            for each in page
        ],
        "next": page[-1].id if len(page) == limit else None,
    }


@router.get(
    "/entitlements/runs/{run}/found/{found_id}/beneficiary",
    openapi_extra=audited("entitlement-beneficiary"),
    response_model=Beneficiary,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "benefit-not-due"]),
    summary="To whom a benefit is to be given 发放对象",
)
async def beneficiary(
    run: uuid.UUID,
    found_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Name them to the department that gives the benefit, once it is due; recorded first."""
    exchange: Exchange = request.app.state.exchange
    own = await review.own_run(exchange, caller, run)
    identifier = await answer.beneficiary(exchange, caller, own, found_id, datetime.now(UTC))
    return {"kind": "citizen-id", "identifier": identifier}


@router.post(
    "/entitlements/runs/{run}/decisions",
    openapi_extra=audited("entitlement-review"),
    response_model=Decided,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [*_CALLER, "malformed-body", "run-not-in-review", "rule-changed", "answer-day-invalid"],
    ),
    summary="Approve of all or some, who are told then; or decline them 审核",
)
async def decided(
    run: uuid.UUID,
    body: DecisionRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Decide on those whom nobody decided on; said again, it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    number = await review.decide(
        exchange, caller, run, body.ids, datetime.now(UTC), approved=body.approved, until=body.until
    )
    return {"decided": number}


@router.get(
    "/me/entitlements",
    openapi_extra=audited("none"),
    response_model=Entitlements,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What I am entitled to 我可享受的待遇",
)
async def own(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> dict[str, Any]:
    """List what departments have told the caller."""
    exchange: Exchange = request.app.state.exchange
    return {"entitlements": await _told_to(exchange, caller)}


@router.post(
    "/me/entitlements/{found_id}/answer",
    openapi_extra=audited("entitlement-answer"),
    response_model=Entitlements,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "malformed-body", "entitlement-not-open"]),
    summary="Accept or refuse a benefit 接受或者放弃",
)
async def answered(
    found_id: uuid.UUID,
    body: AnswerRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Take the caller's answer, until its last day, and list what they were told; said again, it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    await answer.answer(exchange, caller, found_id, datetime.now(UTC), accepted=body.accepted)
    return {"entitlements": await _told_to(exchange, caller)}


async def _told_to(exchange: Exchange, caller: Principal) -> list[dict[str, Any]]:
    assert caller.subject is not None
    rules = load_rules()
    told = await tables.told_to(exchange.pool, caller.subject, civil_date(datetime.now(UTC)))
    return [
        {
            **each,
            "title": rules[each["rule"]].title,
            "title_en": rules[each["rule"]].title_en,
            "legal_basis": rules[each["rule"]].legal_basis,
        }
        for each in told
        if each["rule"] in rules
    ]


async def _shown(exchange: Exchange, run: tables.Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "rule": run.rule,
        "rule_version": run.rule_version,
        "state": run.state,
        "problem": run.problem,
        "screened": run.screened,
        "found": await tables.counts(exchange.pool, run.id, civil_date(datetime.now(UTC))),
        "due": await tables.due(exchange.pool, run.id),
        "made_at": run.made_at,
        "changed_at": run.changed_at,
    }
