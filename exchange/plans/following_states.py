"""SQL of materials that may follow (rows of `exchange.plan_material` with a last day)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.registers.aliases import decided_identities


@dataclass(frozen=True, slots=True)
class Following:
    """A material that may follow; `until` is the first moment at which it is late."""

    plan: uuid.UUID
    material: str
    until: datetime
    reminded_at: datetime | None
    brought_at: datetime | None
    client_id: str
    department: str
    matter: str
    case_ref: str
    applicant: bytes


_SELECT = (
    "SELECT m.plan, m.material, m.follows_until AS until, m.reminded_at, m.brought_at, p.client_id, p.department,"
    " p.matter, p.case_ref, p.applicant FROM exchange.plan_material m JOIN exchange.plan p ON p.id = m.plan"
)


async def of_case(connection: Any, department: str, case_ref: str, material: str) -> list[Following]:
    """Return a material of a case as each plan lets it follow."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE p.department = $1 AND p.case_ref = $2 AND m.material = $3"
        " AND m.follows_until IS NOT NULL ORDER BY p.made_at, p.id",
        department,
        case_ref,
        material,
    )
    return [Following(**row) for row in rows]


async def outstanding(
    pool: Any, department: str, now: datetime, *, late: bool, limit: int
) -> list[Following]:
    """Return what a department still waits for, what is due first first; what is late only, if `late`.

    A material that an earlier plan of the case lets follow counts once, by the earliest plan.
    """
    rows = await pool.fetch(
        f"SELECT * FROM (SELECT DISTINCT ON (matter, case_ref, material) * FROM ({_SELECT}"  # noqa: S608 -- ours
        " WHERE p.department = $1 AND m.follows_until IS NOT NULL AND m.brought_at IS NULL"
        " AND (NOT $2 OR m.follows_until <= $3)) each"
        " ORDER BY matter, case_ref, material, until) first ORDER BY until, case_ref LIMIT $4",
        department,
        late,
        now,
        limit,
    )
    return [Following(**row) for row in rows]


async def of_person(pool: Any, applicant: bytes) -> list[Following]:
    """Return what a person still has to bring, by whichever of their identifiers."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE p.applicant = ANY($1) AND m.follows_until IS NOT NULL AND m.brought_at IS NULL"
        " ORDER BY m.follows_until LIMIT 200",
        await decided_identities(pool, applicant),
    )
    return [Following(**row) for row in rows]


async def note_brought(connection: Any, each: Following, now: datetime) -> None:
    """Note that a material came."""
    await connection.execute(
        "UPDATE exchange.plan_material SET state = 'brought', brought_at = $3, brought_late = follows_until <= $3,"
        " remind_at = NULL WHERE plan = $1 AND material = $2",
        each.plan,
        each.material,
        now,
    )


async def take_due(connection: Any, now: datetime, limit: int) -> list[Following]:
    """Return what is to be reminded of now, and mark it as reminded."""
    rows = await connection.fetch(
        "UPDATE exchange.plan_material m SET reminded_at = $1, remind_at = NULL FROM exchange.plan p"
        " WHERE p.id = m.plan AND (m.plan, m.material) IN (SELECT plan, material FROM exchange.plan_material"
        " WHERE remind_at <= $1 ORDER BY remind_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
        " RETURNING m.plan, m.material, m.follows_until AS until, m.reminded_at, m.brought_at, p.client_id,"
        " p.department, p.matter, p.case_ref, p.applicant",
        now,
        limit,
    )
    return [Following(**row) for row in rows]
