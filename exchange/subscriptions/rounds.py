"""What goes on beside the requests, in every process: following, telling, delivering, forgetting."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from prometheus_client import Gauge

from exchange.ports import Exchange, LicenceChanges
from exchange.subscriptions import feed_tables, tables
from exchange.subscriptions.delivering import (
    MOST_AT_ONCE,
    claim,
    deliver,
    deliver_due,
    now_utc,
    stop_ungranted,
)
from exchange.subscriptions.following import follow
from exchange.subscriptions.spread import spread
from exchange.subscriptions.subscription import Subscription
from foundation.telemetry import METRICS
from foundation.unavailable import UNAVAILABLE
from foundation.webhooks.sending import Delivered, Sender

logger = logging.getLogger(__name__)

LOOKS_EVERY_SECONDS = 0.5
IDLE_SECONDS = 10.0
FORGETS_EVERY = timedelta(minutes=10)
COUNTS_EVERY = timedelta(seconds=10)
FORGOTTEN_AT_ONCE = 10_000

DEAD = Gauge(
    "zhengtong_subscription_events_dead",
    "Events that were given up and wait for somebody",
    registry=METRICS,
    multiprocess_mode="livemax",
)
LATE = Gauge(
    "zhengtong_subscription_seconds_behind",
    "How long the longest event has been due",
    registry=METRICS,
    multiprocess_mode="livemax",
)


async def one_round(exchange: Exchange, licences: LicenceChanges, sender: Sender) -> Delivered:
    """Do all once: stop what is no longer granted, follow, tell, deliver."""
    await stop_ungranted(exchange, now_utc())
    await follow(exchange, licences)
    await spread(exchange, now_utc())
    return await deliver_due(exchange, sender)


async def forget(exchange: Exchange, now: datetime) -> int:
    """Forget the events that are older than the setting says; return how many."""
    before = now - timedelta(days=exchange.settings.feed_days)
    done = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            count = await feed_tables.forget(connection, before, FORGOTTEN_AT_ONCE)
        done += count
        if count < FORGOTTEN_AT_ONCE:
            return done


async def go_on_forever(exchange: Exchange, licences: LicenceChanges, sender: Sender) -> None:
    """Do so again and again, until cancelled. What fails for a while is tried again.

    A receiver that is slow keeps nobody waiting but itself: each subscription is delivered to by a task of its own.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_deliver_forever(exchange, sender))
        group.create_task(_forget_forever(exchange))
        idle = 0.0
        while True:
            try:
                if await tables.any_active(exchange.pool):
                    await stop_ungranted(exchange, now_utc())
                    await follow(exchange, licences)
                    await spread(exchange, now_utc())
                elif idle <= 0:
                    # So that who subscribes first is not told of what was long before.
                    await follow(exchange, licences)
                    await spread(exchange, now_utc())
                    idle = IDLE_SECONDS
                idle -= LOOKS_EVERY_SECONDS
            except UNAVAILABLE as error:
                logger.error("changes are not followed for now", extra={"error": type(error).__name__})
            except Exception:  # it must not end: nobody would be told anything any more
                logger.exception("changes are not followed for now")
            await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def _deliver_forever(exchange: Exchange, sender: Sender) -> None:
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                room = MOST_AT_ONCE - len(running)
                for each in await claim(exchange, now_utc(), room) if room else []:
                    task = asyncio.create_task(_deliver_one(exchange, sender, each))
                    running.add(task)
                    task.add_done_callback(running.discard)
            except UNAVAILABLE as error:
                logger.error("events wait", extra={"error": type(error).__name__})
            await asyncio.sleep(LOOKS_EVERY_SECONDS)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _deliver_one(exchange: Exchange, sender: Sender, subscription: Subscription) -> None:
    try:
        await deliver(exchange, sender, subscription)
    except UNAVAILABLE as error:
        logger.error("events wait", extra={"error": type(error).__name__})
    except Exception:  # one subscription must not hold up the others, and somebody must see it
        logger.exception("events wait", extra={"subscription": str(subscription.id)})


async def _forget_forever(exchange: Exchange) -> None:
    forgets = now_utc()
    while True:
        now = now_utc()
        try:
            if now >= forgets:
                await forget(exchange, now)
                forgets = now + FORGETS_EVERY
            async with exchange.pool.acquire() as connection:
                dead, behind = await feed_tables.standing(connection, now)
            DEAD.set(dead)
            LATE.set(behind)
        except UNAVAILABLE as error:
            logger.error("events are not counted for now", extra={"error": type(error).__name__})
        await asyncio.sleep(COUNTS_EVERY.total_seconds())
