"""SQL of the catalogue (tables `exchange.resource_version` and `exchange.resource_change`).

Who writes holds one lock, so that changes become visible in the order of their numbers: whoever has seen change n has
seen all before it. All functions take a connection of asyncpg; those that write, within a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from exchange.catalog.changes import Changes
from exchange.catalog.document import Document
from exchange.registers.tables import metadata

resource_version = Table(
    "resource_version",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("reason", Text),
    Column("applies_from", TIMESTAMP(timezone=True)),
    Column("applies_until", TIMESTAMP(timezone=True)),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
)
Index(
    "resource_version_open",
    resource_version.c.resource,
    unique=True,
    postgresql_where=text("state IN ('draft', 'in-review')"),
)

resource_change = Table(
    "resource_change",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("resource", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("narrowed", JSONB, nullable=False),
    Column("widened", JSONB, nullable=False),
    Column("notice", Text),
    Column("applies_from", TIMESTAMP(timezone=True), nullable=False),
    Column("told_at", TIMESTAMP(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it is kept.

    Args:
        state: `draft`, `in-review`, `published` or `retired`.
        reason: why it was sent back or retired.
        applies_from: None until it is published.
        applies_until: end of a retired one.
    """

    resource: str
    version: int
    state: str
    department: str
    document: Document
    reason: str | None
    applies_from: datetime | None
    applies_until: datetime | None
    changed_at: datetime
    changed_by: str

    def applies(self, now: datetime) -> bool:
        """True if it may be in force; of several of a resource, the newest one is."""
        return (
            self.applies_from is not None
            and self.applies_from <= now
            and (self.applies_until is None or now < self.applies_until)
        )


_SELECT = (
    "SELECT resource, version, state, department, document, reason, applies_from, applies_until, changed_at,"
    " changed_by FROM exchange.resource_version"
)


async def lock(connection: Any) -> None:
    """Let nobody else write to the catalogue until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('zhengtong catalogue'))")


async def versions_of(connection: Any, resources: Iterable[str]) -> list[StoredVersion]:
    """Return all versions of some resources, drafts too, the newest of each first."""
    return _versions(
        await connection.fetch(
            _SELECT + " WHERE resource = ANY($1) ORDER BY resource, version DESC",
            list(resources),
        )
    )


async def open_versions(connection: Any, department: str | None) -> list[StoredVersion]:
    """Return drafts and what is in review, the oldest first; of one department, or of all."""
    return _versions(
        await connection.fetch(
            _SELECT + " WHERE state IN ('draft', 'in-review')"
            " AND ($1::text IS NULL OR department = $1) ORDER BY changed_at, resource",
            department,
        )
    )


async def published_since(connection: Any, change: int) -> list[StoredVersion]:
    """Return all versions ever published of the resources that changed after a change, the newest of each first."""
    return _versions(
        await connection.fetch(
            _SELECT + " v WHERE EXISTS"
            " (SELECT FROM exchange.resource_change c WHERE c.resource = v.resource AND c.id > $1)"
            " AND state IN ('published', 'retired') ORDER BY resource, version DESC",
            change,
        )
    )


async def latest_change(connection: Any) -> int:
    """Return the number of the last change; 0 where there was none."""
    return int(await connection.fetchval("SELECT coalesce(max(id), 0) FROM exchange.resource_change"))


async def put_drafts(connection: Any, documents: Sequence[Document], changed_by: str, now: datetime) -> None:
    """Store documents as drafts of their versions, in place of what was drafted before."""
    await connection.executemany(
        "INSERT INTO exchange.resource_version"
        " (resource, version, state, department, document, changed_at, changed_by)"
        " VALUES ($1, $2, 'draft', $3, $4::jsonb, $5, $6) ON CONFLICT (resource, version) DO UPDATE"
        " SET document = excluded.document, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        [(d["id"], d["version"], d["department"], d, now, changed_by) for d in documents],
    )


async def drop_draft(connection: Any, resource: str, version: int) -> None:
    """Take a draft away."""
    await connection.execute(
        "DELETE FROM exchange.resource_version WHERE resource = $1 AND version = $2 AND state = 'draft'",
        resource,
        version,
    )


async def set_state(
    connection: Any,
    resource: str,
    version: int,
    state: str,
    changed_by: str,
    now: datetime,
    *,
    reason: str | None = None,
    applies_from: datetime | None = None,
) -> None:
    """Move a version to another state."""
    await connection.execute(
        "UPDATE exchange.resource_version SET state = $3, changed_by = $4, changed_at = $5, reason = $6,"
        " applies_from = coalesce($7, applies_from) WHERE resource = $1 AND version = $2",
        resource,
        version,
        state,
        changed_by,
        now,
        reason,
        applies_from,
    )


async def retire(
    connection: Any, resource: str, changed_by: str, now: datetime, reason: str, until: datetime
) -> None:
    """End all versions of a resource that are published, or were to end later."""
    await connection.execute(
        "UPDATE exchange.resource_version SET state = 'retired', changed_by = $2, changed_at = $3,"
        " reason = $4, applies_until = $5 WHERE resource = $1"
        " AND (state = 'published' OR state = 'retired' AND applies_until > $5)",
        resource,
        changed_by,
        now,
        reason,
        until,
    )


async def tell_change(
    connection: Any,
    resource: str,
    version: int,
    kind: str,
    changes: Changes,
    notice: str | None,
    applies_from: datetime,
    now: datetime,
) -> int:
    """Tell a change, under the lock, and return its number."""
    return int(
        await connection.fetchval(
            "INSERT INTO exchange.resource_change"
            " (id, resource, version, kind, narrowed, widened, notice, applies_from, told_at)"
            " SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4::jsonb, $5::jsonb, $6, $7, $8"
            " FROM exchange.resource_change RETURNING id",
            resource,
            version,
            kind,
            list(changes.narrowed),
            list(changes.widened),
            notice,
            applies_from,
            now,
        )
    )


async def changes_after(connection: Any, after: int, limit: int) -> list[Mapping[str, Any]]:
    """Return changes with numbers above `after`, in their order."""
    return [
        dict(row)
        for row in await connection.fetch(
            "SELECT id, resource, version, kind, narrowed, widened, notice, applies_from, told_at"
            " FROM exchange.resource_change WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            limit,
        )
    ]


def _versions(rows: Iterable[Any]) -> list[StoredVersion]:
    return [StoredVersion(**dict(row)) for row in rows]
