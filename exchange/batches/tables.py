"""SQL of batches (tables `batch`, `batch_lines` and `batch_result` of schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP, UUID

from exchange.batches.batch import Batch, Counts, Form, Mode, Question, State
from exchange.registers.tables import metadata

batch = Table(
    "batch",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", BYTEA, nullable=False),
    Column("mode", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("claims", JSONB, nullable=False),
    Column("matter", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("recipient", JSONB, nullable=False),
    Column("form", Text, nullable=False),
    Column("columns", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False),
    Column("problem", Text),
    Column("rows", BigInteger, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("part_rows", Integer, nullable=False),
    Column("next_part", Integer, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("unknown", BigInteger, nullable=False),
    Column("malformed", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("first_record", UUID),
    Column("last_record", UUID),
    Column("first_at", TIMESTAMP(timezone=True)),
    Column("last_at", TIMESTAMP(timezone=True)),
    Column("grants", ARRAY(UUID), nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("worked_ms", BigInteger, nullable=False),
    Column("lease_holder", UUID),
    Column("lease_until", TIMESTAMP(timezone=True)),
    Column("resume_at", TIMESTAMP(timezone=True)),
    Column("statement", Text),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("finished_at", TIMESTAMP(timezone=True)),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("live", Boolean, nullable=False, server_default="false"),
    Column("unanswered", BigInteger, nullable=False, server_default="0"),
    Column("missed", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("client_id", "key"),
)
Index("batch_open", batch.c.changed_at, postgresql_where=text("state IN ('accepted', 'running', 'paused')"))
Index("batch_expiry", batch.c.expires_at, postgresql_where=text("state <> 'expired'"))

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch_id", UUID, ForeignKey(batch.c.id), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("sealed", BYTEA, nullable=False),
)

batch_result = Table(
    "batch_result",
    metadata,
    Column("batch_id", UUID, ForeignKey(batch.c.id), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("digest", BYTEA, nullable=False),
    Column("sealed", BYTEA, nullable=False),
)

_SHOWN = (
    "id, client_id, department, key, digest, mode, resource, fields, claims, matter, case_number, recipient, form,"
    " columns, state, problem, rows, parts, part_rows, next_part, answered, unknown, malformed, refused, records,"
    " first_record, last_record, first_at, last_at, grants, sources, worked_ms, resume_at, statement, created_at,"
    " changed_at, finished_at, expires_at, live, unanswered, missed"
)

_TAKE = f"""
UPDATE exchange.batch SET state = 'running', problem = NULL, resume_at = NULL, changed_at = $2, lease_holder = $1,
    lease_until = $2::timestamptz + $3
