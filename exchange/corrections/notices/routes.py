"""HTTP of where notices of wrong values are sent, and of those that lie dead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from exchange.audit.record import prepare, record_within
from exchange.corrections.notices import tables
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import FreeText
from foundation.webhooks.addresses import reach_of, require_reachable

router = APIRouter(prefix="/v1/corrections/notices", tags=["corrections"])

SEES_ALL = (Role.SHARING_AUTHORITY, Role.OPERATOR)
_CALLER = ["token-missing", "role-missing", "invalid-request"]


class NoticeAddress(BaseModel):
    """Where notices are sent."""

    model_config = ConfigDict(extra="forbid")

    url: FreeText


@router.put(
    "/address",
    openapi_extra=audited("correction-address-set"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "malformed-body", "webhook-refused"]),
    summary="Have notices of wrong values sent to an address 校核通知推送",
)
async def set_notice_address(
    body: NoticeAddress,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Send what waits unacknowledged, and all that comes, to an address by signed webhook; again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    await require_reachable(body.url, reach_of(exchange.settings))
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.address_of(connection, caller.id) != body.url:
            await record_within(connection, prepare("correction-address-set", "accepted", caller, now))
            await tables.set_address(connection, caller.id, body.url, now)
    return {"url": body.url}


@router.get(
    "/address",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Where notices of wrong values are sent to me",
)
async def notice_address(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))]
) -> dict[str, Any]:
    """Show the address; null where notices are read only."""
    exchange: Exchange = request.app.state.exchange
    return {"url": await tables.address_of(exchange.pool, caller.id)}


@router.delete(
    "/address",
    status_code=204,
    openapi_extra=audited("correction-address-dropped"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Have no notices sent any more",
)
async def drop_notice_address(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))]
) -> None:
    """Send nothing any more; notices are read as before."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.drop_address(connection, caller.id):
            told = prepare("correction-address-dropped", "accepted", caller, datetime.now(UTC))
            await record_within(connection, told)


@router.get(
    "/dead",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Notices that could not be delivered; the sharing authority and the operator see all",
)
async def dead_notices(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, *SEES_ALL))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List notices that were given up, the latest first."""
    exchange: Exchange = request.app.state.exchange
    return {
        "notices": [
            {
                "id": each.id,
                "client_id": each.client_id,
                "correction": str(each.correction),
                "attempts": each.attempts,
                "dead_at": each.dead_at.isoformat(),
                "last_failure": each.last_failure,
            }
            for each in await tables.dead(exchange.pool, _whose(caller), limit)
        ]
    }


@router.post(
    "/{number}/retry",
    status_code=204,
    openapi_extra=audited("correction-notice-revived"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found"]),
    summary="Try a dead notice again",
)
async def retry_notice(
    number: Annotated[int, Path(ge=1, lt=2**63)],
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, *SEES_ALL))],
) -> None:
    """Let a dead notice be tried again, counting from the beginning."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    async with exchange.pool.acquire() as connection, connection.transaction():
        if not await tables.revive(connection, number, _whose(caller), now):
            raise NotFound(_("no such dead notice"))
        await record_within(
            connection, prepare("correction-notice-revived", "revived", caller, now, notice=number)
        )


def _whose(caller: Principal) -> str | None:
    return None if caller.roles.intersection(SEES_ALL) else caller.id
