"""Asking a live source about the rows of a part: one by one, a few at a time, each outcome kept as it comes.

What is kept goes into the part when it is whole, and is deleted with its transaction. So whoever goes on after a crash
or a pause asks the source only about the rows that it has not answered yet.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from exchange.batches import live_tables
from exchange.batches.answering import Allowed, Decided
from exchange.batches.batch import Batch, Mode, NotOurs
from exchange.batches.live_lines import FromSource
from exchange.batches.prepare import Refused
from exchange.catalog.resource import Resource
from exchange.ports import Exchange
from exchange.relaying.asked import Asked, Relayed
from exchange.relaying.errors import (
    SOURCE_FAILURES,
    SourceAnswerInvalid,
    SourceLate,
    SourceRefused,
    SourceResting,
    SourceUnavailable,
)
from exchange.relaying.source import Kind, LiveSource

AT_ONCE = 4
"""Rows of a batch that a source is asked about at the same time: its own work goes on, and so do single questions."""

_FAILURES: dict[str, type[SourceLate | SourceUnavailable | SourceAnswerInvalid | SourceRefused]] = {
    each.code: each for each in (SourceLate, SourceUnavailable, SourceAnswerInvalid, SourceRefused)
}


async def ask_rows(
    exchange: Exchange,
    batch: Batch,
    resource: Resource,
    source: LiveSource,
    decided: Sequence[Decided],
    holder: uuid.UUID,
    lease: timedelta,
    clock: Callable[[], datetime],
) -> list[Decided]:
    """Return the rows of a part with what the source answered; a row that it does not answer says why.

    Rows that are refused here are not passed on. Before anything is raised, what is on its way is waited for and kept.

    Raises:
        SourceResting: the source failed again and again and is left alone for now; the rest is asked later.
        NotOurs: the batch was paused, ended or taken over.
    """
    numbers = [each.asked.row.number for each in decided if isinstance(each, Allowed)]
    if not numbers:
        return list(decided)
    kept = await live_tables.kept(exchange.pool, batch.id, numbers[0], numbers[-1])
    few = asyncio.Semaphore(AT_ONCE)
    over = False

    async def answered(allowed: Allowed) -> Decided:
        nonlocal over
        number = allowed.asked.row.number
        sealed = kept.get(number)
        if sealed is not None:
            told = orjson.loads(exchange.vault.open(sealed, answer_place(batch.id, number)))
            return _with(allowed, source, told)
        async with few:
            if over:
                raise NotOurs
            try:
                told = await _ask(exchange, batch, resource, source, allowed)
                sealed = exchange.vault.seal(orjson.dumps(told), answer_place(batch.id, number))
                if not await live_tables.keep(
                    exchange.pool, batch.id, holder, number, sealed, clock() + lease
                ):
                    raise NotOurs
            except (NotOurs, SourceResting):
                over = True
                raise
        return _with(allowed, source, told)

    async def each_of(one: Decided) -> Decided:
        return await answered(one) if isinstance(one, Allowed) else one

    outcomes = await asyncio.gather(*map(each_of, decided), return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failures:
        # That the source rests says more than that others stopped for it.
        raise next((each for each in failures if isinstance(each, SourceResting)), failures[0])
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


def answer_place(batch_id: uuid.UUID, row: int) -> bytes:
    """Return where the sealed answer to a row stands (see `Vault.seal`)."""
    return b"batch_live_answer\0" + batch_id.bytes + row.to_bytes(4, "big")


async def _ask(
    exchange: Exchange, batch: Batch, resource: Resource, source: LiveSource, allowed: Allowed
) -> dict[str, Any]:
    question = batch.question
    asked = Asked(
        resource=question.resource,
        subject_kind=resource.subject_kind,
        subject=allowed.asked.row.subject,
        claims=allowed.asked.said if question.mode is Mode.VERIFY else {},
        matter=question.matter,
        case=question.case,
        purpose=allowed.grant.purpose,
        client=batch.client_id,
        client_department=batch.department,
        fields=question.fields,
    )
    try:
        relayed = await exchange.relays.ask(source, asked)
    except SourceResting:
        raise
    except SOURCE_FAILURES as failure:
        return {"error": failure.code, "message": failure.message, "values": dict(failure.values)}
    return {
        "answer": relayed.jws,
        "as_of": relayed.as_of,
        "results": dict(relayed.results),
        "values": None if relayed.values is None else dict(relayed.values),
        "masked": sorted(relayed.masked),
        "kind": source.kind.value,
        "department": source.department,
    }


def _with(allowed: Allowed, source: LiveSource, told: dict[str, Any]) -> Decided:
    if "error" in told:
        failure = _FAILURES[told["error"]](told["message"], **told["values"])
        return Refused(allowed.asked.row, failure, allowed.asked.subject)
    relayed = Relayed(
        told["results"], told["as_of"], told["answer"], told["values"], frozenset(told["masked"])
    )
    # Another may have been registered since: what is said is who answered.
    answering = replace(source, kind=Kind(told["kind"]), department=told["department"])
    return replace(allowed, live=FromSource(answering, relayed))
