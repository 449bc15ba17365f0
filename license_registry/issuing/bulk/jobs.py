"""Jobs: taken in once per key, worked on by whichever process is there, gone on with where they were."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime

import asyncpg

from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.sensitive import SealBroken
from foundation.unavailable import UNAVAILABLE
from license_registry.issuing.bulk import tables
from license_registry.issuing.bulk.batch import Row, issue_batch
from license_registry.issuing.bulk.lines import count_lines, read_line
from license_registry.issuing.bulk.tables import Job
from license_registry.issuing.errors import KeyReused
from license_registry.issuing.requests import Key
from license_registry.ports import Registry
from license_registry.store.objects import WORKING, ObjectMissing, StoreFull, StoreUnavailable

logger = logging.getLogger(__name__)

BATCH = 500
"""Rows of one transaction: what a job that dies does again."""
LOOKS_EVERY_SECONDS = 0.5
_FOR_A_WHILE: tuple[type[Exception], ...] = (StoreFull, StoreUnavailable, *UNAVAILABLE)


async def submit(
    registry: Registry, caller: Principal, key: Key, kind: str, body: bytes, now: datetime
) -> Job:
    """Take a job in.

    1. Known by its key: the same lines → the job that there is; others → refuse.
    2. Keep the lines, sealed, in the store. Dying after this leaves an object that nothing names.
    3. Write the job. If an equal request was first, its job counts.

    Raises:
        KeyReused, StoreFull, StoreUnavailable: nothing was taken in.
    """
    digest = registry.vault.fingerprint(body)
    while True:
        existing = await tables.find_by_key(registry.pool, key.client_id, key.text)
        if existing is not None:
            if (existing.digest, existing.kind) != (digest, kind):
                raise KeyReused(_("take a new Idempotency-Key for each request"))
            return existing
        rows = count_lines(body)
        job = Job(
            id=uuid.uuid4(),
            client_id=key.client_id,
            department=caller.department,
            key=key.text,
            digest=digest,
            kind=kind,
            state="open" if rows else "done",
            rows=rows,
            next_row=1,
            issued=0,
            known=0,
            refused=0,
            problem=None,
            created_at=now,
            changed_at=now,
        )
        place = _lines_key(job)
        await asyncio.to_thread(registry.store.put, place, registry.vault.seal(body, place.encode()))
        try:
            await tables.add(registry.pool, job)
        except asyncpg.UniqueViolationError:
            await asyncio.to_thread(registry.store.delete, place)
            continue
        return job


async def own_job(registry: Registry, caller: Principal, job_id: uuid.UUID) -> Job:
    """Return a job of the caller's department, or raise NotFound."""
    job = await tables.find(registry.pool, job_id)
    if job is None or job.department != caller.department:
        raise NotFound(_("no such job"))
    return job


async def work(registry: Registry, job_id: uuid.UUID) -> bool:
    """Work on a job until all its rows are done; False: another process does.

    A job whose lines are gone or altered ends as failed. What fails for a while (store, database) is raised, with the
    job open at the row where it was.
    """
    async with registry.pool.acquire() as holding:
        if not await tables.try_hold(holding, job_id):
            return False
        try:
            job = await tables.find(holding, job_id)
            if job is None or job.state != "open":
                return True
            place = _lines_key(job)
            try:
                sealed = await asyncio.to_thread(registry.store.get, place)
                lines = registry.vault.open(sealed, place.encode()).rstrip().split(b"\n")
            except (ObjectMissing, SealBroken):
                logger.exception("lines of an issue job are gone or altered", extra={"job": str(job_id)})
                await tables.fail(holding, job_id, "lines-lost", datetime.now(UTC))
                return True
            caller = Principal(job.client_id, job.department, frozenset({Role.ISSUING_AUTHORITY}))
            while job is not None and job.state == "open":
                rows = await asyncio.to_thread(_next_rows, lines, job)
                await issue_batch(registry, caller, job, rows, datetime.now(UTC))
                job = await tables.find(holding, job_id)
            # The lines hold people's data and are needed no more; dying before this leaves them sealed.
            await asyncio.to_thread(registry.store.delete, place)
            return True
        finally:
            if not holding.is_closed():
                await tables.let_go(holding, job_id)


async def work_forever(registry: Registry) -> None:
    """Work on jobs as they come, until cancelled. What fails for a while is tried again."""
    while True:
        try:
            for job_id in await tables.open_jobs(registry.pool):
                await _work_or_fail(registry, job_id)
        except _FOR_A_WHILE as error:
            logger.error("issue jobs wait", extra={"error": type(error).__name__})
        await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def _work_or_fail(registry: Registry, job_id: uuid.UUID) -> None:
    try:
        await work(registry, job_id)
    except _FOR_A_WHILE:
        raise
    except Exception as error:  # one job must not hold up the others, and whoever sent it must see it
        logger.exception("an issue job failed", extra={"job": str(job_id)})
        code = error.code if isinstance(error, DomainError) else "internal-error"
        await tables.fail(registry.pool, job_id, code, datetime.now(UTC))


def _next_rows(lines: list[bytes], job: Job) -> list[Row]:
    beyond = job.next_row - 1 + BATCH
    return [
        read_line(number, lines[number - 1], job.kind)
        for number in range(job.next_row, min(beyond, job.rows) + 1)
    ]


def _lines_key(job: Job) -> str:
    return f"{WORKING}{job.id}.sealed"
