"""SQL of codes that people make for a consent, and of codes that were presented (schema `exchange`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from exchange.registers.tables import metadata

consent_code = Table(
    "consent_code",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("digest", BYTEA, nullable=False, unique=True),
    Column("person", BYTEA, nullable=False),
    Column("department", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("offers", ARRAY(UUID), nullable=False),
    Column("evidence", BYTEA, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("used_at", TIMESTAMP(timezone=True)),
    Column("withdrawn_at", TIMESTAMP(timezone=True)),
    Index("consent_code_made", "made_at"),
)

consent_presentation = Table(
    "consent_presentation",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("request", BYTEA, nullable=False),
    Column("kind", Text, nullable=False),
    Column("person", BYTEA, nullable=False),
    Column("offers", ARRAY(UUID), nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Index("consent_presentation_made", "made_at"),
)


@dataclass(frozen=True, slots=True)
class ConsentCode:
    """A code that stands for the release of what a person has seen.

    Args:
        digest: SHA-256 of the code; itself it is known to its maker only.
        offers: the consents that it releases, all of one department's case.
        evidence: SHA-256 of what was previewed (`codes.evidence_digest`).
    """

    id: uuid.UUID
    digest: bytes
    person: bytes
    department: str
    matter: str
    case_ref: str
    offers: tuple[uuid.UUID, ...]
    evidence: bytes
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presentation:
    """A code that a counter has presented.

    Args:
        request: keyed digest of what was sent with this id.
        kind: `identified` (its maker is known, and sees what is asked) or `released`.
        person: blind index of who made the code; `offers`: what it did something for.
    """

    id: uuid.UUID
    client_id: str
    request: bytes
    kind: str
    person: bytes
    offers: tuple[uuid.UUID, ...]
    made_at: datetime


async def add_code(connection: Any, new: ConsentCode) -> bool:
    """Store a code; False where its id is taken."""
    done = await connection.fetchval(
        "INSERT INTO exchange.consent_code (id, digest, person, department, matter, case_ref, offers, evidence,"
        " made_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING"
        " RETURNING 1",
        new.id,
        new.digest,
        new.person,
        new.department,
        new.matter,
        new.case_ref,
        list(new.offers),
        new.evidence,
        new.made_at,
        new.expires_at,
    )
    return done is not None


async def find_code(connection: Any, digest: bytes, *, lock: bool = False) -> ConsentCode | None:
    """Return a code by its digest, and hold it until the transaction ends where `lock` says so."""
    return _code(
        await connection.fetchrow(
            "SELECT * FROM exchange.consent_code WHERE digest = $1"  # noqa: S608 -- ours
            + (" FOR UPDATE" if lock else ""),
            digest,
        )
    )


async def code_of(
    connection: Any, code_id: uuid.UUID, person: bytes, *, lock: bool = False
) -> ConsentCode | None:
    """Return a person's code by its id."""
    return _code(
        await connection.fetchrow(
            "SELECT * FROM exchange.consent_code WHERE id = $1 AND person = $2"  # noqa: S608 -- ours
            + (" FOR UPDATE" if lock else ""),
            code_id,
            person,
        )
    )


async def use(connection: Any, code_id: uuid.UUID, now: datetime) -> None:
    """Mark a code as used."""
    await connection.execute("UPDATE exchange.consent_code SET used_at = $2 WHERE id = $1", code_id, now)


async def withdraw(connection: Any, code_id: uuid.UUID, now: datetime) -> None:
    """Mark a code as withdrawn."""
    await connection.execute("UPDATE exchange.consent_code SET withdrawn_at = $2 WHERE id = $1", code_id, now)


async def find_presentation(connection: Any, presentation_id: uuid.UUID) -> Presentation | None:
    """Return what was presented under an id."""
    row = await connection.fetchrow(
        "SELECT * FROM exchange.consent_presentation WHERE id = $1", presentation_id
    )
    return None if row is None else Presentation(**{**row, "offers": tuple(row["offers"])})


async def add_presentation(connection: Any, new: Presentation) -> None:
    """Store what was presented.

    Raises:
        asyncpg.UniqueViolationError: its id is taken.
    """
    await connection.execute(
        "INSERT INTO exchange.consent_presentation (id, client_id, request, kind, person, offers, made_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.id,
        new.client_id,
        new.request,
        new.kind,
        new.person,
        list(new.offers),
        new.made_at,
    )


async def unsettle(
    connection: Any,
    department: str,
    matter: str,
    case_ref: str,
    material: str,
    records: Sequence[uuid.UUID],
) -> None:
    """Mark a material of a case as to be brought, in each plan where these records have settled it."""
    await connection.execute(
        "UPDATE exchange.plan_material m SET state = 'to-bring', settled_at = NULL, settled_by = NULL,"
        " reasons = array_append(m.reasons, 'consent-withdrawn') FROM exchange.plan p WHERE p.id = m.plan"
        " AND p.department = $1 AND p.matter = $2 AND p.case_ref = $3 AND m.material = $4"
        " AND m.settled_at IS NOT NULL AND m.records && $5",
        department,
        matter,
        case_ref,
        material,
        list(records),
    )


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete codes that were made, and what was presented, before a moment; return how many.

    By then a code has long been of no use, and who presents one again under the same id is told that it is not known.
    """
    done = 0
    for table in ("consent_code", "consent_presentation"):
        rows = await connection.fetch(
            f"DELETE FROM exchange.{table} WHERE id IN (SELECT id FROM exchange.{table} WHERE made_at < $1"  # noqa: S608 -- ours
            " LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
            before,
            limit - done,
        )
        done += len(rows)
    return done


def _code(row: Any) -> ConsentCode | None:
    return None if row is None else ConsentCode(**{**row, "offers": tuple(row["offers"])})
