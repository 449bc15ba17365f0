"""HTTP of grants: the sharing authority gives and ends them, a department sees its own."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from exchange.audit.record import prepare
from exchange.catalog.resources import require_resource
from exchange.grants import tables
from exchange.grants.grant import Grant
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code, FreeText

router = APIRouter(prefix="/v1/grants", tags=["grants"])


class GrantRequest(BaseModel):
    """What the sharing authority grants. The same `id` again gives the same grant, so a retry is safe."""

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    client_id: Code
    resource: Code
    fields: Annotated[list[Code], Field(min_length=1, max_length=100)]
    matters: Annotated[list[Code], Field(min_length=1, max_length=1000)]
    purpose: FreeText
    legal_basis: FreeText
    valid_from: AwareDatetime
    valid_until: AwareDatetime


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("grant-given"),
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "resource-unknown", "field-unknown"]
    ),
    summary="Give a grant 授权",
)
async def give(
    body: GrantRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Give a grant: record the act, then store the grant; a grant without its record cannot come to be."""
    exchange: Exchange = request.app.state.exchange
    resource = require_resource(exchange.catalogue, body.resource)
    resource.require_fields(frozenset(body.fields), "/fields")
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
    )
    known = await tables.find(exchange.engine, grant.id)
    if known is None:
        await exchange.recorder.record(
            prepare("grant-given", "granted", caller, now, grant=str(grant.id), details=_shown(grant))
        )
        await tables.add(exchange.engine, grant)
        known = grant
    return _shown(known)


@router.get("", openapi_extra=audited("none"), summary="Grants of the calling client, or of `client_id`")
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY))],
    client_id: str | None = None,
) -> dict[str, Any]:
    """List grants; a department sees only its own."""
    exchange: Exchange = request.app.state.exchange
    wanted = client_id if client_id and Role.SHARING_AUTHORITY in caller.roles else caller.id
    return {"grants": [_shown(grant) for grant in await tables.of_client(exchange.engine, wanted)]}


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
    await exchange.recorder.record(prepare("grant-ended", "ended", caller, now, grant=str(grant_id)))
    return Response(status_code=204)


def _shown(grant: Grant) -> dict[str, Any]:
    return {
        "id": str(grant.id),
        "client_id": grant.client_id,
        "resource": grant.resource,
        "fields": sorted(grant.fields),
        "matters": sorted(grant.matters),
        "purpose": grant.purpose,
        "legal_basis": grant.legal_basis,
        "valid_from": grant.valid_from.isoformat(),
        "valid_until": grant.valid_until.isoformat(),
        "granted_by": grant.granted_by,
        "ended_at": None if grant.ended_at is None else grant.ended_at.isoformat(),
    }
