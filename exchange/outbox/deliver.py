"""Delivering what waits in the outbox: signed POST, again after a while, dead in the end (`foundation/webhooks`)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exchange.outbox import tables
from exchange.ports import Exchange
from foundation.settings import Settings
from foundation.signing import canonical_json
from foundation.webhooks.sending import Sender, next_attempt

logger = logging.getLogger(__name__)

PURPOSE = "notice"
"""Keys that sign webhooks are ES256 always: RFC 9421 knows no SM2."""

CREDIT = "credit"
"""Target of what the credit authority is told; any other target is a department."""

BATCH = 50
_CLAIMED = timedelta(minutes=15)
"""How long a batch belongs to who took it: longer than all of it may take."""


def place(message_id: uuid.UUID) -> bytes:
    """Return where the body of a message stands."""
    return b"outbox\0" + message_id.bytes


async def tell(
    exchange: Exchange,
    connection: Any,
    message_id: uuid.UUID,
    target: str,
    kind: str,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """Let a message wait for its target, sealed; in the transaction of what it tells.

    It waits where no address is configured for the target, too, until there is one.
    """
    body = canonical_json({"id": str(message_id), "kind": kind, "at": now.isoformat(), **facts})
    sealed = exchange.vault.seal(body, place(message_id))
    await tables.add(connection, message_id, target, kind, sealed, now)


def addresses(settings: Settings) -> dict[str, str]:
    """Return target → address, as configured."""
    found = dict(settings.supervision_webhooks)
    if settings.credit_webhook is not None:
        found[CREDIT] = settings.credit_webhook
    return found


async def deliver(exchange: Exchange, sender: Sender, now: datetime) -> int:
    """Send every message that is due, each once; return how many arrived.

    A message may arrive twice, where the answer to it was lost; its `id` stays the same.
    """
    urls = addresses(exchange.settings)
    if not urls:
        return 0
    arrived = 0
    signer = exchange.keys.signer(PURPOSE)
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            due = await tables.take_due(connection, list(urls), now, now + _CLAIMED, BATCH)
        for each in due:
            body = exchange.vault.open(each.sealed, place(each.id))
            headers = {"Zhengtong-Notice": each.kind}
            failure = await sender.send(urls[each.target], body, headers, signer, now)
            async with exchange.pool.acquire() as connection:
                if failure is None:
                    await tables.delivered(connection, each.id, now)
                    arrived += 1
                else:
                    again = next_attempt(each.attempts, now)
                    await tables.failed(connection, each.id, failure, again, now)
                    logger.log(
                        logging.ERROR if again is None else logging.WARNING,
                        "message not delivered: id=%s failure=%s dead=%s",
                        each.id,
                        failure,
                        again is None,
                    )
        if len(due) < BATCH:
            return arrived
