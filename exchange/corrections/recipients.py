"""SQL of who was given a wrong value: found from the access records."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.registers.aliases import asked_by

# The index of subjects finds the records of one; how they read is looked at for these alone.
_GIVEN = """
SELECT a.client_id, min(a.said ->> 'department') AS department, array_agg(a.id ORDER BY a.recorded_at, a.id) AS records
FROM (
  SELECT id, client_id, recorded_at, convert_from(content, 'UTF8')::jsonb AS said
  FROM exchange.access_record
  WHERE subject = ANY($1) AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND recorded_at <= $3
    AND outcome = 'answered' AND content IS NOT NULL
) a
WHERE a.said ->> 'resource' = ANY($4::text[]) AND jsonb_exists(a.said -> 'fields', $5)
  AND NOT EXISTS (SELECT FROM exchange.correction_notice n
                  WHERE n.correction = $6 AND n.client_id = a.client_id AND a.id = ANY(n.records))
GROUP BY a.client_id ORDER BY a.client_id
"""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A system that was given a value.

    Args:
        records: ids of the access records of the answers that it was given, in order: they stand in the receipts.
    """

    client_id: str
    department: str
    records: tuple[uuid.UUID, ...]


async def recipients(
    connection: Any,
    table: str,
    subject: bytes,
    resources: Collection[str],
    field: str,
    since: datetime | None,
    until: datetime,
    correction: uuid.UUID,
) -> list[Recipient]:
    """Return who was given a field of a subject from `since` to `until`, and was not told of it yet.

    Whoever asked by another identifier of the subject is among them. Whoever was only told that a claim on it does not
    match was given it as well.

    Args:
        connection: of asyncpg.
        table: of the register that the subject is of.
        resources: ids of all resources that show this field of this register.
        since: None: ever.
        correction: whose notices have been sent already.
    """
    subjects = await asked_by(connection, table, subject)
    rows = await connection.fetch(_GIVEN, subjects, since, until, list(resources), field, correction)
    return [Recipient(row["client_id"], row["department"] or "", tuple(row["records"])) for row in rows]
