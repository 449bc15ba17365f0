"""Delivering notices of wrong values: POST, signed (`foundation/webhooks`), again after a while, dead in the end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter

import foundation.rounds
from exchange.corrections.notices import tables
from exchange.corrections.notices.tables import Due
from exchange.outbox.deliver import PURPOSE
from exchange.ports import Exchange
from foundation.signing import canonical_json
from foundation.telemetry import METRICS
from foundation.webhooks.sending import Delivered, Sender, next_attempt

logger = logging.getLogger(__name__)

KIND = "correction"
BATCH = 50
LOOKS_EVERY_SECONDS = 2.0
_CLAIMED = timedelta(minutes=15)
"""How long a batch belongs to who took it: longer than all of it may take, were it for one system."""

SENT = Counter(
    "zhengtong_correction_notices_total", "Notices of wrong values sent", ["outcome"], registry=METRICS
)


async def deliver_forever(exchange: Exchange, sender: Sender) -> None:
    """Deliver what is due again and again, until cancelled; safe in several processes at once."""
    await foundation.rounds.rounds(
        lambda: deliver(exchange, sender, datetime.now(UTC)),
        LOOKS_EVERY_SECONDS,
        logger,
        "notices of wrong values wait",
    )


async def deliver(exchange: Exchange, sender: Sender, now: datetime) -> Delivered:
    """Send every notice that is due, each once; a system that is slow keeps its own waiting, within a batch.

    That somebody was told is on record since the notice was made, in one transaction with it (`correction-told`). It
    may arrive twice, where the answer to it was lost; its `id` stays the same.
    """
    done = Delivered()
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            due = await tables.take_due(connection, now, now + _CLAIMED, BATCH)
        if not due:
            return done
        by_client: defaultdict[str, list[Due]] = defaultdict(list)
        for each in due:
            by_client[each.client_id].append(each)
        for part in await asyncio.gather(
            *(_deliver_to_one(exchange, sender, theirs, now) for theirs in by_client.values())
        ):
            done += part


async def _deliver_to_one(exchange: Exchange, sender: Sender, due: Sequence[Due], now: datetime) -> Delivered:
    done = Delivered()
    for each in due:
        failure = await sender.send(
            each.url, body_of(each), {"Zhengtong-Notice": KIND}, exchange.keys.signer(PURPOSE), now
        )
        again = None if failure is None else next_attempt(each.attempts, now)
        async with exchange.pool.acquire() as connection:
            if failure is None:
                await tables.delivered(connection, each.id, now)
                SENT.labels("delivered").inc()
                done += Delivered(delivered=1)
                continue
            await tables.failed(connection, each.id, failure, again, now)
        SENT.labels("failed" if again else "dead").inc()
        done += Delivered(failed=1, dead=int(again is None))
        # Logged here, counted in the metrics, and shown by `GET /v1/corrections/notices/dead`.
        logger.log(
            logging.ERROR if again is None else logging.WARNING,
            "notice of a wrong value not delivered",
            extra={"notice": each.id, "failure": failure, "dead": again is None},
        )
    return done


def body_of(due: Due) -> bytes:
    """Return the body of a notice: what one reads in the list of notices, and nobody's identifier or value."""
    return canonical_json(
        {
            "id": due.id,
            "kind": KIND,
            "correction": str(due.correction),
            "resource": due.resource,
            "field": due.field,
            "records": [str(record) for record in due.records],
            "created_at": due.created_at.isoformat(),
        }
    )
