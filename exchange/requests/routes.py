"""HTTP of share requests: asking, checking, answering, providing, disputing, and how departments keep their terms."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from exchange.grants.grant import Mode
from exchange.grants.routes import ClearFields, Divisions, Fields, Matters, Modes, OpenHours, Quota
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.requests import tables
from exchange.requests.act import act, actors, submit
from exchange.requests.figures import figures
from exchange.requests.request import Act, Asked, Scope, ShareRequest
from exchange.requests.states import STEPS, Action, State
from foundation.civil import civil_date
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code, FreeText
from foundation.workdays import is_past

router = APIRouter(prefix="/v1", tags=["requests"])

DEPARTMENTS = (Role.DEPARTMENT_SYSTEM, Role.DATA_SOURCE)
_CALLER = ["token-missing", "role-missing", "invalid-request", "malformed-body"]
_ACTING = [*_CALLER, "not-found", "request-state-wrong", "request-actor-wrong", "request-invalid"]
_GRANTING = [
    "resource-unknown",
    "field-unknown",
    "scope-too-wide",
]


class ScopeBody(BaseModel):
    """How much: fields, matters, modes, subjects a day, divisions of the subject (none: anywhere), until when.

    `per_minute` (none: as many as a day allows) and `hours` of the day (none: always) narrow it further. `clear_fields`
    are sensitive fields that a query discloses unmasked.
    """

    model_config = ConfigDict(extra="forbid")

    fields: Fields
    matters: Matters
    modes: Modes = [Mode.VERIFY]
    clear_fields: ClearFields = []
    per_day: Quota
    divisions: Divisions = []
    until: AwareDatetime
    per_minute: Quota | None = None
    hours: OpenHours | None = None

    def scope(self) -> Scope:
        return Scope(
            frozenset(self.fields),
            frozenset(self.matters),
            frozenset(self.modes),
            self.per_day,
            self.until,
            frozenset(self.clear_fields),
            frozenset(self.divisions),
            self.per_minute,
            None if self.hours is None else self.hours.hours(),
        )


class AskedBody(ScopeBody):
    """What a department asks for. Of what the catalogue does not hold, `title` says what it is, `owner` whose."""

    resource: Code
    title: FreeText | None = None
    owner: Code | None = None
    purpose: FreeText
    legal_basis: FreeText

    def asked(self) -> Asked:
        return Asked(self.resource, self.title, self.owner, self.scope(), self.purpose, self.legal_basis)


class RequestBody(AskedBody):
    """A request. The same `id` again gives the same request, so a retry is safe."""

    id: uuid.UUID = Field(default_factory=uuid.uuid4)


class CheckBody(BaseModel):
    """Whether the request is complete; if not, what is missing."""

    model_config = ConfigDict(extra="forbid")

    complete: bool
    reason: FreeText | None = None


class AnswerBody(BaseModel):
    """The answer of the department that the resource is of; `scope` where it grants in part."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["grant", "grant-in-part", "refuse"]
    scope: ScopeBody | None = None
    reason: FreeText | None = None
    legal_basis: FreeText | None = None


