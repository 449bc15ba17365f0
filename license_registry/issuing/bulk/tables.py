"""SQL of jobs that issue many licences (tables `issue_job` and `issue_job_row` of schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from license_registry.tables import copy, metadata

issue_job = Table(
    "issue_job",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", BYTEA, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("next_row", BigInteger, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("problem", Text),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint("client_id", "key"),
)
Index("issue_job_open", issue_job.c.created_at, postgresql_where=text("state = 'open'"))

issue_job_row = Table(
    "issue_job_row",
    metadata,
    Column("job_id", UUID, ForeignKey(issue_job.c.id), primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("identifier", Text),
    Column("error", Text),
    Column("pointer", Text),
    Column("message", Text),
)

_COLUMNS = (
    "id, client_id, department, key, digest, kind, state, rows, next_row, issued, known, refused, problem,"
    " created_at, changed_at"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Many requests of one client, worked on in order.

    Args:
        digest: keyed fingerprint of what was sent.
        kind: `issue` or `take-over` from a file that was sent, `credentials` from a register.
        state: `open` until all rows are done; then `done`; `failed` if it cannot go on, which `problem` says.
        rows: how many there are; `next_row` is the first, counted from 1, that is not done yet.
        known: rows whose licence had been issued before, by an equal request.
    """

    id: uuid.UUID
    client_id: str
    department: str
    key: str
    digest: bytes
    kind: str
    state: str
    rows: int
    next_row: int
    issued: int
    known: int
    refused: int
    problem: str | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row: the licence, or code, place and words of why not."""

    row: int
    identifier: str | None
    error: str | None = None
    pointer: str | None = None
    message: str | None = None


async def add(connection: Any, job: Job) -> None:
    """Store a job.

    Raises:
        asyncpg.UniqueViolationError: the client has one of this key.
    """
    await connection.execute(
        f"INSERT INTO license_registry.issue_job ({_COLUMNS})"  # noqa: S608 -- constant column names
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        job.id,
        job.client_id,
        job.department,
        job.key,
        job.digest,
        job.kind,
        job.state,
        job.rows,
        job.next_row,
        job.issued,
        job.known,
        job.refused,
        job.problem,
        job.created_at,
        job.changed_at,
    )


async def find(connection: Any, job_id: uuid.UUID) -> Job | None:
    """Return a job."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM license_registry.issue_job WHERE id = $1",  # noqa: S608
        job_id,
    )
    return None if row is None else Job(**row)


async def find_by_key(connection: Any, client_id: str, key: str) -> Job | None:
    """Return the job that a client sent under a key."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM license_registry.issue_job"  # noqa: S608
        " WHERE client_id = $1 AND key = $2",
        client_id,
        key,
    )
    return None if row is None else Job(**row)


async def open_jobs(connection: Any) -> list[uuid.UUID]:
    """Return the jobs that are not done, oldest first."""
    rows = await connection.fetch(
        "SELECT id FROM license_registry.issue_job WHERE state = 'open' ORDER BY created_at LIMIT 100"
    )
    return [row["id"] for row in rows]


async def try_hold(connection: Any, job_id: uuid.UUID) -> bool:
    """Hold a job until the connection closes or lets go; False: another process works on it."""
    held: bool = await connection.fetchval(
        "SELECT pg_try_advisory_lock(hashtextextended('zhengtong issue job ' || $1, 0))", str(job_id)
    )
    return held


async def let_go(connection: Any, job_id: uuid.UUID) -> None:
    """Let another process work on a job."""
    await connection.execute(
        "SELECT pg_advisory_unlock(hashtextextended('zhengtong issue job ' || $1, 0))", str(job_id)
    )


async def advance(
    connection: Any, job: Job, results: Sequence[RowResult], fresh: int, known: int, now: datetime
) -> None:
    """Write what became of the next rows; within the transaction that writes their licences."""
    await copy(
        connection,
        "issue_job_row",
        "job_id, row, identifier, error, pointer, message",
        ((job.id, each.row, each.identifier, each.error, each.pointer, each.message) for each in results),
    )
    await connection.execute(
        "UPDATE license_registry.issue_job SET next_row = next_row + $2, issued = issued + $3,"
        " known = known + $4, refused = refused + $5, changed_at = $6,"
        " state = CASE WHEN next_row + $2 > rows THEN 'done' ELSE state END WHERE id = $1",
        job.id,
        len(results),
        fresh,
        known,
        len(results) - fresh - known,
        now,
    )


async def fail(connection: Any, job_id: uuid.UUID, problem: str, now: datetime) -> None:
    """End a job that cannot go on."""
    await connection.execute(
        "UPDATE license_registry.issue_job SET state = 'failed', problem = $2, changed_at = $3 WHERE id = $1",
        job_id,
        problem,
        now,
    )


async def results(
    connection: Any, job_id: uuid.UUID, after: int, limit: int, *, refused_only: bool
) -> list[RowResult]:
    """Return a page of what became of the rows, in order."""
    rows = await connection.fetch(
        "SELECT row, identifier, error, pointer, message FROM license_registry.issue_job_row"
        " WHERE job_id = $1 AND row > $2 AND (error IS NOT NULL OR NOT $4) ORDER BY row LIMIT $3",
        job_id,
        after,
        limit,
        refused_only,
    )
    return [RowResult(**row) for row in rows]


async def refused_for(connection: Any, job_id: uuid.UUID, codes: Collection[str]) -> list[int]:
    """Return the rows of a job that were refused for one of these reasons, in order."""
    rows = await connection.fetch(
        "SELECT row FROM license_registry.issue_job_row WHERE job_id = $1 AND error = ANY($2::text[]) ORDER BY row",
        job_id,
        list(codes),
    )
    return [row[0] for row in rows]


async def reasons(connection: Any, job_id: uuid.UUID) -> dict[str, int]:
    """Return code → rows of a job that were refused for it."""
    rows = await connection.fetch(
        "SELECT error, count(*) FROM license_registry.issue_job_row WHERE job_id = $1 AND error IS NOT NULL"
        " GROUP BY error",
        job_id,
    )
    return {row[0]: row[1] for row in rows}
