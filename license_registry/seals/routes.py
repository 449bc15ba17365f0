"""HTTP of electronic seals."""

from __future__ import annotations

import uuid
from base64 import b64encode
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from foundation.text import FreeText
from license_registry.issuing.form import without_citizen_id
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.seals import tables
from license_registry.seals.pictures import LARGEST_BYTES, MILLIMETRES
from license_registry.seals.register import SealWanted, change, register, stamp
from license_registry.seals.states import SealKind, SealOperation

router = APIRouter(prefix="/v1/seals", tags=["seals"])

Authority = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$")]


class SealRequest(BaseModel):
    """A seal to be made. `id` is the caller's choice: sent again unchanged it gives the same seal.

    `picture` is a PNG in base64; without one a plain round seal is drawn. `width` and `height` are millimetres.
    `valid_until` is the last day; without it the seal lasts as long as its certificates.
    """

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    authority: Authority | None = None
    kind: SealKind
    name: FreeText
    valid_from: date | None = None
    valid_until: date | None = None
    picture: Annotated[Base64Bytes, Field(max_length=LARGEST_BYTES)] | None = None
    width: Annotated[int, Field(ge=1, le=200)] = MILLIMETRES
    height: Annotated[int, Field(ge=1, le=200)] = MILLIMETRES


class SealChange(BaseModel):
    """`use` it, from now or again; `suspend` it; `end` it for good."""

    model_config = ConfigDict(extra="forbid")

    operation: SealOperation
    reason: FreeText | None = None


class StampRequest(BaseModel):
    """Data to put the seal on: `sm3` is their digest in hexadecimal, `place` says what they are, such as a path."""

    model_config = ConfigDict(extra="forbid")

    sm3: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    place: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$"), AfterValidator(without_citizen_id)]


class SealSummary(TypedDict):
    """What is known of a seal; `state` is `made`, `in-use`, `suspended` or `ended`."""

    id: Uuid
    authority: str
    kind: str
    name: str
    state: str
    state_reason: str | None
    state_since: Moment
    valid_from: Moment
    valid_until: Moment
    made_at: Moment


class SealReply(SealSummary):
    """A seal; `seal` is its DER (SES_Seal) in base64."""

    seal: str


class SealsReply(TypedDict):
    """Seals, the latest first."""

    seals: list[SealSummary]


class StampReply(TypedDict):
    """The seal on the data: the DER of SES_Signature, in base64."""

    stamp: str


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("seal-made"),
    responses={
        200: {"description": "It had been made before, by an equal request", "model": SealReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "invalid-request",
                "malformed-body",
                "seal-id-taken",
                "seal-not-yours",
                "seal-picture-unreadable",
                "seal-validity-invalid",
            ],
        ),
    },
    summary="Make a seal and register it 制章备案",
)
async def make(
    body: SealRequest,
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR))],
) -> SealReply:
    """Make a seal of the caller's authority, or for an operator of any; it is put into use by an operation."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    wanted = SealWanted(
        id=body.id,
        authority=body.authority or caller.department,
        kind=body.kind,
        name=body.name,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        picture=body.picture,
        width=body.width,
        height=body.height,
    )
    made, fresh = await register(registry, caller, wanted, now)
    if not fresh:
        response.status_code = 200
    return shown(made)


@router.get(
    "",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request"]),
    summary="Seals of my authority 印章列表; operator and auditor see all",
)
async def seals(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR, Role.AUDITOR))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> SealsReply:
    """List seals, the latest first."""
    registry: Registry = request.app.state.registry
    found = await tables.list_of(registry.pool, _whose(caller), limit)
    return {"seals": [summarised(each) for each in found]}


@router.get(
    "/{seal}",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="One seal 印章",
)
async def one(
    seal: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR, Role.AUDITOR))],
) -> SealReply:
    """Show a seal of the caller's authority; to operator and auditor any."""
    registry: Registry = request.app.state.registry
    found = await tables.find(registry.pool, seal)
    if found is None or _whose(caller) not in {None, found.authority}:
        raise NotFound(_("no such seal"))
    return shown(found)


@router.post(
    "/{seal}/operations",
    openapi_extra=audited("seal-changed"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "invalid-request",
            "malformed-body",
            "not-found",
            "seal-not-yours",
            "seal-change-not-allowed",
        ],
    ),
    summary="Put a seal into use, suspend or end it 启用、停用、注销",
)
async def operate(
    seal: uuid.UUID,
    body: SealChange,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR))],
) -> SealReply:
    """Change the state of a seal; it takes effect at once."""
    registry: Registry = request.app.state.registry
    return shown(await change(registry, caller, seal, body.operation, body.reason, datetime.now(UTC)))


@router.post(
    "/{seal}/stamps",
    openapi_extra=audited("seal-put"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "invalid-request",
            "malformed-body",
            "not-found",
            "seal-not-yours",
            "seal-not-in-force",
            "time-stamp-unavailable",
        ],
    ),
    summary="Put a seal on data 盖章",
)
async def put(
    seal: uuid.UUID,
    body: StampRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> StampReply:
    """Sign a digest with the caller's own seal. Nothing is kept but the record, so asking again only signs again."""
    registry: Registry = request.app.state.registry
    made = await stamp(registry, caller, seal, bytes.fromhex(body.sm3), body.place, datetime.now(UTC))
    return {"stamp": b64encode(made.der).decode("ascii")}


def _whose(caller: Principal) -> str | None:
    return None if caller.roles & {Role.OPERATOR, Role.AUDITOR} else caller.department


def shown(each: tables.Registered) -> SealReply:
    """Return a seal for a reply."""
    return {**summarised(each), "seal": b64encode(each.der).decode("ascii")}


def summarised(each: tables.Registered) -> SealSummary:
    """Return what is known of a seal, without the seal, for a reply."""
    return {
        "id": str(each.id),
        "authority": each.authority,
        "kind": each.kind.value,
        "name": each.name,
        "state": each.state.value,
        "state_reason": each.state_reason,
        "state_since": each.state_since.isoformat(),
        "valid_from": each.valid_from.isoformat(),
        "valid_until": each.valid_until.isoformat(),
        "made_at": each.made_at.isoformat(),
    }