WHERE id = (
    SELECT id FROM exchange.batch
    WHERE live = $4 AND (state IN ('accepted', 'running') OR (state = 'paused' AND resume_at <= $2))
      AND (lease_until IS NULL OR lease_until < $2) AND expires_at > $2
    ORDER BY changed_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING {_SHOWN}
"""  # noqa: S608 -- constant column names

_ADVANCE = """
UPDATE exchange.batch SET next_part = next_part + 1, answered = answered + $4, unknown = unknown + $5,
    malformed = malformed + $6, refused = refused + $7, records = records + $8,
    first_record = coalesce(first_record, $9), last_record = coalesce($10, last_record),
    first_at = coalesce(first_at, $11), last_at = $11, worked_ms = worked_ms + $12,
    grants = (SELECT coalesce(array_agg(DISTINCT each), '{}') FROM unnest(grants || $13::uuid[]) AS each),
    sources = (SELECT coalesce(array_agg(DISTINCT each), '{}') FROM unnest(sources || $16::text[]) AS each),
    changed_at = $11, lease_until = $11::timestamptz + $14, expires_at = $15, unanswered = unanswered + $17,
    missed = missed + $18
WHERE id = $1 AND lease_holder = $2 AND next_part = $3 AND state = 'running'
  AND NOT EXISTS (SELECT FROM exchange.share_grant WHERE id = ANY($13::uuid[]) AND ended_at IS NOT NULL)
RETURNING 1
"""
"""Only who holds the batch, at the part that comes next, while it runs and what allowed the answers stands."""


async def add(connection: Any, new: Batch) -> bool:
    """Store a batch; False where its client has one of this key."""
    question = new.question
    found = await connection.fetchval(
        "INSERT INTO exchange.batch (id, client_id, department, key, digest, mode, resource, fields, claims, matter,"
        " case_number, recipient, form, columns, state, rows, parts, part_rows, next_part, answered, unknown,"
        " malformed, refused, records, grants, sources, worked_ms, created_at, changed_at, expires_at, live)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12::jsonb, $13, $14, $15, $16, $17, $18, 0,"
        " 0, 0, 0, 0, 0, '{}', '{}', 0, $19, $19, $20, $21) ON CONFLICT (client_id, key) DO NOTHING RETURNING 1",
        new.id,
        new.client_id,
        new.department,
        new.key,
        new.digest,
        question.mode.value,
        question.resource,
        list(question.fields),
        dict(question.claims),
        question.matter,
        question.case,
        dict(question.recipient),
        new.form.value,
        list(new.columns),
        new.state.value,
        new.rows,
        new.parts,
        new.part_rows,
        new.created_at,
        new.expires_at,
        new.live,
    )
    return found is not None


async def set_size(
    connection: Any, batch_id: uuid.UUID, rows: int, parts: int, columns: Sequence[str]
) -> None:
    """Say how many rows and parts there are, and the names of the columns, once all are stored."""
    await connection.execute(
        "UPDATE exchange.batch SET rows = $2, parts = $3, columns = $4 WHERE id = $1",
        batch_id,
        rows,
        parts,
        list(columns),
    )


async def add_lines(connection: Any, batch_id: uuid.UUID, part: int, sealed: bytes) -> None:
    """Store the subjects of a part."""
    await connection.execute(
        "INSERT INTO exchange.batch_lines (batch_id, part, sealed) VALUES ($1, $2, $3)",
        batch_id,
        part,
        sealed,
    )


async def find(connection: Any, batch_id: uuid.UUID, *, for_change: bool = False) -> Batch | None:
    """Return a batch, locked until the transaction ends if it is to change."""
    row = await connection.fetchrow(
        f"SELECT {_SHOWN} FROM exchange.batch WHERE id = $1"  # noqa: S608
        + (" FOR UPDATE" if for_change else ""),
        batch_id,
    )
    return None if row is None else _batch(row)


async def find_by_key(connection: Any, client_id: str, key: str) -> Batch | None:
    """Return the batch that a client sent under a key."""
    row = await connection.fetchrow(
        f"SELECT {_SHOWN} FROM exchange.batch WHERE client_id = $1 AND key = $2",  # noqa: S608
        client_id,
        key,
    )
    return None if row is None else _batch(row)


async def newest(connection: Any, client_id: str | None, limit: int) -> list[Batch]:
    """Return batches of a client, or of all, newest first."""
    rows = await connection.fetch(
        f"SELECT {_SHOWN} FROM exchange.batch WHERE $1::text IS NULL OR client_id = $1"  # noqa: S608
        " ORDER BY created_at DESC LIMIT $2",
        client_id,
        limit,
    )
    return [_batch(row) for row in rows]


async def count_open(connection: Any, client_id: str) -> int:
    """Return how many batches of a client are not over."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM exchange.batch WHERE client_id = $1 AND state IN ('accepted', 'running', 'paused')",
        client_id,
    )
    return found


async def take(
    connection: Any, holder: uuid.UUID, now: datetime, lease: timedelta, *, live: bool
) -> Batch | None:
    """Take the batch that has waited longest, for as long as a lease; None where there is nothing to do."""
    row = await connection.fetchrow(_TAKE, holder, now, lease, live)
    return None if row is None else _batch(row)


async def let_go(connection: Any, batch_id: uuid.UUID, holder: uuid.UUID) -> None:
    """Let others work on a batch."""
    await connection.execute(
        "UPDATE exchange.batch SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2",
        batch_id,
        holder,
    )


async def lines(connection: Any, batch_id: uuid.UUID, part: int) -> bytes | None:
    """Return the sealed subjects of a part."""
    found: bytes | None = await connection.fetchval(
        "SELECT sealed FROM exchange.batch_lines WHERE batch_id = $1 AND part = $2", batch_id, part
    )
    return found


async def advance(
    connection: Any,
    batch_id: uuid.UUID,
    holder: uuid.UUID,
    part: int,
    counts: Counts,
    records: tuple[uuid.UUID, uuid.UUID] | None,
    grants: Sequence[uuid.UUID],
    sources: Sequence[str],
    worked_ms: int,
    now: datetime,
    lease: timedelta,
    expires_at: datetime,
) -> bool:
    """Count a part as done, within the transaction that writes its records and results; False: it is not ours to do.

    Args:
        records: ids of its first and its last.
    """
    first, last = records or (None, None)
    done = await connection.fetchval(
        _ADVANCE,
        batch_id,
        holder,
        part,
        counts.answered,
        counts.unknown,
        counts.malformed,
        counts.refused,
        counts.records,
        first,
        last,
        now,
        worked_ms,
        list(grants),
        lease,
        expires_at,
        list(sources),
        counts.unanswered,
        counts.missed,
    )
    return done is not None


async def add_result(
    connection: Any, batch_id: uuid.UUID, part: int, digest: bytes, sealed: bytes, last_row: int
) -> None:
    """Store the results of a part, and drop its subjects, and what was kept up to its last row."""
    await connection.execute(
        "INSERT INTO exchange.batch_result (batch_id, part, digest, sealed) VALUES ($1, $2, $3, $4)",
        batch_id,
        part,
        digest,
        sealed,
    )
    await connection.execute(
        "DELETE FROM exchange.batch_lines WHERE batch_id = $1 AND part = $2", batch_id, part
    )
    await connection.execute(
        "DELETE FROM exchange.batch_live_answer WHERE batch_id = $1 AND row <= $2", batch_id, last_row
    )


