"""SQL of archives of cases (table `exchange.case_archive`), and what of a case only its package asks for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata

State = Literal["waiting-for-log", "packed", "failed"]
WAITING: Final[State] = "waiting-for-log"
PACKED: Final[State] = "packed"
FAILED: Final[State] = "failed"

case_archive = Table(
    "case_archive",
    metadata,
    Column("outcome", UUID, ForeignKey("exchange.case_outcome.id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("edition", Integer, nullable=False, server_default="1"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("problem", Text),
    Column("asked_at", TIMESTAMP(timezone=True), nullable=False),
    Column("due_at", TIMESTAMP(timezone=True), nullable=False),
    Column("packed_at", TIMESTAMP(timezone=True)),
    Column("object_key", Text),
    Column("sha256", BYTEA),
    Column("sm3", BYTEA),
    Column("bytes", BigInteger),
)
Index(
    "case_archive_due",
    case_archive.c.due_at,
    postgresql_where=text(f"state = '{WAITING}'"),
)


@dataclass(frozen=True, slots=True)
class CaseArchive:
    """The package of a case with an outcome, made or to be made.

    Args:
        outcome: id of the outcome that closed the case.
        state: waiting-for-log, packed or failed.
        edition: counts up where a damaged package is made anew, under a key of its own.
        problem: code of what was in the way last.
        due_at: when it is looked at next, while it waits.
        sha256, sm3, bytes: of the package as it is handed out.
    """

    outcome: uuid.UUID
    department: str
    matter: str
    case_ref: str
    applicant: bytes
    state: State
    edition: int
    attempts: int
    problem: str | None
    asked_at: datetime
    due_at: datetime
    packed_at: datetime | None
    object_key: str | None
    sha256: bytes | None
    sm3: bytes | None
    bytes: int | None

    @property
    def next_key(self) -> str:
        """Key under which the package of this edition is kept, always the same."""
        return f"archives/cases/{self.outcome}{'' if self.edition == 1 else f'-{self.edition}'}.zip"


_COLUMNS = (
    "a.outcome, o.department, o.matter, o.case_ref, o.applicant, a.state, a.edition, a.attempts, a.problem, a.asked_at,"
    " a.due_at, a.packed_at, a.object_key, a.sha256, a.sm3, a.bytes"
)
_SELECT = f"SELECT {_COLUMNS} FROM exchange.case_archive a JOIN exchange.case_outcome o ON o.id = a.outcome"  # noqa: S608 -- ours


async def ask_for(connection: Any, outcome: uuid.UUID, now: datetime) -> None:
    """Let a case that was closed just now be packed."""
    await connection.execute(
        "INSERT INTO exchange.case_archive (outcome, state, asked_at, due_at) VALUES ($1, $2, $3, $3)",
        outcome,
        WAITING,
        now,
    )


async def of_case(pool: Any, department: str, case_ref: str) -> list[CaseArchive]:
    """Return the packages of a department's case: one for each matter that was decided under this number."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE o.department = $1 AND o.case_ref = $2 ORDER BY o.matter", department, case_ref
    )
    return [CaseArchive(*row) for row in rows]


async def find(connection: Any, outcome: uuid.UUID, *, lock: bool = False) -> CaseArchive | None:
    """Return the package of an outcome; held until the transaction ends where `lock` says so."""
    row = await connection.fetchrow(
        f"{_SELECT} WHERE a.outcome = $1" + (" FOR UPDATE OF a" if lock else ""), outcome
    )
    return None if row is None else CaseArchive(*row)


async def take_due(pool: Any, now: datetime, until: datetime) -> CaseArchive | None:
    """Return what waited longest, and put it off: who dies meanwhile loses it only for that long."""
    row = await pool.fetchrow(
        "UPDATE exchange.case_archive a SET due_at = $2 FROM exchange.case_outcome o WHERE o.id = a.outcome"  # noqa: S608 -- ours
        " AND a.outcome = (SELECT outcome FROM exchange.case_archive WHERE state = 'waiting-for-log' AND due_at <= $1"
        f" ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}",
        now,
        until,
    )
    return None if row is None else CaseArchive(*row)


async def put_off(
    pool: Any,
    outcome: uuid.UUID,
    edition: int,
    state: State,
    attempts: int,
    problem: str | None,
    due: datetime,
) -> None:
    """Note that it is not packed yet, or cannot be; of one that was packed meanwhile nothing changes."""
    await pool.execute(
        "UPDATE exchange.case_archive SET state = $3, attempts = $4, problem = $5, due_at = $6"
        " WHERE outcome = $1 AND edition = $2 AND state = 'waiting-for-log'",
        outcome,
        edition,
        state,
        attempts,
        problem,
        due,
    )


async def note_packed(
    connection: Any,
    outcome: uuid.UUID,
    edition: int,
    key: str,
    digests: tuple[bytes, bytes | None],
    size: int | None,
    now: datetime,
) -> bool:
    """Note where the package lies; False where another process did meanwhile."""
    found = await connection.fetchval(
        "UPDATE exchange.case_archive SET state = 'packed', problem = NULL, object_key = $3, sha256 = $4, sm3 = $5,"
        " bytes = $6, packed_at = $7 WHERE outcome = $1 AND edition = $2 AND state = 'waiting-for-log' RETURNING 1",
        outcome,
        edition,
        key,
        digests[0],
        digests[1],
        size,
        now,
    )
    return found is not None


async def begin_anew(connection: Any, outcome: uuid.UUID, edition: int, now: datetime) -> None:
    """Let a package be made (again): its edition is now this one."""
    await connection.execute(
        "UPDATE exchange.case_archive SET state = $3, edition = $4, attempts = 0, problem = NULL, due_at = $2,"
        " packed_at = NULL, object_key = NULL, sha256 = NULL, sm3 = NULL, bytes = NULL WHERE outcome = $1",
        outcome,
        now,
        WAITING,
        edition,
    )


async def entries(pool: Any, records: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    """Return record → its entry in the log."""
    rows = await pool.fetch("SELECT id, entry FROM exchange.access_record WHERE id = ANY($1)", list(records))
    return {row["id"]: row["entry"] for row in rows}


async def record_of(pool: Any, subject: bytes, at: datetime, event: str) -> uuid.UUID | None:
    """Return the record of a step about a subject at a moment; None once what it said was erased by law."""
    found: uuid.UUID | None = await pool.fetchval(
        "SELECT id FROM exchange.access_record WHERE subject = $1 AND recorded_at = $2"
        " AND convert_from(content, 'UTF8')::jsonb ->> 'event' = $3",
        subject,
        at,
        event,
    )
    return found


async def commitments_of(pool: Any, plans: Sequence[uuid.UUID], upto: datetime) -> list[uuid.UUID]:
    """Return the commitments that were signed for plans, the earliest first."""
    rows = await pool.fetch(
        "SELECT id FROM exchange.commitment WHERE plan = ANY($1) AND signed_at <= $2 ORDER BY signed_at, id",
        list(plans),
        upto,
    )
    return [row["id"] for row in rows]


async def offered_at(pool: Any, offer: uuid.UUID) -> tuple[datetime, tuple[uuid.UUID, ...]]:
    """Return when something was offered to a person, and the records of what they did with it."""
    row = await pool.fetchrow("SELECT made_at, records FROM exchange.plan_offer WHERE id = $1", offer)
    return row["made_at"], tuple(row["records"])
