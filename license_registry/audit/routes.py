"""HTTP of the registry's events, for auditors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.openapi import media
from foundation.problems import documented
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get(
    "/records.jsonl",
    openapi_extra=audited("audit-export"),
    responses={
        200: media("application/jsonl", "One event a line"),
        **documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    },
    summary="Export all sequenced events with their salts, for the log verifier",
)
async def export(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.AUDITOR))]
) -> StreamingResponse:
    """Stream events in the order of the tree; the export is an event itself."""
    registry: Registry = request.app.state.registry
    async with registry.pool.acquire() as connection:
        await tables.add_event(connection, happened("audit-export", None, caller, datetime.now(UTC)))
    return StreamingResponse(tables.export_events(registry.pool), media_type="application/jsonl")
