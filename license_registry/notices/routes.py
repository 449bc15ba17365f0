"""HTTP of notices: what is on its way to a department, and what lies dead."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.notices.tables import Delivery, deliveries, revive
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1/notices", tags=["notices"])


class NoticeReply(TypedDict):
    """A notice and how far it came."""

    id: Uuid
    department: str
    url: str
    kind: str
    created_at: Moment
    attempts: int
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    dead_at: Moment | None
    last_failure: str | None


class NoticesReply(TypedDict):
    """Notices, the latest first."""

    notices: list[NoticeReply]


@router.get(
    "",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request"]),
    summary="Notices to my department 通知; the operator sees all",
)
async def notices(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR))],
    dead: Annotated[bool, Query(description="Only what was given up")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> NoticesReply:
    """List notices, the latest first, with how far each came."""
    registry: Registry = request.app.state.registry
    found = await deliveries(registry.pool, _whose(caller), dead=dead, limit=limit)
    return {"notices": [shown(each) for each in found]}


@router.post(
    "/{notice}/retry",
    status_code=204,
    openapi_extra=audited("notice-revived"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="Try a dead notice again",
)
async def retry(
    notice: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.OPERATOR))],
) -> None:
    """Let a dead notice be tried again, counting from the beginning."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    async with registry.pool.acquire() as connection, connection.transaction():
        if not await revive(connection, notice, _whose(caller), now):
            raise NotFound(_("no such dead notice"))
        await tables.add_event(connection, happened("notice-revived", None, caller, now, notice=str(notice)))


def _whose(caller: Principal) -> str | None:
    return None if Role.OPERATOR in caller.roles else caller.department


def shown(each: Delivery) -> NoticeReply:
    """Return how far a notice came, for a reply."""

    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "id": str(each.id),
        "department": each.department,
        "url": each.url,
        "kind": each.kind,
        "created_at": each.created_at.isoformat(),
        "attempts": each.attempts,
        "next_attempt_at": told(each.next_attempt_at),
        "delivered_at": told(each.delivered_at),
        "dead_at": told(each.dead_at),
        "last_failure": each.last_failure,
    }
