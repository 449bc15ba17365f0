"""Packing closed cases, one after the other, by whichever process is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from exchange.archives import tables
from exchange.archives.errors import ArchiveUnavailable
from exchange.archives.gather import Gathered, gather
from exchange.archives.tables import FAILED, WAITING, CaseArchive, State
from exchange.audit.record import prepare, record_within
from exchange.outcomes import tables as outcomes
from exchange.outcomes.tables import Outcome
from exchange.ports import Exchange, InLog, KeptPackage, Package
from foundation.errors import DomainError
from foundation.identity.principals import Principal, Role
from foundation.ledger.sequencer import Inclusions, inclusions
from foundation.sensitive import SealBroken
from foundation.unavailable import UNAVAILABLE

logger = logging.getLogger(__name__)

LOOKS_EVERY_SECONDS = 1.0
LEASE = timedelta(seconds=120)
"""For how long nobody else takes a case that a process packs. Taken twice, it is still packed once."""
WAITS_FOR_LOG = timedelta(seconds=1)
MOST_ATTEMPTS = 8
"""So often what nobody foresaw is tried again before somebody has to look."""
_LONGEST_WAIT = timedelta(minutes=10)
UNFORESEEN = "unforeseen"


async def pack_forever(
    exchange: Exchange, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> NoReturn:
    """Pack closed cases as they come, until cancelled. What fails for a while is tried again."""
    while True:
        worked = False
        try:
            worked = await pack_next(exchange, clock)
        except UNAVAILABLE as error:
            logger.error("archives wait", extra={"error": type(error).__name__})
        if not worked:
            await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def pack_next(exchange: Exchange, clock: Callable[[], datetime]) -> bool:
    """Pack the case that waited longest; False: none is due.

    A case that cannot be packed says why, and does not hold up the others.
    """
    now = clock()
    due = await tables.take_due(exchange.pool, now, now + LEASE)
    if due is None:
        return False
    try:
        if not await pack(exchange, due, clock()):
            await _put_off(exchange, due, WAITING, due.attempts, None, clock() + WAITS_FOR_LOG)
    except UNAVAILABLE:
        raise  # the lease brings it back
    except ArchiveUnavailable as error:
        await _again(exchange, due, error.code, clock())
    except DomainError as error:
        await _put_off(exchange, due, FAILED, due.attempts, error.code, clock())
    except SealBroken:
        await _put_off(exchange, due, FAILED, due.attempts, "seal-broken", clock())
    except Exception:  # one case must not hold up the others, and somebody must see it
        logger.exception("a case could not be packed", extra={"outcome": str(due.outcome)})
        if due.attempts + 1 < MOST_ATTEMPTS:
            await _again(exchange, due, UNFORESEEN, clock())
        else:
            await _put_off(exchange, due, FAILED, due.attempts + 1, UNFORESEEN, clock())
    return True


async def pack(exchange: Exchange, due: CaseArchive, now: datetime) -> bool:
    """Pack one closed case; False: a record of it is not in the log yet.

    1. Gather what the case rests on, as of its outcome.
    2. Prove that each of its records is in the log, all under one head. One that is not: later again.
    3. Have it packed, under the one key that this edition has. Done before, since somebody died before step 4: that
       package.
    4. Note it, with its record, in one transaction. Of two at once the first counts, and they note the same.

    Raises:
        SealBroken, ArchiveDamaged: what is kept was altered. ArchiveUnavailable: later again.
    """
    outcome = await outcomes.find(exchange.pool, due.outcome)
    assert outcome is not None
    gathered = await gather(exchange, outcome)
    known = await tables.entries(exchange.pool, sorted(gathered.records))
    entries = {str(record): entry for record, entry in known.items()} | gathered.entries
    async with exchange.pool.acquire() as connection:
        proved = await inclusions(connection, exchange.tiles, list(entries.values()))
    if proved is None:
        return False
    deciding = Principal(outcome.client_id, outcome.department, frozenset({Role.DEPARTMENT_SYSTEM}))
    package = _package(due, outcome, gathered, entries, proved)
    kept = await exchange.archives.pack(deciding, package, now)
    await _note(exchange, due, outcome, deciding, kept, now)
    return True


def _package(
    due: CaseArchive, outcome: Outcome, gathered: Gathered, entries: dict[str, bytes], proved: Inclusions
) -> Package:
    proofs = [InLog(record, entry, *proved.proofs[entry]) for record, entry in sorted(entries.items())]
    return Package(
        due.next_key,
        outcome.matter,
        outcome.case_ref,
        gathered.files,
        gathered.facts,
        proved.checkpoint,
        proofs,
    )


async def _note(
    exchange: Exchange,
    due: CaseArchive,
    outcome: Outcome,
    deciding: Principal,
    kept: KeptPackage,
    now: datetime,
) -> None:
    async with exchange.pool.acquire() as connection, connection.transaction():
        if not await tables.note_packed(
            connection, due.outcome, due.edition, kept.key, (kept.sha256, kept.sm3), kept.bytes, now
        ):
            return
        await record_within(
            connection,
            prepare(
                "case-archived",
                "packed",
                deciding,
                now,
                subject=outcome.applicant,
                outcome_id=str(outcome.id),
                matter=outcome.matter,
                case=outcome.case_ref,
                sha256=kept.sha256.hex(),
            ),
        )


async def _again(exchange: Exchange, due: CaseArchive, problem: str, now: datetime) -> None:
    wait = min(_LONGEST_WAIT, timedelta(seconds=2 ** min(due.attempts, 20)))
    await _put_off(exchange, due, WAITING, due.attempts + 1, problem, now + wait)


async def _put_off(
    exchange: Exchange, due: CaseArchive, state: State, attempts: int, problem: str | None, at: datetime
) -> None:
    await tables.put_off(exchange.pool, due.outcome, due.edition, state, attempts, problem, at)