class ReasonBody(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: FreeText


class DecisionBody(BaseModel):
    """The sharing authority's decision on a dispute; `scope`: what is granted where it is less than all."""

    model_config = ConfigDict(extra="forbid")

    decision_for: Annotated[Literal["requester", "owner"], Field(alias="for")]
    scope: ScopeBody | None = None
    reason: FreeText


@router.post(
    "/requests",
    status_code=201,
    openapi_extra=audited("request-submit"),
    responses=documented(
        EXCHANGE_PROBLEMS, [*_CALLER, "field-unknown", "request-invalid", "request-id-taken"]
    ),
    summary="Ask for a resource 共享申请",
)
async def ask(
    body: RequestBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Ask for a resource; what the law keeps from being shared is refused at once, with its legal basis."""
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await submit(exchange, caller, body.id, body.asked(), datetime.now(UTC)))


@router.get(
    "/requests",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Requests of my department and to it; the sharing authority sees all",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY, Role.AUDITOR))],
    state: State | None = None,
    overdue: bool = False,
    before: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List requests, the latest first; `overdue`: those whose term has passed."""
    exchange: Exchange = request.app.state.exchange
    whose = None if _sees_all(caller) else caller.department
    found = await tables.listed(
        exchange.pool,
        department=whose,
        owner=whose,
        state=None if state is None else state.value,
        overdue_on=civil_date(datetime.now(UTC)) if overdue else None,
        before=before,
        limit=limit,
    )
    return {"requests": [_shown(exchange, each) for each in found]}


@router.get(
    "/requests/notices",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Terms that have passed, told to my department or to the sharing authority",
)
async def notices(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
    unseen: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List notices, the latest first."""
    exchange: Exchange = request.app.state.exchange
    authority = Role.SHARING_AUTHORITY in caller.roles
    found = await tables.notices(
        exchange.pool, caller.department, authority=authority, unseen=unseen, limit=limit
    )
    return {"notices": [_json(asdict(each)) for each in found]}


@router.post(
    "/requests/notices/{number}/seen",
    status_code=204,
    openapi_extra=audited("none"),
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="Say that a notice was seen",
)
async def seen(
    number: Annotated[int, Field(ge=1, lt=2**63)],
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
) -> None:
    """Note who saw a notice first; again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    authority = Role.SHARING_AUTHORITY in caller.roles
    if not await tables.see_notice(
        exchange.pool,
        number,
        caller.department,
        authority=authority,
        by=caller.id,
        now=datetime.now(UTC),
    ):
        raise NotFound(_("no such notice"))


@router.get(
    "/requests/{request_id}",
    openapi_extra=audited("none"),
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="A request with its history",
)
async def one(
    request_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY, Role.AUDITOR))],
) -> dict[str, Any]:
    """Show a request, to those whose business it is."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.find(exchange.pool, request_id)
    if found is None or not (_sees_all(caller) or await actors(exchange, found, caller)):
        raise NotFound(_("no such request"))
    steps = await tables.history(exchange.pool, request_id)
    return {**_shown(exchange, found), "history": [_json(asdict(step)) for step in steps]}


@router.post(
    "/requests/{request_id}/check",
    openapi_extra=audited("request-check"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, *_GRANTING]),
    summary="Check a request, or return it 受理审核",
)
async def check(
    request_id: uuid.UUID,
    body: CheckBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Find a request complete, or return it. What is shared without conditions is granted and given at once."""
    action = Action.CHECK if body.complete else Action.RETURN
    return await _acted(request, caller, request_id, Act(action, reason=body.reason))


