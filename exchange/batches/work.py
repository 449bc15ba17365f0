"""Working on batches: part by part, each in one transaction, by whichever process is there."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NoReturn

from exchange.audit import many
from exchange.audit.record import prepare as prepare_record
from exchange.batches import answering, guessing, tables
from exchange.batches.accept import lines_place, quotas
from exchange.batches.answering import Allowed, AnsweredPart, require_allowed
from exchange.batches.batch import STATEMENT_TYPE, Batch, BatchLinesLost, Mode, NotOurs, State
from exchange.batches.live import ask_rows
from exchange.batches.prepare import Asked, Prepared, prepare
from exchange.batches.rows import read_rows
from exchange.batches.sealing import public_key, seal
from exchange.batches.summary import summary
from exchange.catalog.document import LICENCE_PREFIX
from exchange.catalog.resources import ReadsFrom, Resource, require_resource
from exchange.grants.grant import Grant, Hours, OutsideHours
from exchange.grants.held import QuotaExceeded
from exchange.ports import Exchange
from exchange.queries.attest import PURPOSE
from exchange.queries.elsewhere import About, Told, look_elsewhere, require_known_types
from exchange.registers.lookup import RegisterRow, find_many
from exchange.relaying.errors import SourceUnavailable
from foundation.civil import CHINA, civil_date
from foundation.errors import DomainError
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.sensitive import SealBroken
from foundation.signing import canonical_json, sign_compact
from foundation.unavailable import UNAVAILABLE

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""For how long nobody else touches a batch that a process works on; each part renews it."""
SLICE_SECONDS = 5.0
"""After this long the batch that waited longest has its turn."""
LOOKS_EVERY_SECONDS = 0.2
CLEARS_EVERY_SECONDS = 60.0
SOURCE_RESTS = timedelta(minutes=1)
"""How long a batch waits for a live source that failed again and again."""
MOST_WAITING_FOR_THE_LOG = 100_000
"""Entries: what the sequencer folds in well before the receipts promise it. Beyond, batches wait for it."""


