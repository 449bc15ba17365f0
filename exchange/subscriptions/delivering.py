"""Delivering events by signed webhooks: in order for each subject, at least once, under a grant that holds now."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from prometheus_client import Counter

from exchange.audit.record import prepare, record_within
from exchange.grants.grant import Grant, OutsideHours
from exchange.grants.held import QuotaExceeded
from exchange.ports import Exchange
from exchange.subscriptions import feed_tables, tables
from exchange.subscriptions.feed_tables import Event
from exchange.subscriptions.recording import client_of, granted, record_of
from exchange.subscriptions.subscription import Scope, State, Subscription, require_grant
from foundation.errors import DomainError
from foundation.signing import canonical_json
from foundation.telemetry import METRICS
from foundation.webhooks.sending import TIMEOUT_SECONDS, Delivered, Sender, next_attempt

logger = logging.getLogger(__name__)

PURPOSE = "event"
"""Keys that sign webhooks of events are ES256 always: RFC 9421 knows no SM2."""

MOST_EVENTS = 100
"""Events of one request. What failed before is sent alone: one that a receiver cannot take spoils no other again."""
MOST_AT_ONCE = 50
"""Subscriptions that one process delivers to at the same moment."""
LEASE = timedelta(seconds=6 * TIMEOUT_SECONDS)
"""How long a subscription belongs to who took it: longer than one request may take, and renewed before each."""
LONGEST_PAUSE = timedelta(minutes=5)
_LATER = timedelta(minutes=1)
"""When a subscription is looked at again that is outside its grant's hours, or has used up its quota."""

SENT = Counter("zhengtong_subscription_events_total", "Events sent by webhook", ["outcome"], registry=METRICS)

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """Return the moment it is."""
    return datetime.now(UTC)


async def stop_ungranted(exchange: Exchange, now: datetime) -> int:
    """Stop the subscriptions whose grant has ended or no longer lets them be; return how many."""
    async with exchange.pool.acquire() as connection:
        found = await tables.ungranted(connection, now)
    for each in found:
        await stop(exchange, each, "grant-ended", now)
    return len(found)


