"""What the calendar and the registers do to reports: terms that pass, and values that have been put right."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import foundation.rounds
from exchange.audit.record import prepare, record_within
from exchange.corrections import tables
from exchange.corrections.held import held
from exchange.corrections.telling import tell_recipients
from exchange.ports import Exchange
from exchange.registers.schemas import load_registers
from exchange.requests.act import ITSELF
from exchange.requests.tables import add_notice as add_overdue_notice
from foundation.civil import civil_date
from foundation.sensitive import SealBroken

logger = logging.getLogger(__name__)

BATCH = 100
LOOKS_EVERY_SECONDS = 30.0
GRACE = timedelta(minutes=10)
"""A row says when it was made ready to be brought in; until its run is done, answers still show what was before."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    Args:
        overdue: terms that it told of.
        closed: tasks of sources that are done: the register shows another value.
    """

    overdue: int
    closed: int


async def rounds(exchange: Exchange) -> None:
    """Go round after round until cancelled, the first after a while; safe in several processes at once."""
    await foundation.rounds.rounds(
        lambda: go_round(exchange, datetime.now(UTC)),
        LOOKS_EVERY_SECONDS,
        logger,
        "reports of wrong values wait",
    )


async def go_round(exchange: Exchange, now: datetime) -> Round:
    """Do all that is due; each batch is one transaction over reports that no other process holds."""
    return Round(await _tell_overdue(exchange, now), await _close_tasks(exchange, now))


async def _tell_overdue(exchange: Exchange, now: datetime) -> int:
    done = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.take_overdue(connection, civil_date(now), BATCH)
            for each in found:
                assert each.due_on is not None
                facts = {"correction": str(each.id), "owner": each.owner, "due_on": each.due_on.isoformat()}
                await record_within(
                    connection,
                    prepare("correction-overdue", "overdue", ITSELF, now, subject=each.subject, **facts),
                )
                await tables.put(connection, replace(each, overdue_at=now))
                for told_to in {None, each.owner or None}:
                    await add_overdue_notice(
                        connection, "correction-overdue", each.id, told_to, "answer", each.due_on, now
                    )
        done += len(found)
        if len(found) < BATCH:
            return done


async def _close_tasks(exchange: Exchange, now: datetime) -> int:
    """Look at the register for each value that was found wrong; where it shows another, the task is done.

    Then those are told, too, who were given the wrong value after the answer.
    """
    closed = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.take_tasks(connection, now, BATCH)
            for each in found:
                register = load_registers()[each.register]
                try:
                    shown = await held(connection, exchange.vault, register, each.subject, each.field)
                except SealBroken:
                    logger.exception("a row of a register was altered", extra={"correction": str(each.id)})
                    await tables.put(connection, replace(each, looked_at=now))
                    continue
                if shown.value == each.value:
                    await tables.put(connection, replace(each, looked_at=now))
                    continue
                ended = min(now, now if shown.since is None else shown.since + GRACE)
                await tables.put(connection, replace(each, looked_at=now, task_closed_at=now))
                await record_within(
                    connection,
                    prepare(
                        "correction-done",
                        "done",
                        ITSELF,
                        now,
                        subject=each.subject,
                        correction=str(each.id),
                        resource=each.resource,
                        field=each.field,
                        source=shown.source,
                    ),
                )
                await tell_recipients(exchange, connection, each, ended, now)
                closed += 1
        if len(found) < BATCH:
            return closed