async def digests(connection: Any, batch_id: uuid.UUID) -> list[bytes]:
    """Return the digests of all results of a batch, in order."""
    rows = await connection.fetch(
        "SELECT digest FROM exchange.batch_result WHERE batch_id = $1 ORDER BY part", batch_id
    )
    return [row["digest"] for row in rows]


async def result(connection: Any, batch_id: uuid.UUID, part: int) -> bytes | None:
    """Return the results of a part, sealed to who asked."""
    found: bytes | None = await connection.fetchval(
        "SELECT sealed FROM exchange.batch_result WHERE batch_id = $1 AND part = $2", batch_id, part
    )
    return found


async def pause(
    connection: Any, batch_id: uuid.UUID, problem: str | None, resume_at: datetime | None, now: datetime
) -> None:
    """Let a batch rest until it is resumed, or until a time."""
    await connection.execute(
        "UPDATE exchange.batch SET state = 'paused', problem = $2, resume_at = $3, changed_at = $4,"
        " lease_holder = NULL, lease_until = NULL WHERE id = $1 AND state IN ('accepted', 'running', 'paused')",
        batch_id,
        problem,
        resume_at,
        now,
    )


async def resume(connection: Any, batch_id: uuid.UUID, now: datetime) -> None:
    """Let a paused batch go on."""
    await connection.execute(
        "UPDATE exchange.batch SET state = 'accepted', problem = NULL, resume_at = NULL, changed_at = $2"
        " WHERE id = $1 AND state = 'paused'",
        batch_id,
        now,
    )


async def finish(
    connection: Any,
    batch_id: uuid.UUID,
    state: State,
    problem: str | None,
    statement: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """End a batch with its statement; subjects that were not asked about are dropped."""
    await connection.execute(
        "UPDATE exchange.batch SET state = $2, problem = $3, statement = $4, changed_at = $5, finished_at = $5,"
        " expires_at = $6, resume_at = NULL, lease_holder = NULL, lease_until = NULL WHERE id = $1",
        batch_id,
        state.value,
        problem,
        statement,
        now,
        expires_at,
    )
    for table in ("batch_lines", "batch_live_answer"):
        await connection.execute(f"DELETE FROM exchange.{table} WHERE batch_id = $1", batch_id)  # noqa: S608


async def expire(connection: Any, now: datetime) -> list[uuid.UUID]:
    """Delete the results, and what else is sealed, of batches whose time is over; return them."""
    rows = await connection.fetch(
        "WITH ended AS (UPDATE exchange.batch SET state = 'expired', changed_at = $1, resume_at = NULL WHERE id IN ("
        " SELECT id FROM exchange.batch WHERE expires_at <= $1 AND state <> 'expired' LIMIT 20"
        " FOR UPDATE SKIP LOCKED) RETURNING id),"
        " lines AS (DELETE FROM exchange.batch_lines USING ended WHERE batch_id = ended.id),"
        " answers AS (DELETE FROM exchange.batch_live_answer USING ended WHERE batch_id = ended.id),"
        " results AS (DELETE FROM exchange.batch_result USING ended WHERE batch_id = ended.id)"
        " SELECT id FROM ended",
        now,
    )
    return [row["id"] for row in rows]


async def waiting_for_the_log(connection: Any) -> int:
    """Return about how many entries the sequencer has before it."""
    found: int = await connection.fetchval("SELECT coalesce(max(id) - min(id) + 1, 0) FROM ledger.pending")
    return found


def _batch(row: Any) -> Batch:
    return Batch(
        id=row["id"],
        client_id=row["client_id"],
        department=row["department"],
        key=row["key"],
        digest=row["digest"],
        question=Question(
            Mode(row["mode"]),
            row["resource"],
            tuple(row["fields"]),
            row["claims"],
            row["matter"],
            row["case_number"],
            row["recipient"],
        ),
        form=Form(row["form"]),
        columns=tuple(row["columns"]),
        state=State(row["state"]),
        problem=row["problem"],
        rows=row["rows"],
        parts=row["parts"],
        part_rows=row["part_rows"],
        next_part=row["next_part"],
        counts=Counts(
            row["answered"],
            row["unknown"],
            row["malformed"],
            row["refused"],
            row["records"],
            row["unanswered"],
            row["missed"],
        ),
        first_record=row["first_record"],
        last_record=row["last_record"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        grants=tuple(row["grants"]),
        sources=tuple(row["sources"]),
        worked_ms=row["worked_ms"],
        resume_at=row["resume_at"],
        statement=row["statement"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        live=row["live"],
    )
