"""HTTP of grants: the sharing authority gives, changes and ends them, a department sees its own."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from exchange.audit.record import prepare
from exchange.grants import tables
from exchange.grants.grant import Grant, Hours, Mode, require_sense, shown
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from foundation.text import Code, FreeText

router = APIRouter(prefix="/v1/grants", tags=["grants"])


Quota = Annotated[int, Field(ge=1, le=10**12)]
Division = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}([0-9]{2}){0,2}$")]
Fields = Annotated[list[Code], Field(min_length=1, max_length=100)]
Matters = Annotated[list[Code], Field(min_length=1, max_length=1000)]
Modes = Annotated[list[Mode], Field(min_length=1, max_length=4)]
ClearFields = Annotated[list[Code], Field(max_length=100)]
Divisions = Annotated[list[Division], Field(max_length=1000)]


class OpenHours(BaseModel):
    """Local time of day at which the grant holds, to the minute; over midnight where it begins later than it ends."""

    model_config = ConfigDict(extra="forbid")

    begin: Annotated[time, Field(alias="from")]
    end: Annotated[time, Field(alias="to")]

    @model_validator(mode="after")
    def _local_and_not_empty(self) -> OpenHours:
        if self.begin.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("write the local time of day, without a zone")
        if self.begin == self.end:
            raise ValueError("the hours are empty")
        return self

    def hours(self) -> Hours:
        return Hours(self.begin, self.end)


class GrantRequest(BaseModel):
    """What the sharing authority grants. The same `id` again gives the same grant, so a retry is safe.

    `clear_fields` are sensitive fields that a query discloses unmasked. Quotas count subjects. `divisions` are codes of
    2, 4 or 6 digits: the subject must live or be registered in one of them.
    """

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    client_id: Code
    resource: Code
    fields: Fields
    matters: Matters
    purpose: FreeText
    legal_basis: FreeText
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    modes: Modes = [Mode.VERIFY]
    clear_fields: ClearFields = []
    quota_per_day: Quota | None = None
    quota_per_minute: Quota | None = None
    hours: OpenHours | None = None
    divisions: Divisions = []
    request: uuid.UUID | None = None


class GrantChange(BaseModel):
    """What is to be different; a member that is not there stays as it is."""

    model_config = ConfigDict(extra="forbid")

    fields: Fields | None = None
    matters: Matters | None = None
    valid_until: AwareDatetime | None = None
    modes: Modes | None = None
    clear_fields: ClearFields | None = None
    quota_per_day: Quota | None = None
    quota_per_minute: Quota | None = None
    hours: OpenHours | None = None
    divisions: Divisions | None = None

    @model_validator(mode="after")
    def _nothing_that_must_be_is_null(self) -> GrantChange:
        for name in self.model_fields_set - {"quota_per_day", "quota_per_minute", "hours"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null")
        return self


HoursReply = TypedDict("HoursReply", {"from": str, "to": str})
"""Local time of day at which a grant holds, `HH:MM`."""


class GrantReply(TypedDict):
    """A grant; `ended_at` is set once it was ended."""

    id: Uuid
    client_id: str
    resource: str
    fields: list[str]
    matters: list[str]
    purpose: str
    legal_basis: str
    valid_from: Moment
    valid_until: Moment
    modes: list[Mode]
    clear_fields: list[str]
    quota_per_day: int | None
    quota_per_minute: int | None
    hours: HoursReply | None
    divisions: list[str]
    request: Uuid | None
    granted_by: str
    ended_at: Moment | None


class GrantsReply(TypedDict):
    """Grants, newest first."""

    grants: list[GrantReply]


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("grant-given"),
    response_model=None,
    responses={
        201: {"model": GrantReply},
        **documented(
            EXCHANGE_PROBLEMS,
            ["token-missing", "role-missing", "resource-unknown", "field-unknown", "grant-malformed"],
        ),
    },
    summary="Give a grant 授权",
)
async def give(
    body: GrantRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Give a grant: record the act, then store the grant; a grant without its record cannot come to be."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    grant = Grant(
        id=body.id,
        client_id=body.client_id,
        resource=body.resource,
        fields=frozenset(body.fields),
        matters=frozenset(body.matters),
        purpose=body.purpose,
        legal_basis=body.legal_basis,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        granted_by=caller.id,
        granted_at=now,
        modes=frozenset(body.modes),
        clear_fields=frozenset(body.clear_fields),
        quota_per_day=body.quota_per_day,
        quota_per_minute=body.quota_per_minute,
        hours=None if body.hours is None else body.hours.hours(),
        divisions=frozenset(body.divisions),
        request=body.request,
    )
    require_sense(grant, exchange.catalogue)
    known = await tables.find(exchange.engine, grant.id)
    if known is None:
        await exchange.recorder.record(
            prepare("grant-given", "granted", caller, now, grant=str(grant.id), details=shown(grant))
        )
        await tables.add(exchange.engine, grant)
        await exchange.grants.look()
        known = grant
    return shown(known)


@router.patch(
    "/{grant_id}",
    openapi_extra=audited("grant-changed"),
    response_model=None,
    responses={
        200: {"model": GrantReply},
        **documented(
            EXCHANGE_PROBLEMS,
            ["token-missing", "role-missing", "not-found", "field-unknown", "grant-malformed"],
        ),
    },
    summary="Change a grant 变更授权",
)
async def change(
    grant_id: uuid.UUID,
    body: GrantChange,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Change a grant: record the act, then store it. In effect within two seconds, whichever process is asked."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    known = await tables.find(exchange.engine, grant_id)
    if known is None or known.ended_at is not None:
        raise NotFound(_("no such grant in force"))
    wanted = {name: getattr(body, name) for name in body.model_fields_set}
    for name in wanted.keys() & {"fields", "matters", "modes", "clear_fields", "divisions"}:
        wanted[name] = frozenset(wanted[name])
    if body.hours is not None:
        wanted["hours"] = body.hours.hours()
    changed = replace(known, **wanted)
    require_sense(changed, exchange.catalogue)
    await exchange.recorder.record(
        prepare("grant-changed", "changed", caller, now, grant=str(grant_id), details=shown(changed))
    )
    if not await tables.change(exchange.engine, changed, frozenset(wanted)):
        raise NotFound(_("no such grant in force"))
    await exchange.grants.look()
    return shown(changed)


@router.get(
    "",
    openapi_extra=audited("none"),
    response_model=None,
    responses={200: {"model": GrantsReply}},
    summary="Grants of the calling client, or of `client_id`",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY))],
    client_id: str | None = None,
) -> dict[str, Any]:
    """List grants; a department sees only its own."""
    exchange: Exchange = request.app.state.exchange
    wanted = client_id if client_id and Role.SHARING_AUTHORITY in caller.roles else caller.id
    return {"grants": [shown(grant) for grant in await tables.of_client(exchange.engine, wanted)]}


@router.delete(
    "/{grant_id}",
    status_code=204,
    openapi_extra=audited("grant-ended"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "not-found"]),
    summary="End a grant",
)
async def end(
    grant_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> Response:
    """End a grant at once."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    if not await tables.end(exchange.engine, grant_id, now):
        raise NotFound(_("no such grant in force"))
    await exchange.grants.look()
    await exchange.recorder.record(prepare("grant-ended", "ended", caller, now, grant=str(grant_id)))
    return Response(status_code=204)
