"""SQL of what stewards decided on names of papers (table `exchange.material_decision`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from exchange.matters.applying import Confirmed
from exchange.registers.tables import metadata

material_decision = Table(
    "material_decision",
    metadata,
    Column("name", Text, primary_key=True),
    Column("evidence_type", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("role", Text),
    Column("reason", Text),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", TIMESTAMP(timezone=True), nullable=False),
)
Index(
    "material_decision_confirmed",
    material_decision.c.name,
    unique=True,
    postgresql_where=text("decision = 'confirmed'"),
)

CONFIRMED, REJECTED = "confirmed", "rejected"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a steward said of a normalised name and an evidence type; the newest word counts."""

    name: str
    evidence_type: str
    decision: str
    role: str | None
    reason: str | None
    decided_by: str
    decided_at: datetime


async def lock(connection: Any) -> None:
    """Let one decision at a time be made and applied, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('exchange.material_decision'))")


async def put(connection: Any, decision: Decision) -> None:
    """Store a decision in place of an earlier one on the same two."""
    await connection.execute(
        "INSERT INTO exchange.material_decision"
        " (name, evidence_type, decision, role, reason, decided_by, decided_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name, evidence_type) DO UPDATE"
        " SET decision = excluded.decision, role = excluded.role, reason = excluded.reason,"
        " decided_by = excluded.decided_by, decided_at = excluded.decided_at",
        decision.name,
        decision.evidence_type,
        decision.decision,
        decision.role,
        decision.reason,
        decision.decided_by,
        decision.decided_at,
    )


async def all_of(connection: Any) -> list[Decision]:
    """Return all decisions, newest first."""
    rows = await connection.fetch(
        "SELECT name, evidence_type, decision, role, reason, decided_by, decided_at"
        " FROM exchange.material_decision ORDER BY decided_at DESC, name, evidence_type"
    )
    return [Decision(*row) for row in rows]


async def confirmed(connection: Any) -> dict[str, Confirmed]:
    """Return normalised name → what is confirmed for it."""
    rows = await connection.fetch(
        "SELECT name, evidence_type, role FROM exchange.material_decision WHERE decision = 'confirmed'"
    )
    return {row["name"]: Confirmed(row["evidence_type"], row["role"]) for row in rows}