_NOT_NOW: tuple[type[DomainError], ...] = (QuotaExceeded, SourceUnavailable, *answering.NOT_ALLOWED)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A part that is answered and not yet written."""

    part: int
    answered: AnsweredPart
    digest: bytes
    sealed: bytes
    grants: Sequence[Grant]
    at: datetime


async def work_forever(
    exchange: Exchange, clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, live: bool = False
) -> NoReturn:
    """Work on batches as they come, until cancelled. What fails for a while is tried again.

    Args:
        live: on those whose rows live sources are asked about, which take their time, and on no others.
    """
    cleared = 0.0
    while True:
        worked = False
        try:
            if time.monotonic() - cleared > CLEARS_EVERY_SECONDS:
                cleared = time.monotonic()
                await tables.expire(exchange.pool, clock())
            worked = await work_once(exchange, clock, live=live)
        except UNAVAILABLE as error:
            logger.error("batches wait", extra={"error": type(error).__name__})
        if not worked:
            await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def work_once(exchange: Exchange, clock: Callable[[], datetime], *, live: bool = False) -> bool:
    """Work for a while on the batch that waited longest; False: there was none to work on.

    A batch that cannot go on ends as failed, so that whoever sent it sees it and the others go on. What fails for a
    while (database) is raised, with the batch at the part where it was.
    """
    if await tables.waiting_for_the_log(exchange.pool) > MOST_WAITING_FOR_THE_LOG:
        return False
    holder = uuid.uuid4()
    batch = await tables.take(exchange.pool, holder, clock(), LEASE, live=live)
    if batch is None:
        return False
    try:
        await _work(exchange, batch, holder, clock)
    except UNAVAILABLE:
        raise
    except Exception as error:  # one batch must not hold up the others, and whoever sent it must see it
        logger.exception("a batch failed", extra={"batch": str(batch.id)})
        code = error.code if isinstance(error, DomainError) else "internal-error"
        await finish(exchange, batch.id, State.FAILED, code, clock())
    finally:
        await tables.let_go(exchange.pool, batch.id, holder)
    return True


async def _work(exchange: Exchange, batch: Batch, holder: uuid.UUID, clock: Callable[[], datetime]) -> None:
    """Answer parts until the batch is done, not ours any more, or others have their turn.

    1. Make a part ready: open its rows, decide by the grants as they are now, look the subjects up in one statement,
       compare, spell the records, seal the lines. What is live is asked row by row instead (`ask_rows`). While one
       part is written, the next is made ready.
    2. Count the use of the grants. In one transaction count the part as done, write the access records with their
       promises to the log, write the results and drop the rows. Dying before its commit leaves the batch where it
       was, nothing recorded and nothing handed out; dying after it leaves it at the next part.
    3. After the last part sign the summary. Dying before leaves a batch whose parts are all done: whoever takes it
       comes here.
    """
    ends = time.monotonic() + SLICE_SECONDS
    part = batch.next_part
    making = _begin(_make_ready(exchange, batch, holder, part, clock)) if part < batch.parts else None
    started = time.monotonic()
    try:
        while making is not None:
            ready = await making
            making = None
            if part + 1 < batch.parts and time.monotonic() < ends:
                making = _begin(_make_ready(exchange, batch, holder, part + 1, clock))
            ended = time.monotonic()
            await _write(exchange, batch, holder, ready, int((ended - started) * 1000))
            started = ended
            part += 1
    except NotOurs:
        return
    except _NOT_NOW as refusal:
        await _rest_or_stop(exchange, batch, refusal, clock())
        return
    finally:
        if making is not None:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
    if part >= batch.parts:
        await finish(exchange, batch.id, State.DONE, None, clock())


def _begin(work: Awaitable[_Ready]) -> asyncio.Future[_Ready]:
    return asyncio.ensure_future(work)


async def _make_ready(
    exchange: Exchange, batch: Batch, holder: uuid.UUID, part: int, clock: Callable[[], datetime]
) -> _Ready:
    resource = require_resource(exchange.catalogue, batch.question.resource)
    sealed = await tables.lines(exchange.pool, batch.id, part)
    prepared = await asyncio.to_thread(_opened, exchange, batch, resource, part, sealed)
    grants = await _grants(exchange, batch)
    now = clock()
    require_allowed(batch, grants, now)
    source = exchange.relays.source_of(resource)
    if source is not None:
        decided = answering.decide(batch, resource, prepared, grants, {}, now)
        decided = await ask_rows(exchange, batch, resource, source, decided, holder, LEASE, clock)
        return await _spelled(exchange, batch, resource, part, decided, {}, grants, now)
    subjects = [each.subject for each in prepared if isinstance(each, Asked)]
    # The clear part of the rows is read only where an answer or a decision needs it.
    sealed_ones = resource.register.sensitive
    in_clear = any(grant.divisions for grant in grants) or not all(
        each.sense.needs <= sealed_ones for each in prepared if isinstance(each, Asked)
    )
    found = await _find(exchange, resource, subjects, civil_date(now), in_clear=in_clear)
    decided = answering.decide(batch, resource, prepared, grants, found, now)
    elsewhere = await _look_elsewhere(exchange, decided, civil_date(now))
    return await _spelled(exchange, batch, resource, part, decided, elsewhere, grants, now)


async def _spelled(
    exchange: Exchange,
    batch: Batch,
    resource: Resource,
    part: int,
    decided: Sequence[answering.Decided],
    elsewhere: Mapping[int, Mapping[str, Told]],
    grants: Sequence[Grant],
    now: datetime,
) -> _Ready:
    def work() -> tuple[AnsweredPart, bytes, bytes]:
        answered = answering.answer(batch, _caller(batch), resource, exchange.vault, decided, elsewhere, now)
        recipient = batch.question.recipient
        result = seal(public_key(recipient), recipient.get("kid"), batch.id, part, answered.lines)
        return answered, hashlib.sha256(answered.lines).digest(), result

    answered, digest, result = await asyncio.to_thread(work)
    return _Ready(part, answered, digest, result, grants, now)


def _opened(
    exchange: Exchange, batch: Batch, resource: Resource, part: int, sealed: bytes | None
) -> list[Prepared]:
    if sealed is None:
        raise BatchLinesLost(_("the subjects of the batch are gone"))
    try:
        text = exchange.vault.open(sealed, lines_place(batch.id, part))
    except SealBroken as error:
        raise BatchLinesLost(_("the subjects of the batch are gone")) from error
    rows = read_rows(
        text,
        part * batch.part_rows + 1,
        batch.form,
        batch.columns,
        with_claims=batch.question.mode is Mode.VERIFY,
    )
    return prepare(
        rows,
        batch.question,
        resource,
        exchange.vault,
        lambda claims: require_known_types(exchange, claims),
    )


async def _find(
    exchange: Exchange, resource: Resource, subjects: Sequence[bytes], today: date, *, in_clear: bool
) -> dict[bytes, RegisterRow]:
    if not subjects:
        return {}
    wanted = list(dict.fromkeys(subjects))
    if resource.reads_from is ReadsFrom.LICENCES:
        return await _find_licences(exchange, resource, wanted, today)
    return await find_many(exchange.pool, resource.register, wanted, in_clear=in_clear)


async def _find_licences(
    exchange: Exchange, resource: Resource, holders: Sequence[bytes], today: date
) -> dict[bytes, RegisterRow]:
    """Return the licence of each holder as a row that is open already."""
    kind = resource.id.removeprefix(LICENCE_PREFIX)
    return {
        holder: RegisterRow(
            holder,
            {**held.values(), "division": held.division},
            None,
            resource.lead_source,
            held.issued_at,
            resource.version,
            merged=held.merged,
        )
        for holder, held in (await exchange.licences.of_holders(kind, holders, today)).items()
    }


async def _look_elsewhere(
    exchange: Exchange, decided: Sequence[answering.Decided], today: date
) -> dict[int, Mapping[str, Told]]:
    """Return number of row → what is found for claims that the subject's row does not answer."""
    wanted: dict[int, About] = {}
    for each in decided:
        if isinstance(each, Allowed) and any(not claim.fields for claim in each.asked.claims or ()):
            subjects = [each.asked.subject]
            if each.held is not None and each.held.merged:
                subjects.append(each.held.subject)
            wanted[each.asked.row.number] = About(each.asked.claims or (), subjects)
    return dict(zip(wanted, await look_elsewhere(exchange, list(wanted.values()), today), strict=True))


