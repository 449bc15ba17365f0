"""HTTP of the outbox: what waits, what arrived, what lies dead."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from exchange.audit.record import prepare, record_within
from exchange.outbox import tables
from exchange.outbox.replies import Messages
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])


@router.get(
    "",
    openapi_extra=audited("none"),
    response_model=Messages,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="What systems outside were told, or were not 对外推送",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.OPERATOR))],
    dead: Annotated[bool, Query(description="Only what was given up")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List messages, the latest first, without what they say."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.messages(exchange.pool, dead=dead, limit=limit)
    return {"messages": [_shown(each) for each in found]}


@router.post(
    "/{message}/retry",
    status_code=204,
    openapi_extra=audited("message-revived"),
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request", "not-found"]
    ),
    summary="Try a dead message again",
)
async def retry(
    message: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.OPERATOR))],
) -> None:
    """Let a dead message be tried again, counting from the beginning."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    async with exchange.pool.acquire() as connection, connection.transaction():
        if not await tables.revive(connection, message, now):
            raise NotFound(_("no such dead message"))
        await record_within(
            connection, prepare("message-revived", "revived", caller, now, message=str(message))
        )


def _shown(each: tables.Sent) -> dict[str, Any]:
    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "id": str(each.id),
        "target": each.target,
        "kind": each.kind,
        "made_at": each.made_at.isoformat(),
        "attempts": each.attempts,
        "next_attempt_at": told(each.next_attempt_at),
        "delivered_at": told(each.delivered_at),
        "dead_at": told(each.dead_at),
        "last_failure": each.last_failure,
    }
