"""SQL of how departments answer: per department that was asked, and month in which it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

_FIGURES = """
SELECT r.owner AS department, to_char(r.submitted_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') AS month,
  count(*) AS asked,
  count(*) FILTER (WHERE r.answer IS NOT NULL) AS answered,
  count(*) FILTER (WHERE r.answered_in_time) AS answered_in_time,
  count(*) FILTER (WHERE r.answer = 'refuse') AS refused,
  count(*) FILTER (WHERE r.disputed_at IS NOT NULL) AS disputed,
  count(*) FILTER (WHERE late.by_owner) AS overdue,
  count(*) FILTER (WHERE late.by_authority) AS overdue_at_authority,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY r.answer_days) AS median_working_days
FROM exchange.share_request r LEFT JOIN LATERAL (
  SELECT bool_or(s.said ->> 'late' = 'owner') AS by_owner,
         bool_or(s.said ->> 'late' = 'sharing-authority') AS by_authority
  FROM exchange.share_request_step s WHERE s.request = r.id AND s.action = 'overdue'
) late ON true
WHERE ($1::text IS NULL OR r.owner = $1)
  AND r.submitted_at >= ($2::date::timestamp AT TIME ZONE 'Asia/Shanghai')
  AND r.submitted_at < ($3::date::timestamp AT TIME ZONE 'Asia/Shanghai')
GROUP BY 1, 2 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of the requests that came to a department in a month.

    Args:
        month: `YYYY-MM`, in which they were submitted, for the last time where they were returned.
        overdue: requests in which the department let a term pass, in answering or in providing.
        overdue_at_authority: requests in which the sharing authority did, in checking or in deciding.
        median_working_days: from the check to the answer; None where none is answered.
    """

    department: str
    month: str
    asked: int
    answered: int
    answered_in_time: int
    refused: int
    disputed: int
    overdue: int
    overdue_at_authority: int
    median_working_days: float | None


async def figures(pool: Any, department: str | None, begins: date, ends: date) -> list[Figures]:
    """Return figures of the months that touch the days from `begins` to before `ends`, the latest month first.

    Args:
        pool: of asyncpg.
        department: code of the department that was asked; None: all.
    """
    return [Figures(**row) for row in await pool.fetch(_FIGURES, department, begins, ends)]