async def _write(exchange: Exchange, batch: Batch, holder: uuid.UUID, ready: _Ready, worked_ms: int) -> None:
    answered = ready.answered
    records = None
    if answered.first_record is not None and answered.last_record is not None:
        records = (answered.first_record, answered.last_record)
    # What is taken of a quota stays taken: who dies now has used it up for this part and asked for nothing.
    for grant in ready.grants:
        if answered.uses.get(grant.id):
            await exchange.grants.take([grant], ready.at, answered.uses[grant.id])
    async with exchange.pool.acquire() as connection, connection.transaction():
        ours = await tables.advance(
            connection,
            batch.id,
            holder,
            ready.part,
            answered.counts,
            records,
            list(answered.uses),
            sorted(answered.sources),
            worked_ms,
            ready.at,
            LEASE,
            ready.at + timedelta(days=exchange.settings.batch_result_days),
        )
        if not ours:
            raise NotOurs
        await many.write(connection, answered.records)
        last_row = (ready.part + 1) * batch.part_rows
        await tables.add_result(connection, batch.id, ready.part, ready.digest, ready.sealed, last_row)


async def finish(
    exchange: Exchange, batch_id: uuid.UUID, state: State, problem: str | None, now: datetime
) -> Batch:
    """End a batch: sign the summary of what was answered, drop the subjects that were not asked about.

    Of one that is over already the end stands.
    """
    async with exchange.pool.acquire() as connection, connection.transaction():
        batch = await tables.find(connection, batch_id, for_change=True)
        assert batch is not None, "a batch is never deleted"
        if batch.statement is not None or batch.state is State.EXPIRED:
            return batch
        digests = await tables.digests(connection, batch_id)
        said = summary(
            batch,
            exchange.catalogue.get(batch.question.resource),
            state,
            digests,
            exchange.settings.base_url,
            exchange.settings.ledger_origin,
            await exchange.freshness.of(batch.sources),
            now,
        )
        jws = sign_compact(exchange.keys.signer(PURPOSE), canonical_json(said), STATEMENT_TYPE)
        expires_at = now + timedelta(days=exchange.settings.batch_result_days)
        await tables.finish(connection, batch_id, state, problem, jws, now, expires_at)
        await guessing.look(connection, batch, exchange.settings, now)
        ended = await tables.find(connection, batch_id)
        assert ended is not None
        return ended


async def _rest_or_stop(exchange: Exchange, batch: Batch, refusal: DomainError, now: datetime) -> None:
    """Let a batch rest where time alone brings back what it needs: a quota, the hours of a grant, a live source.

    Else stop it.
    """
    grants = await _grants(exchange, batch)
    until = None
    if isinstance(refusal, QuotaExceeded) and all(quota >= batch.part_rows for quota in quotas(grants)):
        until = datetime.fromisoformat(str(refusal.values["until"]))
    elif isinstance(refusal, SourceUnavailable):
        until = now + SOURCE_RESTS
    elif isinstance(refusal, OutsideHours):
        until = min(_opens(grant.hours, now) for grant in grants if grant.hours is not None)
    event = "batch-stopped" if until is None else "batch-paused"
    await exchange.recorder.record(
        prepare_record(event, "refused", _caller(batch), now, reason=refusal.code, batch=str(batch.id))
    )
    if until is None:
        await finish(exchange, batch.id, State.STOPPED, refusal.code, now)
    else:
        await tables.pause(exchange.pool, batch.id, refusal.code, until, now)


def _opens(hours: Hours, now: datetime) -> datetime:
    today = datetime.combine(civil_date(now), hours.begin, CHINA)
    return today if today > now else today + timedelta(days=1)


async def _grants(exchange: Exchange, batch: Batch) -> Sequence[Grant]:
    return await exchange.grants.of(batch.client_id, batch.question.resource)


def _caller(batch: Batch) -> Principal:
    return Principal(batch.client_id, batch.department, frozenset({Role.DEPARTMENT_SYSTEM}))
