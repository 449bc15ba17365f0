"""SQL of matters (table `exchange.matter`): every version of a description; one of each code is published at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from exchange.registers.tables import metadata

matter = Table(
    "matter",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
)
Index("matter_published", matter.c.code, unique=True, postgresql_where=text("state = 'published'"))
Index("matter_department", matter.c.department)


async def put_draft(connection: Any, document: Mapping[str, Any], changed_by: str, now: datetime) -> bool:
    """Store a version as draft, or put another text in place of a draft; False where that version stands already.

    Args:
        connection: of asyncpg.
    """
    found = await connection.fetchval(
        "INSERT INTO exchange.matter AS m (code, version, state, department, document, changed_at, changed_by)"
        " VALUES ($1, $2, 'draft', $3, $4::jsonb, $5, $6) ON CONFLICT (code, version) DO UPDATE"
        " SET document = excluded.document, department = excluded.department, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by WHERE m.state = 'draft' RETURNING 1",
        document["code"],
        document["version"],
        document["department"],
        document,
        now,
        changed_by,
    )
    return found is not None


async def publish(connection: Any, code: str, version: int, changed_by: str, now: datetime) -> bool:
    """Publish a draft, and retire what was published before; False where there is no such draft."""
    await connection.execute(
        "UPDATE exchange.matter SET state = 'retired', changed_at = $3, changed_by = $4"
        " WHERE code = $1 AND state = 'published' AND EXISTS"
        " (SELECT FROM exchange.matter d WHERE d.code = $1 AND d.version = $2 AND d.state = 'draft')",
        code,
        version,
        now,
        changed_by,
    )
    found = await connection.fetchval(
        "UPDATE exchange.matter SET state = 'published', changed_at = $3, changed_by = $4"
        " WHERE code = $1 AND version = $2 AND state = 'draft' RETURNING 1",
        code,
        version,
        now,
        changed_by,
    )
    return found is not None


async def published(connection: Any, code: str) -> dict[str, Any] | None:
    """Return the published description of a matter."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT document FROM exchange.matter WHERE code = $1 AND state = 'published'", code
    )
    return found


async def version(connection: Any, code: str, number: int) -> dict[str, Any] | None:
    """Return one version of a description, whatever its state."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT document FROM exchange.matter WHERE code = $1 AND version = $2", code, number
    )
    return found


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a description, and where it stands: `draft`, `published` or `retired`."""

    code: str
    version: int
    state: str
    document: dict[str, Any]
    changed_at: datetime
    changed_by: str


async def newest(connection: Any, codes: Sequence[str]) -> dict[str, Version]:
    """Return code → newest version of each of these that is known, whatever its state."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (code) code, version, state, document, changed_at, changed_by FROM exchange.matter"
        " WHERE code = ANY($1) ORDER BY code, version DESC",
        codes,
    )
    return {row["code"]: Version(*row) for row in rows}


async def versions(connection: Any, code: str) -> list[Version]:
    """Return all versions of a matter, newest first."""
    rows = await connection.fetch(
        "SELECT code, version, state, document, changed_at, changed_by FROM exchange.matter"
        " WHERE code = $1 ORDER BY version DESC",
        code,
    )
    return [Version(*row) for row in rows]


async def speaking_of(connection: Any, names: Sequence[str]) -> list[Version]:
    """Return the newest versions, none retired, of matters that ask for a paper of one of these normalised names."""
    rows = await connection.fetch(
        "WITH newest AS (SELECT DISTINCT ON (code) code, version, state, document, changed_at, changed_by"
        " FROM exchange.matter ORDER BY code, version DESC)"
        " SELECT code, version, state, document, changed_at, changed_by FROM newest"
        " WHERE state <> 'retired' AND EXISTS (SELECT FROM jsonb_array_elements(document -> 'materials') m"
        " WHERE m -> 'matching' -> 'names' ?| $1) ORDER BY code",
        names,
    )
    return [Version(*row) for row in rows]


async def current(
    connection: Any, *, department: str | None = None, published_only: bool = False
) -> list[Version]:
    """Return of each matter the version that counts: the newest one that is not retired."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (code) code, version, state, document, changed_at, changed_by FROM exchange.matter"
        " WHERE state <> 'retired' AND ($1::text IS NULL OR department = $1) AND (NOT $2 OR state = 'published')"
        " ORDER BY code, version DESC",
        department,
        published_only,
    )
    return [Version(*row) for row in rows]


async def search(
    connection: Any,
    *,
    states: Sequence[str],
    words: str | None,
    department: str | None,
    after: str,
    limit: int,
) -> list[dict[str, Any]]:
    """Return matters by code, a page of them: of each the newest version in one of the states, without its materials.

    Args:
        words: stands somewhere in the title or is the beginning of the code; upper and lower case alike.
        after: the last code of the page before.
    """
    rows = await connection.fetch(
        "WITH shown AS (SELECT DISTINCT ON (code) code, version, state, department, document, changed_at"
        " FROM exchange.matter WHERE state = ANY($1) AND code > $4 AND ($3::text IS NULL OR department = $3)"
        " ORDER BY code, version DESC)"
        " SELECT code, version, state, department, document ->> 'title' AS title,"
        " document ->> 'department_name' AS department_name, document ->> 'kind' AS kind,"
        " document ->> 'field' AS field, coalesce((document ->> 'example')::boolean, false) AS example,"
        " jsonb_array_length(document -> 'materials') AS materials, changed_at FROM shown"
        " WHERE $2::text IS NULL OR position(lower($2) IN lower(document ->> 'title')) > 0"
        " OR starts_with(lower(code), lower($2)) ORDER BY code LIMIT $5",
        states,
        words,
        department,
        after,
        limit,
    )
    return [dict(row) for row in rows]


async def needs(connection: Any) -> dict[str, tuple[str, ...]]:
    """Return code → codes of the matters whose outcome it needs, of all published matters that need any.

    Nobody else publishes until the transaction ends: two that are right each by itself may make a loop together.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('exchange.matter published'))")
    rows = await connection.fetch(
        "SELECT code, document -> 'needs_outcome_of' AS needed FROM exchange.matter"
        " WHERE state = 'published' AND document -> 'needs_outcome_of' <> '[]'::jsonb"
    )
    return {row["code"]: tuple(row["needed"]) for row in rows}


async def retire(connection: Any, code: str, changed_by: str, now: datetime) -> bool:
    """Retire what is published of a matter; False where nothing is."""
    found = await connection.fetchval(
        "UPDATE exchange.matter SET state = 'retired', changed_at = $2, changed_by = $3"
        " WHERE code = $1 AND state = 'published' RETURNING 1",
        code,
        now,
        changed_by,
    )
    return found is not None


async def planned(connection: Any) -> dict[tuple[str, str], tuple[int, int]] | None:
    """Return matter and material → in how many plans it came up, and how many the exchange settled; None without plans.

    What a commitment settled was not there already, so it does not count.
    """
    if await connection.fetchval("SELECT to_regclass('exchange.plan_material')") is None:
        return None
    rows = await connection.fetch(
        "SELECT p.matter, m.material, count(*) AS planned, count(*) FILTER"
        " (WHERE m.settled_at IS NOT NULL AND m.settled_by IN ('evidence', 'consent')) AS settled"
        " FROM exchange.plan_material m JOIN exchange.plan p ON p.id = m.plan GROUP BY p.matter, m.material"
    )
    return {(row["matter"], row["material"]): (row["planned"], row["settled"]) for row in rows}
