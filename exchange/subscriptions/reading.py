"""Reading a feed: the same events as by webhook, from a sequence on, waited for where there are none yet."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange.audit.record import prepare, record_within
from exchange.grants.grant import Grant
from exchange.ports import Exchange
from exchange.subscriptions import feed_tables, tables
from exchange.subscriptions.delivering import Clock, now_utc, shown
from exchange.subscriptions.feed_tables import Event
from exchange.subscriptions.recording import record_of
from exchange.subscriptions.spread import place_of
from exchange.subscriptions.subscription import (
    FeedForgotten,
    Scope,
    Subscription,
    require_active,
    require_grant,
)
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

LOOKS_EVERY_SECONDS = 0.25
"""Who waits for an event learns of it at most so much later."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events of a feed, as they are shown; `next`: after which to ask; `head`: sequence of the newest that there is."""

    events: list[dict[str, Any]]
    next: int
    head: int


async def own(exchange: Exchange, caller: Principal, subscription_id: uuid.UUID) -> Subscription:
    """Return a subscription of the caller, or raise NotFound."""
    async with exchange.pool.acquire() as connection:
        found = await tables.find(connection, subscription_id)
    if found is None or found.client_id != caller.id:
        raise NotFound(_("no such subscription"))
    return found


async def read(
    exchange: Exchange,
    caller: Principal,
    subscription_id: uuid.UUID,
    *,
    after: int,
    limit: int,
    wait: float,
    clock: Clock = now_utc,
) -> Page:
    """Return the events after a sequence, waiting for the first where there is none.

    1. See whose subscription it is, and wait.
    2. See that it goes on, and that its grant holds now.
    3. Write an access record for each event, durably; then hand them out. Dying in between, records stand for what
       was not read, which discloses nothing.

    A refusal is recorded too, and raised only when its record is durable.

    Args:
        wait: seconds.

    Raises:
        NotFound, SubscriptionEnded, NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, OutsideHours,
        QuotaExceeded: as they say.
        FeedForgotten: events after that sequence are no longer kept.
    """
    subscription = await own(exchange, caller, subscription_id)
    ends = asyncio.get_running_loop().time() + wait
    while subscription.head <= after and await exchange.heads.of(subscription_id) <= after:
        left = ends - asyncio.get_running_loop().time()
        if left <= 0:
            break
        await asyncio.sleep(min(LOOKS_EVERY_SECONDS, left))
    now = clock()
    try:
        async with exchange.pool.acquire() as connection:
            found = await tables.find(connection, subscription_id)
            assert found is not None, "subscriptions are not deleted"
            grant = (await feed_tables.grants(connection, [found.grant])).get(found.grant)
            require_active(found)
            grant = require_grant(grant, caller.id, found.matter, now)
            require_kept(found, after + 1)
            events = await feed_tables.after(connection, subscription_id, after, limit)
        if events:
            await exchange.grants.take([grant], now, len(events))
    except DomainError as refusal:
        refused = prepare(
            "notified", "refused", caller, now, subscription=str(subscription_id), reason=refusal.code
        )
        await exchange.recorder.record(refused)
        raise
    if events:
        async with exchange.pool.acquire() as connection:
            records = [record_of(found, grant, event, "polled", now) for event in events]
            await record_within(connection, *records)
    return Page(
        _shown(exchange, found, grant, events),
        events[-1].sequence if events else after,
        max(found.head, after if not events else 0),
    )


def require_kept(subscription: Subscription, first: int) -> None:
    """Raise FeedForgotten if the event of a sequence is no longer kept."""
    if first <= subscription.forgotten:
        raise FeedForgotten(
            _("events up to {sequence} are no longer kept; look at the subjects anew, and go on after it"),
            sequence=subscription.forgotten,
        )


def _shown(
    exchange: Exchange, subscription: Subscription, grant: Grant, events: Sequence[Event]
) -> list[dict[str, Any]]:
    found = []
    for event in events:
        told = shown(subscription, event, grant)
        if subscription.scope is Scope.ALL and event.sealed is not None:
            # Here alone: who reads has proved who they are, and the connection is theirs from end to end.
            told["identifier"] = exchange.vault.open(event.sealed, place_of(event.subject)).decode()
        found.append(told)
    return found
