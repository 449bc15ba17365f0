"""SQL of seals (schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from license_registry.seals.states import SealKind, SealState
from license_registry.tables import metadata

seal = Table(
    "seal",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("authority", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("state_since", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("kid", Text, nullable=False),
    Column("request_digest", BYTEA, nullable=False),
    Column("der", BYTEA, nullable=False),
)
Index("seal_authority", seal.c.authority, seal.c.made_at)
Index("seal_in_use", seal.c.authority, seal.c.kind, postgresql_where=text("state = 'in-use'"))


@dataclass(frozen=True, slots=True)
class Registered:
    """A seal as the registry keeps it.

    Args:
        kid: key that puts it on data.
        der: the seal itself.
    """

    id: uuid.UUID
    authority: str
    kind: SealKind
    name: str
    state: SealState
    state_reason: str | None
    state_since: datetime
    valid_from: datetime
    valid_until: datetime
    made_at: datetime
    kid: str
    request_digest: bytes = field(repr=False)
    der: bytes = field(repr=False)


_COLUMNS = (
    "id, authority, kind, name, state, state_reason, state_since, valid_from, valid_until, made_at, kid,"
    " request_digest, der"
)
_LISTED = _COLUMNS.removesuffix("der") + "''::bytea AS der"


async def add(connection: Any, made: Registered) -> bool:
    """Keep a seal; False if one of this id is kept already."""
    found = await connection.fetchval(
        f"INSERT INTO license_registry.seal ({_COLUMNS})"  # noqa: S608 -- constant
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        " ON CONFLICT (id) DO NOTHING RETURNING true",
        made.id,
        made.authority,
        made.kind.value,
        made.name,
        made.state.value,
        made.state_reason,
        made.state_since,
        made.valid_from,
        made.valid_until,
        made.made_at,
        made.kid,
        made.request_digest,
        made.der,
    )
    return found is True


async def find(connection: Any, seal_id: uuid.UUID, *, for_change: bool = False) -> Registered | None:
    """Return a seal by its id, locked until the transaction ends if it is to change."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM license_registry.seal WHERE id = $1"  # noqa: S608 -- constant
        + (" FOR UPDATE" if for_change else ""),
        seal_id,
    )
    return None if row is None else _registered(row)


async def list_of(connection: Any, authority: str | None, limit: int) -> list[Registered]:
    """Return the seals of an authority, or of all, the latest first; `der` is left empty, since pictures are large."""
    rows = await connection.fetch(
        f"SELECT {_LISTED} FROM license_registry.seal"  # noqa: S608 -- constant
        " WHERE $1::text IS NULL OR authority = $1 ORDER BY made_at DESC, id LIMIT $2",
        authority,
        limit,
    )
    return [_registered(row) for row in rows]


async def set_state(connection: Any, changed: Registered) -> None:
    """Write the state of a seal."""
    await connection.execute(
        "UPDATE license_registry.seal SET state = $2, state_reason = $3, state_since = $4 WHERE id = $1",
        changed.id,
        changed.state.value,
        changed.state_reason,
        changed.state_since,
    )


async def kinds_in_force(
    connection: Any, authority: str, kinds: Collection[str], now: datetime
) -> frozenset[str]:
    """Return those of the kinds of which the authority has a seal in use that is valid now."""
    rows = await connection.fetch(
        "SELECT DISTINCT kind FROM license_registry.seal WHERE authority = $1 AND kind = ANY($2)"
        " AND state = 'in-use' AND valid_from <= $3 AND valid_until >= $3",
        authority,
        list(kinds),
        now,
    )
    return frozenset(row["kind"] for row in rows)


async def in_force(connection: Any, authority: str, kind: str, now: datetime) -> list[Registered]:
    """Return the authority's seals of a kind that are in use and valid now, the latest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM license_registry.seal"  # noqa: S608 -- constant
        " WHERE authority = $1 AND kind = $2 AND state = 'in-use' AND valid_from <= $3 AND valid_until >= $3"
        " ORDER BY made_at DESC, id",
        authority,
        kind,
        now,
    )
    return [_registered(row) for row in rows]


def _registered(row: Any) -> Registered:
    return Registered(**{**row, "kind": SealKind(row["kind"]), "state": SealState(row["state"])})
