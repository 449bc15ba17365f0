"""SQL of proofs not asked for, counted from the rows of the plans themselves (`exchange.plan_material`)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from exchange.statistics.proofs import Saved, SavedProof, Scope

# One row for each proof: the earliest plan that settled the material of a case. The scope's times are applied after
# that, so that a month counts the same whatever is asked for beside it.
_PROOFS = """
SELECT * FROM (
  SELECT DISTINCT ON (p.department, p.matter, p.case_ref, m.material)
         p.id AS plan, p.department, p.matter, p.case_ref, m.material, m.settled_by, m.settled_at, m.records
  FROM exchange.plan_material m JOIN exchange.plan p ON p.id = m.plan
  WHERE m.settled_at IS NOT NULL AND ($1::text IS NULL OR p.department = $1) AND ($2::text IS NULL OR p.matter = $2)
  ORDER BY p.department, p.matter, p.case_ref, m.material, m.settled_at, p.id) proof
WHERE ($3::timestamptz IS NULL OR settled_at >= $3) AND ($4::timestamptz IS NULL OR settled_at < $4)
"""


async def saved(pool: Any, scope: Scope) -> list[Saved]:
    """Count by department, matter, month and what stood in, the latest month first."""
    rows = await pool.fetch(
        f"SELECT department, matter, date_trunc('month', settled_at AT TIME ZONE 'Asia/Shanghai')::date AS month,"  # noqa: S608 -- ours
        f" settled_by, count(*) AS proofs FROM ({_PROOFS}) counted"
        " GROUP BY 1, 2, 3, 4 ORDER BY month DESC, department, matter, settled_by",
        scope.department,
        scope.matter,
        scope.since,
        scope.until,
    )
    return [Saved(**row) for row in rows]


async def proofs(
    pool: Any, scope: Scope, after: tuple[datetime, uuid.UUID, str] | None, limit: int
) -> list[SavedProof]:
    """Return the proofs behind a number, the earliest first.

    Args:
        after: moment, plan and material of the last one that was read.
    """
    rows = await pool.fetch(
        f"SELECT * FROM ({_PROOFS}) counted"  # noqa: S608 -- ours
        " WHERE $5::timestamptz IS NULL OR (settled_at, plan, material) > ($5, $6::uuid, $7::text)"
        " ORDER BY settled_at, plan, material LIMIT $8",
        scope.department,
        scope.matter,
        scope.since,
        scope.until,
        *(after or (None, None, None)),
        limit,
    )
    return [
        SavedProof(
            plan=str(row["plan"]),
            department=row["department"],
            matter=row["matter"],
            case=row["case_ref"],
            material=row["material"],
            settled_by=row["settled_by"],
            settled_at=row["settled_at"],
            records=tuple(str(each) for each in row["records"]),
        )
        for row in rows
    ]
