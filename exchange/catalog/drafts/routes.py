"""HTTP of the way into the catalogue: departments draft and submit, the sharing authority reviews and retires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from exchange.audit.record import prepare
from exchange.catalog import tables
from exchange.catalog.document import complete
from exchange.catalog.drafts import edit
from exchange.catalog.tables import StoredVersion
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import FreeText

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

ResourceId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
Version = Annotated[int, Field(ge=1, le=1_000_000)]

_REFUSED = ["token-missing", "role-missing", "invalid-request", "malformed-body"]


class Submission(BaseModel):
    """Which draft is to be reviewed: the version that was written, so that no other text is submitted by mistake."""

    model_config = ConfigDict(extra="forbid")

    version: Version


class Review(BaseModel):
    """Decision on a version in review; one that is sent back says why."""

    model_config = ConfigDict(extra="forbid")

    version: Version
    decision: Literal["publish", "send-back"]
    reason: FreeText | None = None
    applies_from: AwareDatetime | None = None

    @model_validator(mode="after")
    def _reason_given(self) -> Review:
        if self.decision == "send-back" and self.reason is None:
            raise ValueError("what is sent back is told why")
        return self


class Retirement(BaseModel):
    """Why a resource is retired. `at_once`: without notice, where it must not go on for a day."""

    model_config = ConfigDict(extra="forbid")

    reason: FreeText
    at_once: bool = False


@router.put(
    "/resources/{resource}/draft",
    openapi_extra=audited("resource-drafted"),
    responses=documented(
        EXCHANGE_PROBLEMS, [*_REFUSED, "resource-malformed", "resource-of-another", "resource-in-review"]
    ),
    summary="Draft a version of a resource 起草",
)
async def put_draft(
    resource: ResourceId,
    body: Annotated[dict[str, Any], Body(description="as schemas/catalogue/resource.json")],
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Store the draft of the next version, in place of the draft before. The same again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    document = complete({**body, "id": resource, "version": 1, "department": caller.department})
    await exchange.recorder.record(prepare("resource-drafted", "requested", caller, now, resource=resource))
    (drafted,) = await edit.draft(exchange.pool, [document], caller.id, now)
    if drafted.refusal is not None:
        raise drafted.refusal
    return {
        "resource": resource,
        "version": drafted.document["version"],
        "outcome": drafted.outcome,
        "document": drafted.document,
    }


@router.delete(
    "/resources/{resource}/draft",
    status_code=204,
    openapi_extra=audited("resource-draft-dropped"),
    responses=documented(EXCHANGE_PROBLEMS, [*_REFUSED, "resource-of-another"]),
    summary="Take a draft away",
)
async def delete_draft(
    resource: ResourceId,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Take the draft away; what is in review or published stays."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await exchange.recorder.record(
        prepare("resource-draft-dropped", "requested", caller, now, resource=resource)
    )
    await edit.drop(exchange.pool, resource, caller.department)
    return Response(status_code=204)


@router.get(
    "/drafts",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What is drafted and in review",
)
async def drafts(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """List drafts and what waits for review: a department its own, the sharing authority all."""
    exchange: Exchange = request.app.state.exchange
    everything = Role.SHARING_AUTHORITY in caller.roles
    found = await tables.open_versions(exchange.pool, None if everything else caller.department)
    return {"versions": [shown(each) | {"document": each.document} for each in found]}


@router.post(
    "/resources/{resource}/submission",
    openapi_extra=audited("resource-submitted"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_REFUSED,
            "resource-unknown",
            "resource-of-another",
            "resource-state-wrong",
            "resource-malformed",
        ],
    ),
    summary="Give a draft to review 送审",
)
async def submit(
    resource: ResourceId,
    body: Submission,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Give a draft to the sharing authority. The same again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await exchange.recorder.record(
        prepare("resource-submitted", "requested", caller, now, resource=resource, version=body.version)
    )
    return shown(await edit.submit(exchange.pool, resource, body.version, caller.department, caller.id, now))


@router.post(
    "/resources/{resource}/review",
    openapi_extra=audited("resource-reviewed"),
    responses=documented(
        EXCHANGE_PROBLEMS, [*_REFUSED, "resource-unknown", "resource-state-wrong", "resource-malformed"]
    ),
    summary="Publish a version or send it back 审核",
)
async def review(
    resource: ResourceId,
    body: Review,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Publish what is in review, or send it back with the reason. A version that narrows applies after a notice."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await exchange.recorder.record(
        prepare(
            "resource-reviewed",
            "requested",
            caller,
            now,
            resource=resource,
            version=body.version,
            decision=body.decision,
            reason=body.reason,
        )
    )
    if body.decision == "send-back":
        assert body.reason is not None
        return shown(await edit.send_back(exchange.pool, resource, body.version, caller.id, now, body.reason))
    found = await edit.publish(
        exchange.pool,
        resource,
        body.version,
        caller.id,
        now,
        notice=timedelta(days=exchange.settings.catalogue_notice_days),
        wanted_from=body.applies_from,
    )
    await exchange.catalogue.refresh(datetime.now(UTC))
    return shown(found)


@router.post(
    "/resources/{resource}/retirement",
    openapi_extra=audited("resource-retired"),
    responses=documented(EXCHANGE_PROBLEMS, [*_REFUSED, "resource-unknown"]),
    summary="Retire a resource 下线",
)
async def retire(
    resource: ResourceId,
    body: Retirement,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Retire a resource after the notice, or at once. The same again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await exchange.recorder.record(
        prepare("resource-retired", "requested", caller, now, resource=resource, reason=body.reason)
    )
    notice = timedelta(0) if body.at_once else timedelta(days=exchange.settings.catalogue_notice_days)
    found = await edit.retire(exchange.pool, resource, caller.id, now, reason=body.reason, notice=notice)
    await exchange.catalogue.refresh(datetime.now(UTC))
    return shown(found)


def shown(version: StoredVersion) -> dict[str, Any]:
    """Return the state of a version as JSON values, without its document."""
    return {
        "resource": version.resource,
        "version": version.version,
        "state": version.state,
        "department": version.department,
        "reason": version.reason,
        "applies_from": None if version.applies_from is None else version.applies_from.isoformat(),
        "applies_until": None if version.applies_until is None else version.applies_until.isoformat(),
        "changed_at": version.changed_at.isoformat(),
        "changed_by": version.changed_by,
    }
