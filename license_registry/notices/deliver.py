"""Delivering notices: POST, signed (`foundation/webhooks`), again after a while, dead in the end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.language import _
from foundation.webhooks.addresses import WebhookRefused
from foundation.webhooks.sending import Sender, next_attempt
from license_registry.notices import tables
from license_registry.ports import Registry

logger = logging.getLogger(__name__)

PURPOSE = "notice"
"""Keys that sign notices are ES256 always: RFC 9421 knows no SM2."""

BATCH = 50
_CLAIMED = timedelta(minutes=15)
"""How long a batch belongs to who took it: longer than all of it may take."""

KINDS = frozenset(
    {
        "state-changed",
        "transferred-to-you",
        "expiry-reminder",
        "annual-report-due",
        "annual-report-overdue",
        "task-raised",
    }
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round of deliveries did. `dead`: lie dead now, from this round and all before."""

    delivered: int
    failed: int
    dead: int


def require_kinds(kinds: frozenset[str]) -> frozenset[str]:
    """Return kinds of notices, or raise WebhookRefused if there is none of that name."""
    if not kinds or not kinds <= KINDS:
        raise WebhookRefused(_("kinds of notices are {kinds}"), kinds=", ".join(sorted(KINDS)))
    return kinds


async def deliver(registry: Registry, sender: Sender, now: datetime) -> Delivered:
    """Send every notice that is due, each once.

    A notice may arrive twice, where the answer to it was lost; its `id` stays the same. Anything but 2xx is a
    failure. Redirects are not followed: they would carry the notice to where nobody registered it.
    """
    done = {True: 0, False: 0}
    signer = registry.keys.signer(PURPOSE)
    while True:
        async with registry.pool.acquire() as connection, connection.transaction():
            due = await tables.take_due(connection, now, now + _CLAIMED, BATCH)
        for each in due:
            headers = {"Zhengtong-Notice": each.kind}
            failure = await sender.send(each.url, each.body, headers, signer, now)
            async with registry.pool.acquire() as connection:
                if failure is None:
                    await tables.delivered(connection, each.id, now)
                else:
                    again = next_attempt(each.attempts, now)
                    await tables.failed(connection, each.id, failure, again, now)
                    # Logged here, counted below, and shown by `GET /v1/notices?dead=true` and to the operator.
                    logger.log(
                        logging.ERROR if again is None else logging.WARNING,
                        "notice not delivered: id=%s failure=%s dead=%s",
                        each.id,
                        failure,
                        again is None,
                    )
            done[failure is None] += 1
        if len(due) < BATCH:
            break
    return Delivered(done[True], done[False], await tables.count_dead(registry.pool))