async def stop(exchange: Exchange, subscription: Subscription, reason: str, now: datetime) -> None:
    """Stop a subscription for good and record it; nothing of its feed leaves any more."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.set_state(connection, subscription.id, State.STOPPED, reason, now):
            told = prepare(
                "subscription-stopped",
                "stopped",
                client_of(subscription),
                now,
                subscription=str(subscription.id),
                grant=str(subscription.grant),
                reason=reason,
            )
            await record_within(connection, told)
            logger.warning(
                "subscription stopped", extra={"subscription": str(subscription.id), "reason": reason}
            )


async def deliver_due(exchange: Exchange, sender: Sender, clock: Clock = now_utc) -> Delivered:
    """Deliver to all subscriptions that have something due and that nobody else delivers to."""
    done = Delivered()
    while True:
        claimed = await claim(exchange, clock(), MOST_AT_ONCE)
        if not claimed:
            return done
        for each in await asyncio.gather(*(deliver(exchange, sender, one, clock) for one in claimed)):
            done += each


async def claim(exchange: Exchange, now: datetime, limit: int) -> list[Subscription]:
    """Take subscriptions that have something to deliver; who dies with one loses it after a while."""
    async with exchange.pool.acquire() as connection:
        return await tables.claim(connection, now, now + LEASE, limit)


async def deliver(
    exchange: Exchange, sender: Sender, subscription: Subscription, clock: Clock = now_utc
) -> Delivered:
    """Send the due events of a subscription that was claimed, batch by batch, until none is left or one fails.

    1. See that the subscription goes on and its grant holds now; else stop it.
    2. Take the next events. None stands behind an undelivered one of its subject, unless in the same batch.
       One that failed before goes alone.
    3. Write an access record for each that did not leave before, durably. Dying after this, a record stands for what
       did not leave, and the same event leaves by it later.
    4. Send them, signed. Dying after this, they are sent again: the same events by the same ids.
    5. Note what became of them.
    """
    done = Delivered()
    failures, pause = subscription.failures, None
    try:
        while True:
            now = clock()
            async with exchange.pool.acquire() as connection:
                if not await tables.keep(connection, subscription.id, now + LEASE):
                    return done
                grant = (await feed_tables.grants(connection, [subscription.grant])).get(subscription.grant)
                grant = require_grant(grant, subscription.client_id, subscription.matter, now)
                due = await feed_tables.next_events(connection, subscription.id, now, _most(grant))
            events = _together(due)
            if not events:
                return done
            sent = await _recorded(exchange, subscription, grant, events, now)
            failure = await sender.send(
                subscription.url or "",
                body_of(subscription, events, grant),
                {"Zhengtong-Subscription": str(subscription.id)},
                exchange.keys.signer(PURPOSE),
                now,
            )
            async with exchange.pool.acquire() as connection:
                if failure is None:
                    await feed_tables.delivered(connection, subscription.id, sent, clock())
                    done += Delivered(delivered=len(events))
                    SENT.labels("delivered").inc(len(events))
                    failures = 0
                    continue
                done += await _failed(connection, subscription, events, sent, failure, clock())
            failures += 1
            pause = clock() + min(LONGEST_PAUSE, timedelta(seconds=2 ** min(failures, 10)))
            return done
    except (OutsideHours, QuotaExceeded):
        pause = clock() + _LATER
        return done
    except DomainError as refusal:
        await stop(exchange, subscription, refusal.code, clock())
        return done
    finally:
        async with exchange.pool.acquire() as connection:
            await tables.release(connection, subscription.id, failures, pause)


def _most(grant: Grant) -> int:
    return min(MOST_EVENTS, grant.quota_per_minute or MOST_EVENTS, grant.quota_per_day or MOST_EVENTS)


def _together(due: Sequence[Event]) -> list[Event]:
    if due and due[0].attempts:
        return [due[0]]
    return list(takewhile(lambda event: event.attempts == 0, due))


async def _recorded(
    exchange: Exchange,
    subscription: Subscription,
    grant: Grant,
    events: Sequence[Event],
    now: datetime,
) -> dict[int, uuid.UUID]:
    """Return sequence → access record of events, written now where there was none."""
    new = [event for event in events if event.record is None]
    made = {event.sequence: record_of(subscription, grant, event, "webhook", now) for event in new}
    if made:
        await exchange.grants.take([grant], now, len(made))
        async with exchange.pool.acquire() as connection, connection.transaction():
            await record_within(connection, *made.values())
            ids = {sequence: record.id for sequence, record in made.items()}
            await feed_tables.recorded(connection, subscription.id, ids)
    return {event.sequence: event.record or made[event.sequence].id for event in events}


def shown(subscription: Subscription, event: Event, grant: Grant) -> dict[str, Any]:
    """Return an event as it leaves: what kind of change, of which fields, and of whom by reference or pseudonym."""
    return {
        "id": str(event.id),
        "sequence": event.sequence,
        "kind": event.kind,
        "at": event.happened_at.isoformat(),
        "resource": subscription.resource,
        "reference" if subscription.scope is Scope.NAMED else "pseudonym": event.reference,
        "fields": granted(event, grant),
    }


def body_of(subscription: Subscription, events: Sequence[Event], grant: Grant) -> bytes:
    """Return the body of a webhook."""
    told: Mapping[str, Any] = {
        "subscription": str(subscription.id),
        "events": [shown(subscription, event, grant) for event in events],
    }
    return canonical_json(told)


async def _failed(
    connection: Any,
    subscription: Subscription,
    events: Sequence[Event],
    sent: Mapping[int, uuid.UUID],
    failure: str,
    now: datetime,
) -> Delivered:
    again = {event.sequence: next_attempt(event.attempts, now) for event in events}
    await feed_tables.failed(connection, subscription.id, sent, again, failure, now)
    dead = sum(moment is None for moment in again.values())
    SENT.labels("failed").inc(len(events))
    SENT.labels("dead").inc(dead)
    # Logged here, counted in the metrics, and shown by `GET /v1/subscriptions/{id}/dead` and to the operator.
    logger.log(
        logging.ERROR if dead else logging.WARNING,
        "events not delivered",
        extra={
            "subscription": str(subscription.id),
            "failure": failure,
            "events": len(events),
            "dead": dead,
        },
    )
    return Delivered(failed=len(events), dead=dead)
