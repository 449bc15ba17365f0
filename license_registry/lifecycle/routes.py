"""HTTP of the life of a licence: operations and status lists."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import FreeText
from license_registry.issuing.routes import CALLER_PROBLEMS, shown
from license_registry.lifecycle.change import change_state
from license_registry.lifecycle.states import Operation, State
from license_registry.lifecycle.status_lists import TTL_SECONDS
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1", tags=["life of a licence"])


class OperationRequest(BaseModel):
    """An operation by its code (03 suspend, 04 expire, 05 cancel, 06 return, 10 undo transfer out).

    `target` is the state after cancelling: 03 rescinded, 04 cancelled, 06 transferred out, 07 revoked.
    """

    model_config = ConfigDict(extra="forbid")

    operation: Operation
    target: State | None = None
    reason: FreeText


@router.post(
    "/licences/{identifier}/operations",
    openapi_extra=audited("state-changed"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "invalid-request",
            "not-found",
            "issuer-mismatch",
            "operation-not-allowed",
            "licence-in-force",
        ],
    ),
    summary="Suspend, return, cancel or revoke a licence",
)
async def operate(
    identifier: str,
    body: OperationRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> dict[str, Any]:
    """Change the state of a licence that the caller's authority issued."""
    registry: Registry = request.app.state.registry
    changed = await change_state(
        registry, caller, identifier, body.operation, body.target, body.reason, datetime.now(UTC)
    )
    return shown(changed)


@router.get(
    "/status-lists/{number}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, ["not-found"]),
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
