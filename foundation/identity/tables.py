"""SQL of registered clients and used assertions (schema `identity`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, MetaData, Table, Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from foundation.identity.clients import Client, KeyOfAnother, thumbprints
from foundation.identity.principals import Role
from foundation.language import _

metadata = MetaData(schema="identity")

client = Table(
    "client",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("jwks", JSONB, nullable=False),
    Column("registered_at", TIMESTAMP(timezone=True), nullable=False),
    Column("disabled_at", TIMESTAMP(timezone=True)),
)

used_assertion = Table(
    "used_assertion",
    metadata,
    Column("digest", BYTEA, primary_key=True),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Index("used_assertion_expires_at", "expires_at"),
)


async def put_client(engine: AsyncEngine, new: Client, now: datetime) -> None:
    """Register a client, or replace what is known of it (its keys, when it rotates them)."""
    values = {
        "client_id": new.client_id,
        "name": new.name,
        "department": new.department,
        "roles": sorted(new.roles),
        "jwks": dict(new.jwks),
    }
    statement = insert(client).values(**values, registered_at=now)
    async with engine.begin() as connection:
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["client_id"], set_={**values, "disabled_at": None}
            )
        )


async def refuse_shared_keys(engine: AsyncEngine, new: Client) -> None:
    """Refuse a client that brings a key which another client has, whatever it calls it.

    Raises:
        KeyOfAnother: names that client.
    """
    ours = thumbprints(new.jwks)
    async with engine.connect() as connection:
        others = await connection.execute(
            select(client.c.client_id, client.c.jwks).where(client.c.client_id != new.client_id)
        )
        for client_id, jwks in others:
            if ours & thumbprints(jwks):
                raise KeyOfAnother(_("client {client} has the same key"), client=client_id)


async def find_client(engine: AsyncEngine, client_id: str) -> Client | None:
    """Return an enabled client, or None."""
    async with engine.connect() as connection:
        found = (
            await connection.execute(
                select(client).where(client.c.client_id == client_id, client.c.disabled_at.is_(None))
            )
        ).one_or_none()
    if found is None:
        return None
    return Client(
        found.client_id, found.name, found.department, frozenset(Role(r) for r in found.roles), found.jwks
    )


async def has_systems(engine: AsyncEngine, department: str) -> bool:
    """Tell whether a department has an enabled system here."""
    statement = select(client.c.client_id).where(
        client.c.department == department, client.c.disabled_at.is_(None)
    )
    async with engine.connect() as connection:
        return (await connection.execute(statement.limit(1))).one_or_none() is not None


async def use_assertion(engine: AsyncEngine, digest: bytes, expires_at: datetime) -> bool:
    """Mark an assertion as used; False when it was used before. Durable before the token is given out."""
    async with engine.begin() as connection:
        statement = insert(used_assertion).values(digest=digest, expires_at=expires_at)
        done = await connection.execute(statement.on_conflict_do_nothing().returning(used_assertion.c.digest))
        return done.one_or_none() is not None


async def forget_expired_assertions(engine: AsyncEngine) -> int:
    """Drop marks that expiry alone now covers; returns how many."""
    async with engine.begin() as connection:
        done: Any = await connection.execute(
            used_assertion.delete().where(used_assertion.c.expires_at < func.now())
        )
        return int(done.rowcount)
