"""HTTP of the life of a licence: operations and status lists."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.civil import civil_date
from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.openapi import Day, Moment, Uuid, media
from foundation.problems import documented
from foundation.text import Code, FreeText
from license_registry.issuing.form import FieldValue, without_citizen_id
from license_registry.issuing.routes import CALLER_PROBLEMS, LicenceReply, shown
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.history import History, history
from license_registry.lifecycle.states import VERSIONING, Operation, State
from license_registry.lifecycle.status_lists import TTL_SECONDS
from license_registry.lifecycle.tables import Life, reminders_to
from license_registry.lifecycle.versions import VersionRequest, new_version
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1", tags=["life of a licence"])


def _without_version(operation: Operation) -> Operation:
    if operation is Operation.ISSUE or operation in VERSIONING:
        raise ValueError(
            "this operation makes a licence or a version: POST it to /v1/licences or its versions"
        )
    return operation


def _with_version(operation: Operation) -> Operation:
    if operation not in VERSIONING:
        raise ValueError("this operation makes no version: POST it to the operations of the licence")
    return operation


class OperationRequest(BaseModel):
    """An operation by its code: 03 suspend, 04 expire, 05 cancel, 06 return, 07 other, 10 undo transfer out.

    `target` is the state after cancelling: 03 rescinded, 04 cancelled, 06 transferred out (then `transfer_to` names
    the authority that takes it over), 07 revoked. State 99 needs a `description`. A suspension may end by itself:
    `until` is the first day on which it is over.
    """

    model_config = ConfigDict(extra="forbid")

    operation: Annotated[Operation, AfterValidator(_without_version)]
    target: State | None = None
    reason: FreeText
    description: FreeText | None = None
    until: date | None = None
    transfer_to: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$")] | None = None


class LifeReply(TypedDict):
    """What befell a licence."""

    state_description: str | None
    suspended_until: Day | None
    transferred_to: str | None
    replaces: str | None
    replaced_by: str | None


class LicenceLifeReply(LicenceReply, LifeReply):
    """A licence and what befell it."""


class ChangeReply(TypedDict):
    """A change; `statement` is a compact JWS by a key of `/jwks.json`."""

    id: Uuid
    identifier: str
    sequence: int
    operation: str
    actor: str
    department: str | None
    state_before: str
    state_after: str
    reason: str | None
    changed_at: Moment
    statement: str


class ReminderReply(TypedDict):
    """A licence that ends soon: `days` before its end the reminder of `reminded_at` was due, `days_left` there are now.

    0 days left: today is the last day.
    """

    identifier: str
    type_code: str
    number: str
    issuer_code: str
    issuer_name: str | None
    state: str
    valid_until: Day
    days: int
    days_left: int
    reminded_at: Moment


class RemindersReply(TypedDict):
    """Reminders, of what ends first first."""

    reminders: list[ReminderReply]


class HistoryReply(TypedDict):
    """All versions of a licence and every change."""

    versions: list[LicenceLifeReply]
    changes: list[ChangeReply]


OPERATION_PROBLEMS = (
    *CALLER_PROBLEMS,
    "invalid-request",
    "not-found",
    "issuer-mismatch",
    "actor-not-entitled",
    "operation-not-allowed",
    "licence-replaced",
    "licence-in-force",
)


@router.post(
    "/licences/{identifier}/operations",
    openapi_extra=audited("state-changed"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *OPERATION_PROBLEMS,
            "state-description-missing",
            "suspension-until-invalid",
            "transfer-invalid",
        ],
    ),
    summary="Suspend, return, cancel, revoke or transfer out a licence 证照状态变更",
)
async def operate(
    identifier: str,
    body: OperationRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR, Role.PERSON))],
) -> LicenceLifeReply:
    """Change the state of a licence that the caller's authority issued, or that is the caller's own."""
    registry: Registry = request.app.state.registry
    wanted = Wanted(
        operation=body.operation,
        reason=body.reason,
        target=body.target,
        description=body.description,
        until=body.until,
        transfer_to=body.transfer_to,
    )
    changed, life = await change_state(registry, caller, identifier, wanted, datetime.now(UTC))
    return {**shown(changed), **shown_life(life)}


class NewVersion(BaseModel):
    """A change (09), renewal (02) or transfer in (08). What is not named stays; a field that is null is left out.

    `reason` is told in the signed change. Sent again unchanged it gives the same version, so a retry is safe.
    """

    model_config = ConfigDict(extra="forbid")

    operation: Annotated[Operation, AfterValidator(_with_version)]
    reason: FreeText
    fields: Annotated[dict[Code, FieldValue], Field(max_length=100)] = {}
    valid_from: date | None = None
    valid_until: date | None = None
    presenter: Annotated[str, StringConstraints(min_length=1, max_length=18)] | None = None
    number: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[0-9A-Z\u4e00-\u9fff()（）〔〕-]{1,60}$"),
            AfterValidator(without_citizen_id),
        ]
        | None
    ) = None
    division: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None
    issuer_name: FreeText | None = None


@router.post(
    "/licences/{identifier}/versions",
    status_code=201,
    openapi_extra=audited("issued"),
    responses={
        200: {"description": "It had been made before, by an equal request", "model": LicenceLifeReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *OPERATION_PROBLEMS,
                "malformed-body",
                "licence-type-unknown",
                "issuer-not-entitled",
                "licence-fields-invalid",
                "licence-number-invalid",
                "holder-invalid",
                "holder-unknown",
                "holder-differs",
                "holder-ended",
                "seal-lacking",
                "validity-invalid",
                "store-full",
                "store-unavailable",
            ],
        ),
    },
    summary="Change, renew or transfer in a licence: a new version 变更、延续、转入",
)
async def make_version(
    identifier: str,
    body: NewVersion,
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> LicenceLifeReply:
    """Make a new version that names the old one, which ends."""
    registry: Registry = request.app.state.registry
    wanted = VersionRequest(**dict(body))
    made = await new_version(registry, caller, identifier, wanted, datetime.now(UTC))
    if not made.fresh:
        response.status_code = 200
    return {**shown(made.licence), **shown_life(made.life)}


@router.get(
    "/licences/{identifier}/history",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found"]),
    summary="All versions of a licence and every signed change 证照历史",
)
async def whole_history(
    identifier: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.AUDITOR, Role.PERSON))],
) -> HistoryReply:
    """Tell what befell a licence; each `statement` is a compact JWS by a key of `/jwks.json`."""
    registry: Registry = request.app.state.registry
    return shown_history(await history(registry, caller, identifier))


def shown_history(found: History) -> HistoryReply:
    """Return a history for a reply."""
    return {
        "versions": [{**shown(licence), **shown_life(life)} for licence, life in found.versions],
        "changes": [
            {
                "id": str(each.id),
                "identifier": each.identifier,
                "sequence": each.sequence,
                "operation": each.operation.value,
                "actor": each.actor.value,
                "department": each.department or None,
                "state_before": each.state_before.value,
                "state_after": each.state_after.value,
                "reason": each.reason,
                "changed_at": each.changed_at.isoformat(),
                "statement": each.statement,
            }
            for each in found.changes
        ],
    }


@router.get(
    "/me/reminders",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="Which of my licences end soon 证照到期提醒",
)
async def own_reminders(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> RemindersReply:
    """List the latest reminder of each licence in force that the caller may present."""
    registry: Registry = request.app.state.registry
    assert caller.subject is not None
    today = civil_date(datetime.now(UTC))
    theirs = await registry.identities.of(caller.subject)
    return {
        "reminders": [
            {
                "identifier": each.identifier,
                "type_code": each.type_code,
                "number": each.number,
                "issuer_code": each.issuer,
                "issuer_name": each.issuer_name,
                "state": each.state,
                "valid_until": each.valid_until.isoformat(),
                "days": each.days,
                "days_left": (each.valid_until - today).days,
                "reminded_at": each.reminded_at.isoformat(),
            }
            for each in await reminders_to(registry.pool, theirs, today)
        ]
    }


def shown_life(life: Life) -> LifeReply:
    """Return what befell a licence, for a reply."""
    return {
        "state_description": life.state_description,
        "suspended_until": None if life.suspended_until is None else life.suspended_until.isoformat(),
        "transferred_to": life.transferred_to,
        "replaces": life.replaces,
        "replaced_by": life.replaced_by,
    }


@router.get(
    "/status-lists/{number}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={
        200: media("application/statuslist+jwt", "The signed list"),
        304: {"description": "It is the one that the caller has"},
        **documented(REGISTRY_PROBLEMS, ["not-found"]),
    },
    summary="Status list token (IETF Token Status List)",
)
async def status_list(number: int, request: Request) -> Response:
    """Give the signed status list, for offline verifiers to keep; 304 to who has this very one."""
    registry: Registry = request.app.state.registry
    token = await registry.status_lists.token(number)
    tag = f'"{hashlib.sha256(token.encode("ascii")).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={TTL_SECONDS}", "ETag": tag}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if not known.isdisjoint({tag, "*"}):
        return Response(status_code=304, headers=headers)
    return Response(token, media_type="application/statuslist+jwt", headers=headers)
