"""Issuing a batch of requests in one transaction; what does not fit into it is issued one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.language import both
from license_registry import tables
from license_registry.catalog.types import LicenceType
from license_registry.documents import due
from license_registry.documents.when import at_issue
from license_registry.issuing import requests
from license_registry.issuing.bulk import tables as jobs
from license_registry.issuing.bulk.tables import Job, RowResult
from license_registry.issuing.holders import refusals
from license_registry.issuing.issue import issue, require_equal, require_same_holder
from license_registry.issuing.make import Made, make
from license_registry.issuing.request import IssueRequest, Prepared, prepare
from license_registry.issuing.requests import Held, InForce, Key
from license_registry.issuing.seals import require_seals
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.store.objects import ObjectExists, StoreFull, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Row:
    """A line of what was sent, counted from 1: a request, or why it is none."""

    number: int
    wanted: IssueRequest | DomainError


class _OneByOne(Exception):
    """Somebody else is issuing the same: the batch as a whole cannot be written."""


@dataclass(slots=True)
class _Open:
    """Requests of a batch that nothing speaks against so far, and what became of the others."""

    prepared: dict[int, Prepared]
    results: dict[int, RowResult]
    equal_to: dict[int, int]

    def refuse(self, number: int, error: DomainError) -> None:
        self.prepared.pop(number, None)
        self.results[number] = refused(number, error)

    def known(self, number: int, identifier: str) -> None:
        self.prepared.pop(number, None)
        self.results[number] = RowResult(number, identifier)


async def issue_batch(
    registry: Registry, caller: Principal, job: Job, rows: Sequence[Row], now: datetime
) -> None:
    """Issue the next rows of a job.

    1. Check each request by itself, then against what is in force, the seals of the authority
       once for each type, then the holders by the registers.
    2. Draw numbers; make and sign all credentials; put them into the store. Dying up to here leaves objects that
       nothing names, and the job where it was.
    3. Write licences, events, which documents are due, results and the job's progress in one transaction: after it
       all rows are done, before it none.
    4. Where another request was first, the transaction is given up and each row goes the way of single requests,
       each under a key of its row: dying in between, the rows that were issued are found again by their keys.

    Raises:
        StoreFull, StoreUnavailable: nothing of 3 was written; the rows can be done again.
    """
    batch = _Open({}, {}, {})
    await asyncio.to_thread(_prepare, registry, caller, rows, batch, now)
    await _against_what_stands(registry, batch)
    await _against_seals(registry, caller, batch, now)
    asked = list(batch.prepared.items())
    for (number, _), refusal in zip(
        asked, await refusals(registry, [prepared for _, prepared in asked]), strict=True
    ):
        if refusal is not None:
            batch.refuse(number, refusal)
    numbers = await tables.draw_many(registry.pool, len(batch.prepared))
    made = await asyncio.to_thread(_make, registry, caller, batch, numbers, now)
    try:
        objects = [(each.licence.object_key, each.lead_copy) for each in made.values()]
        if objects:
            await asyncio.to_thread(registry.store.put_many, objects)
        await _write(registry, job, batch, made, now)
    except (ObjectExists, asyncpg.UniqueViolationError, _OneByOne):
        await _singly(registry, caller, job, rows, now)


def refused(number: int, error: DomainError) -> RowResult:
    """Return the result of a row that is not issued."""
    return RowResult(number, None, error.code, error.pointer, both(error.message, **error.values))


def _prepare(registry: Registry, caller: Principal, rows: Sequence[Row], batch: _Open, now: datetime) -> None:
    first: dict[tuple[str, str | bytes], int] = {}
    for row in rows:
        try:
            if isinstance(row.wanted, DomainError):
                raise row.wanted
            prepared = prepare(registry.types, registry.vault, caller, row.wanted, now)
            for claim in _claims(prepared):
                earlier = first.setdefault((prepared.type.id, claim), row.number)
                if earlier != row.number and earlier in batch.prepared:
                    _require_equal_row(prepared, batch.prepared[earlier], claim)
                    batch.equal_to[row.number] = earlier
                    break
            else:
                batch.prepared[row.number] = prepared
        except DomainError as error:
            batch.refuse(row.number, error)


def _claims(prepared: Prepared) -> list[str | bytes]:
    """Return what no other licence of the type may have while this one is in force."""
    claims: list[str | bytes] = [] if prepared.wanted.number is None else [prepared.wanted.number]
    if prepared.type.holders.one_in_force:
        claims += prepared.subjects
    return claims


def _require_equal_row(prepared: Prepared, earlier: Prepared, claim: str | bytes) -> None:
    if isinstance(claim, str):
        require_equal(prepared, InForce(claim, "", earlier.digest))
    else:
        require_same_holder(prepared, Held(claim, "", earlier.digest))


async def _against_what_stands(registry: Registry, batch: _Open) -> None:
    for found in _types(batch):
        mine = {n: prepared for n, prepared in batch.prepared.items() if prepared.type.id == found.id}
        by_number = {prepared.wanted.number: n for n, prepared in mine.items() if prepared.wanted.number}
        for standing in await requests.in_force(registry.pool, found.type_codes, list(by_number)):
            number = by_number[standing.number]
            try:
                batch.known(number, require_equal(mine[number], standing))
            except DomainError as error:
                batch.refuse(number, error)
        if found.holders.one_in_force:
            by_subject = {subject: n for n, prepared in mine.items() for subject in prepared.subjects}
            for held in await requests.held(registry.pool, found.type_codes, list(by_subject)):
                number = by_subject[held.subject]
                if number not in batch.results:
                    try:
                        batch.known(number, require_same_holder(mine[number], held))
                    except DomainError as error:
                        batch.refuse(number, error)


async def _against_seals(registry: Registry, caller: Principal, batch: _Open, now: datetime) -> None:
    for found in _types(batch):
        try:
            await require_seals(registry, caller.department, found, now)
        except SealLacking as error:
            for number in [n for n, prepared in batch.prepared.items() if prepared.type.id == found.id]:
                batch.refuse(number, error)


def _types(batch: _Open) -> list[LicenceType]:
    return list({prepared.type.id: prepared.type for prepared in batch.prepared.values()}.values())


def _make(
    registry: Registry,
    caller: Principal,
    batch: _Open,
    numbers: Sequence[tuple[int, int]],
    now: datetime,
) -> dict[int, Made]:
    signer = registry.keys.signer(PURPOSE)
    return {
        number: make(registry, caller, prepared, serial, index, now, signer)
        for (number, prepared), (serial, index) in zip(batch.prepared.items(), numbers, strict=True)
    }


async def _write(registry: Registry, job: Job, batch: _Open, made: dict[int, Made], now: datetime) -> None:
    async with registry.pool.acquire() as connection, connection.transaction():
        for found in _types(batch):
            if found.holders.one_in_force:
                subjects = [
                    subject
                    for prepared in batch.prepared.values()
                    if prepared.type.id == found.id
                    for subject in prepared.subjects
                ]
                await requests.lock_holders(connection, found.id, subjects)
                if await requests.held(connection, found.type_codes, subjects):
                    raise _OneByOne
        if made:
            await tables.add_many(
                connection,
                [(each.licence, each.event) for each in made.values()],
                [(holder, each.licence.identifier) for each in made.values() for holder in each.co_holders],
            )
            await due.add_many(
                connection,
                [each.licence for n, each in made.items() if at_issue(registry, batch.prepared[n].type)],
                now,
            )
        results = batch.results | {n: RowResult(n, each.licence.identifier) for n, each in made.items()}
        for number, earlier in batch.equal_to.items():
            same = results[earlier]
            results[number] = RowResult(number, same.identifier, same.error, same.pointer, same.message)
        known = sum(result.identifier is not None for result in results.values()) - len(made)
        await jobs.advance(connection, job, [results[n] for n in sorted(results)], len(made), known, now)


async def _singly(
    registry: Registry, caller: Principal, job: Job, rows: Sequence[Row], now: datetime
) -> None:
    results, fresh = [], 0
    for row in rows:
        try:
            if isinstance(row.wanted, DomainError):
                raise row.wanted
            # No client has a blank in its name, so this is the key of no client.
            done = await issue(registry, caller, row.wanted, now, Key(f"job {job.id}", str(row.number)))
            fresh += done.fresh
            results.append(RowResult(row.number, done.licence.identifier))
        except (StoreFull, StoreUnavailable):
            raise
        except DomainError as error:
            results.append(refused(row.number, error))
    known = sum(result.identifier is not None for result in results) - fresh
    async with registry.pool.acquire() as connection, connection.transaction():
        await jobs.advance(connection, job, results, fresh, known, now)
