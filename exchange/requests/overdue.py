"""What the calendar does to share requests: terms that pass, requests that end, grants that were left behind."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import foundation.rounds
from exchange.audit.record import prepare, record_within
from exchange.grants.tables import end as end_grant
from exchange.ports import Exchange
from exchange.requests import tables
from exchange.requests.act import ITSELF, act_itself, settle_grants
from exchange.requests.request import Act
from exchange.requests.states import LATE, STEPS, Action, Actor
from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.language import _, both

logger = logging.getLogger(__name__)

BATCH = 100
LOOKS_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    Args:
        overdue: terms that it told of.
        expired: requests that it ended, with their grants.
        mended: grants given or ended that a request said and nobody had done.
    """

    overdue: int
    expired: int
    mended: int


async def rounds(exchange: Exchange) -> None:
    """Go round after round until cancelled, the first after a while; safe in several processes at once."""
    await foundation.rounds.rounds(
        lambda: go_round(exchange, datetime.now(UTC)),
        LOOKS_EVERY_SECONDS,
        logger,
        "deadlines of requests wait",
    )


async def go_round(exchange: Exchange, now: datetime) -> Round:
    """Do all that is due.

    Each batch is one transaction over requests that no other process holds; dying in it, nothing was done.
    """
    return Round(
        overdue=await _tell_overdue(exchange, now),
        expired=await _expire(exchange, now),
        mended=await _mend(exchange, now),
    )


async def _tell_overdue(exchange: Exchange, now: datetime) -> int:
    """Tell, once each, of terms that have passed: the sharing authority always, and the department that is late."""
    done = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.take_overdue(connection, civil_date(now), BATCH)
            for request in found:
                assert request.due_on is not None
                step = STEPS[request.state]
                late = LATE[step]
                said = {"step": step, "late": late.value, "due_on": request.due_on.isoformat()}
                facts: dict[str, Any] = {
                    "request": str(request.id),
                    "resource": request.asked.resource,
                    "of": request.department,
                    "owner": request.owner,
                    **said,
                }
                await record_within(connection, prepare("request-overdue", "overdue", ITSELF, now, **facts))
                told = replace(request, overdue_at=now)
                await tables.put(connection, told)
                act = Act(Action.OVERDUE)
                await tables.add_step(
                    connection, told, Actor.EXCHANGE, act, ITSELF.id, ITSELF.department, now, said
                )
                for told_to in {None, (request.owner if late is Actor.OWNER else None) or None}:
                    await tables.add_notice(
                        connection, "request-overdue", request.id, told_to, step, request.due_on, now
                    )
        done += len(found)
        if len(found) < BATCH:
            return done


async def _expire(exchange: Exchange, now: datetime) -> int:
    done = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.take_expired(connection, now, BATCH)
            ended = [
                (request, await act_itself(exchange, connection, request, Act(Action.EXPIRE), now))
                for request in found
            ]
        for before, after in ended:
            await settle_grants(exchange, after, before.grant_id, ITSELF.id, now)
        done += len(found)
        if len(found) < BATCH:
            return done


async def _mend(exchange: Exchange, now: datetime) -> int:
    """Let requests and grants say the same again, after somebody died between the two or ended a grant by itself."""
    done = 0
    async with exchange.pool.acquire() as connection, connection.transaction():
        for request in await tables.with_ended_grant(connection, BATCH):
            act = Act(Action.END, reason=both(_("its grant was ended")))
            await act_itself(exchange, connection, request, act, now)
            done += 1
    for request in await tables.without_grant(exchange.pool, BATCH):
        try:
            await settle_grants(exchange, request, None, ITSELF.id, now)
            done += 1
        except DomainError as refusal:
            # It has left the catalogue, or a field has, in the meantime: somebody must look.
            logger.error(
                "a request was provided and cannot be granted",
                extra={"request": str(request.id), "reason": refusal.code},
            )
    for grant in await tables.left_grants(exchange.pool, BATCH):
        done += await end_grant(exchange.engine, grant, now)
        await exchange.grants.look()
    return done
