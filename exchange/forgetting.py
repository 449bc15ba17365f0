"""Forgetting what is kept sealed, once its time is over; what proves it stays.

Each kind of content has a term of its own, with the law that it goes by; each setting is a city's to change. What
somebody still needs is kept beyond it, as the statements of the rooms say. What goes is recorded: how much of which
kind, of before when, and by which law.

Of a plan these are the identifiers, the inputs and the answers, and what people were asked and released. The access
records with the digests of the answers, what became of each material, and signed commitments stay: an answer that a
department filed verifies as before. Of a message to another system its text goes, and that it arrived stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exchange.audit.record import prepare, record_within
from exchange.consents import tables as consents
from exchange.corrections import tables as corrections
from exchange.entitlements import tables as entitlements
from exchange.outbox import tables as outbox
from exchange.outcomes import tables as outcomes
from exchange.plans import tables as plans
from exchange.ports import Exchange
from exchange.requests.act import ITSELF
from exchange.subscriptions import feed_tables
from foundation.settings import Settings

AT_ONCE = 500

CASES = "个人信息保护法第19条、第47条；民法典第188条"
"""No longer than needed; a claim lapses after three years."""
DECISIONS = "个人信息保护法第19条、第47条；行政诉讼法第46条"
"""No longer than needed; who was decided on has six months to sue."""
SUPERVISION = "个人信息保护法第19条；行政处罚法第36条"
"""No longer than needed; what endangers life and health can be punished for five years."""
MESSAGES = "个人信息保护法第47条；网络安全法第21条"
"""Nobody needs it any more; what is needed to look into a failure is kept for six months."""


@dataclass(frozen=True, slots=True)
class Term:
    """How long one kind of content is kept.

    Args:
        basis: the law that the term goes by.
        work: forgets at most so many of before a moment, and returns of how many.
    """

    what: str
    days: int
    basis: str
    work: Callable[[Any, datetime, int], Awaitable[int]]


def terms(settings: Settings) -> tuple[Term, ...]:
    """Return all terms."""
    return (
        Term("plans", settings.case_content_days, CASES, plans.forget),
        Term("consent-codes", settings.case_content_days, CASES, consents.forget),
        Term("messages", settings.case_content_days, CASES, outbox.forget),
        Term("corrections", settings.correction_words_days, CASES, corrections.forget),
        Term("entitlements", settings.entitlement_values_days, DECISIONS, entitlements.forget),
        Term("supervised", settings.supervised_applicant_days, SUPERVISION, outcomes.forget),
        Term("dead-messages", settings.dead_message_days, MESSAGES, outbox.forget_dead),
        Term("dead-events", settings.dead_message_days, MESSAGES, feed_tables.dismiss_old),
    )


async def forget(exchange: Exchange, now: datetime) -> int:
    """Forget what is older than its term; return of how many.

    Each batch is one transaction with its record. Safe in several processes at once, and after dying at any point.
    """
    done = 0
    for term in terms(exchange.settings):
        before = now - timedelta(days=term.days)
        while True:
            async with exchange.pool.acquire() as connection, connection.transaction():
                count = await term.work(connection, before, AT_ONCE)
                if count:
                    await record_within(
                        connection,
                        prepare(
                            "content-forgotten",
                            "forgotten",
                            ITSELF,
                            now,
                            what=term.what,
                            before=before.isoformat(),
                            number=count,
                            basis=term.basis,
                        ),
                    )
            done += count
            if count < AT_ONCE:
                break
    return done
