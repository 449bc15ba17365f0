"""SQL of grants (table `exchange.share_grant`)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Row, Table, Text, select, update
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, UUID, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.grants.grant import Grant
from exchange.registers.tables import metadata

share_grant = Table(
    "share_grant",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("matters", ARRAY(Text), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("valid_from", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", TIMESTAMP(timezone=True), nullable=False),
    Index("share_grant_client", "client_id", "resource"),
)


async def add(engine: AsyncEngine, grant: Grant) -> bool:
    """Store a grant; False when one with its id stands already."""
    statement = insert(share_grant).values(
        id=grant.id,
        client_id=grant.client_id,
        resource=grant.resource,
        fields=sorted(grant.fields),
        matters=sorted(grant.matters),
        purpose=grant.purpose,
        legal_basis=grant.legal_basis,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        granted_by=grant.granted_by,
        granted_at=grant.granted_at,
    )
    async with engine.begin() as connection:
        done = await connection.execute(statement.on_conflict_do_nothing().returning(share_grant.c.id))
        return done.one_or_none() is not None


async def find(engine: AsyncEngine, grant_id: uuid.UUID) -> Grant | None:
    """Return one grant by its id."""
    async with engine.connect() as connection:
        row = (
            await connection.execute(select(share_grant).where(share_grant.c.id == grant_id))
        ).one_or_none()
    return None if row is None else _grant(row)


async def of_client(engine: AsyncEngine, client_id: str) -> list[Grant]:
    """Return all grants of a client, ended ones too, newest first."""
    statement = (
        select(share_grant)
        .where(share_grant.c.client_id == client_id)
        .order_by(share_grant.c.granted_at.desc())
    )
    async with engine.connect() as connection:
        return [_grant(row) for row in await connection.execute(statement)]


async def end(engine: AsyncEngine, grant_id: uuid.UUID, now: datetime) -> bool:
    """End a grant; False when there is none or it has ended before."""
    statement = (
        update(share_grant)
        .where(share_grant.c.id == grant_id, share_grant.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(share_grant.c.id)
    )
    async with engine.begin() as connection:
        return (await connection.execute(statement)).one_or_none() is not None


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        client_id=row.client_id,
        resource=row.resource,
        fields=frozenset(row.fields),
        matters=frozenset(row.matters),
        purpose=row.purpose,
        legal_basis=row.legal_basis,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        granted_by=row.granted_by,
        granted_at=row.granted_at,
        ended_at=row.ended_at,
    )
