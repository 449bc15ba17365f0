"""SQL of commitments (table `exchange.commitment`): what was signed, and what came of verifying it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from exchange.registers.aliases import decided_identities
from exchange.registers.tables import metadata

commitment = Table(
    "commitment",
    metadata,
    Column("id", UUID, ForeignKey("exchange.plan_offer.id"), primary_key=True),
    Column("plan", UUID, ForeignKey("exchange.plan.id"), nullable=False),
    Column("material", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", Integer, nullable=False),
    Column("person", BYTEA, nullable=False),
    Column("signed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("statement", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("name_masked", Text),
    Column("state", Text, nullable=False),
    Column("verify_at", TIMESTAMP(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("verified_at", TIMESTAMP(timezone=True)),
    Column("records", ARRAY(UUID), nullable=False, server_default="{}"),
    Index("commitment_person", "person", "signed_at"),
)
Index("commitment_due", commitment.c.verify_at, postgresql_where=text("verify_at IS NOT NULL"))
Index("commitment_public", commitment.c.signed_at, postgresql_where=text("public"))


@dataclass(frozen=True, slots=True)
class Commitment:
    """A signed commitment, with what its plan says.

    Args:
        state: signed, then held, breached or unknown once it was verified.
        verify_at: when it is verified next; None: not again.
        records: of the questions that verified it.
    """

    id: uuid.UUID
    plan: uuid.UUID
    material: str
    template: str
    template_version: int
    person: bytes
    signed_at: datetime
    statement: str
    public: bool
    name_masked: str | None
    state: str
    verify_at: datetime | None
    attempts: int
    verified_at: datetime | None
    records: tuple[uuid.UUID, ...]
    client_id: str
    department: str
    matter: str
    case_ref: str


_OWN = (
    "c.id, c.plan, c.material, c.template, c.template_version, c.person, c.signed_at, c.statement, c.public,"
    " c.name_masked, c.state, c.verify_at, c.attempts, c.verified_at, c.records, p.client_id, p.department, p.matter,"
    " p.case_ref"
)
_SELECT = f"SELECT {_OWN} FROM exchange.commitment c JOIN exchange.plan p ON p.id = c.plan"  # noqa: S608 -- ours


async def add(connection: Any, new: Commitment) -> None:
    """Store a signed commitment."""
    await connection.execute(
        "INSERT INTO exchange.commitment (id, plan, material, template, template_version, person, signed_at, statement,"
        " public, name_masked, state, verify_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.id,
        new.plan,
        new.material,
        new.template,
        new.template_version,
        new.person,
        new.signed_at,
        new.statement,
        new.public,
        new.name_masked,
        new.state,
        new.verify_at,
    )


async def find(connection: Any, commitment_id: uuid.UUID) -> Commitment | None:
    """Return a commitment by its id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE c.id = $1", commitment_id)
    return None if row is None else _commitment(row)


async def of_person(pool: Any, person: bytes) -> list[Commitment]:
    """Return what a person signed, by whichever of their identifiers, the latest first."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE c.person = ANY($1) ORDER BY c.signed_at DESC, c.id LIMIT 200",
        await decided_identities(pool, person),
    )
    return [_commitment(row) for row in rows]


async def of_department(pool: Any, department: str, state: str | None, limit: int) -> list[Commitment]:
    """Return commitments to a department, the latest first; those in one state, if given."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE p.department = $1 AND ($2::text IS NULL OR c.state = $2)"
        " ORDER BY c.signed_at DESC, c.id LIMIT $3",
        department,
        state,
        limit,
    )
    return [_commitment(row) for row in rows]


async def public(pool: Any, before: datetime | None, limit: int) -> list[Commitment]:
    """Return commitments that the law makes public, the latest first."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE c.public AND ($1::timestamptz IS NULL OR c.signed_at < $1)"
        " ORDER BY c.signed_at DESC, c.id LIMIT $2",
        before,
        limit,
    )
    return [_commitment(row) for row in rows]


async def take_due(connection: Any, now: datetime, again: datetime, limit: int) -> list[Commitment]:
    """Return commitments that are to be verified now, and put them off to `again`: who dies meanwhile loses none."""
    rows = await connection.fetch(
        "UPDATE exchange.commitment c SET verify_at = $2 FROM exchange.plan p WHERE p.id = c.plan AND c.id IN"  # noqa: S608 -- ours
        " (SELECT id FROM exchange.commitment WHERE verify_at <= $1 ORDER BY verify_at LIMIT $3"
        f" FOR UPDATE SKIP LOCKED) RETURNING {_OWN}",
        now,
        again,
        limit,
    )
    return [_commitment(row) for row in rows]


async def verified(
    connection: Any,
    commitment_id: uuid.UUID,
    state: str,
    records: Sequence[uuid.UUID],
    verify_at: datetime | None,
    now: datetime,
) -> bool:
    """Note what came of verifying a commitment; False where another process did meanwhile.

    Args:
        state: held, breached or unknown; `signed` where it is verified again, at `verify_at`.
    """
    found = await connection.fetchval(
        "UPDATE exchange.commitment SET state = $2, records = records || $3::uuid[], verify_at = $4, verified_at = $5,"
        " attempts = attempts + 1 WHERE id = $1 AND state = 'signed' RETURNING 1",
        commitment_id,
        state,
        list(records),
        verify_at,
        now,
    )
    return found is not None


async def person_row(connection: Any, person: bytes) -> tuple[dict[str, Any], bytes | None] | None:
    """Return a person's row in the register, still sealed: content and sealed part."""
    row = await connection.fetchrow("SELECT content, sealed FROM exchange.person WHERE subject = $1", person)
    return None if row is None else (row["content"], row["sealed"])


def _commitment(row: Any) -> Commitment:
    return Commitment(**{**row, "records": tuple(row["records"])})