@router.post(
    "/requests/{request_id}/resubmission",
    openapi_extra=audited("request-resubmit"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, *_GRANTING]),
    summary="Submit a returned request again 补正",
)
async def resubmit(
    request_id: uuid.UUID,
    body: AskedBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Say anew, and completely, what is asked for; the terms begin again."""
    return await _acted(request, caller, request_id, Act(Action.RESUBMIT, asked=body.asked()))


@router.post(
    "/requests/{request_id}/answer",
    openapi_extra=audited("request-answer"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, *_GRANTING]),
    summary="Answer a request 答复",
)
async def answer(
    request_id: uuid.UUID,
    body: AnswerBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Grant all, grant in part, or refuse: the last two with a reason."""
    wanted = Act(
        Action(body.answer),
        scope=None if body.scope is None else body.scope.scope(),
        reason=body.reason,
        legal_basis=body.legal_basis,
    )
    return await _acted(request, caller, request_id, wanted)


@router.post(
    "/requests/{request_id}/provision",
    openapi_extra=audited("request-provide"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, *_GRANTING]),
    summary="Provide what was granted 提供",
)
async def provide(
    request_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Make the grant: exactly what was granted, from now."""
    return await _acted(request, caller, request_id, Act(Action.PROVIDE, grant_id=uuid.uuid4()))


@router.post(
    "/requests/{request_id}/dispute",
    openapi_extra=audited("request-dispute"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, "dispute-not-open"]),
    summary="Take a refusal, a grant in part or a passed term to the sharing authority 争议",
)
async def dispute(
    request_id: uuid.UUID,
    body: ReasonBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Dispute an answer, or that there is none; what was provided goes on meanwhile."""
    return await _acted(request, caller, request_id, Act(Action.DISPUTE, reason=body.reason))


@router.post(
    "/requests/{request_id}/decision",
    openapi_extra=audited("request-decide"),
    responses=documented(EXCHANGE_PROBLEMS, [*_ACTING, *_GRANTING]),
    summary="Decide a dispute 裁决",
)
async def decide(
    request_id: uuid.UUID,
    body: DecisionBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Decide for the requester (all, or what `scope` says), or for the owner: then the answer stands."""
    action = Action.DECIDE_FOR_REQUESTER if body.decision_for == "requester" else Action.DECIDE_FOR_OWNER
    scope = None if body.scope is None else body.scope.scope()
    return await _acted(request, caller, request_id, Act(action, scope=scope, reason=body.reason))


@router.post(
    "/requests/{request_id}/withdrawal",
    openapi_extra=audited("request-withdraw"),
    responses=documented(EXCHANGE_PROBLEMS, _ACTING),
    summary="Withdraw a request, and end its grant 撤回",
)
async def withdraw(
    request_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Withdraw a request at any time; the grant that it brought ends with it."""
    return await _acted(request, caller, request_id, Act(Action.WITHDRAW))


@router.post(
    "/requests/{request_id}/end",
    openapi_extra=audited("request-end"),
    responses=documented(EXCHANGE_PROBLEMS, _ACTING),
    summary="End what was provided 终止",
)
async def end(
    request_id: uuid.UUID,
    body: ReasonBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """End a request that was provided, and its grant."""
    return await _acted(request, caller, request_id, Act(Action.END, reason=body.reason))


@router.get(
    "/statistics/requests",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="How departments answer, by month 共享申请统计",
)
async def statistics(
    request: Request,
    caller: Annotated[
        Principal, Depends(requires(*DEPARTMENTS, Role.SHARING_AUTHORITY, Role.AUDITOR, Role.OPERATOR))
    ],
    begins: Annotated[date, Query(alias="from")] = date(2000, 1, 1),
    ends: Annotated[date, Query(alias="to")] = date(9999, 1, 1),
) -> dict[str, Any]:
    """Count requests by the department that was asked and the month; a department sees its own figures.

    `from` is the first day, `to` the day after the last.
    """
    exchange: Exchange = request.app.state.exchange
    all_ = _sees_all(caller) or Role.OPERATOR in caller.roles
    found = await figures(exchange.pool, None if all_ else caller.department, begins, ends)
    return {"requests": [asdict(each) for each in found]}


def _sees_all(caller: Principal) -> bool:
    return not caller.roles.isdisjoint({Role.SHARING_AUTHORITY, Role.AUDITOR})


async def _acted(request: Request, caller: Principal, request_id: uuid.UUID, wanted: Act) -> dict[str, Any]:
    exchange: Exchange = request.app.state.exchange
    return _shown(exchange, await act(exchange, caller, request_id, wanted, datetime.now(UTC)))


def _shown(exchange: Exchange, each: ShareRequest) -> dict[str, Any]:
    step = STEPS.get(each.state)
    return {
        "id": str(each.id),
        "client_id": each.client_id,
        "department": each.department,
        "owner": each.owner,
        "resource": each.asked.resource,
        "sharing_class": each.sharing_class,
        "asked": tables.asked_document(each.asked),
        "state": each.state.value,
        "submitted_at": each.submitted_at.isoformat(),
        "step": step,
        **exchange.deadlines.told(each.due_on),
        "overdue": each.due_on is not None and is_past(each.due_on, datetime.now(UTC)),
        "answer": each.answer,
        "answered_at": None if each.answered_at is None else each.answered_at.isoformat(),
        "answered_in_time": each.answered_in_time,
        "reason": each.reason,
        "legal_basis": each.legal_basis,
        "granted": None if each.granted is None else each.granted.document(),
        "grant": None if each.grant_id is None else str(each.grant_id),
    }


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, date | datetime)
        else str(value)
        if isinstance(value, uuid.UUID)
        else value
        for name, value in values.items()
    }
