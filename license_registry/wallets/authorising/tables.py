"""SQL of authorisations: one row each, found by the digest of the secret that the next step comes with.

Each step replaces that secret, so whatever was shown once leads nowhere any more. What wallet and person said stands
sealed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from license_registry.tables import metadata

wallet_authorisation = Table(
    "wallet_authorisation",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("handle_digest", BYTEA, nullable=False, unique=True),
    Column("step", Text, nullable=False),
    Column("sealed", BYTEA, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("token_digest", BYTEA),
)


class Step(StrEnum):
    """What an authorisation waits for."""

    PUSHED = "pushed"
    SIGNING_IN = "signing-in"
    CHOOSING = "choosing"
    GRANTED = "granted"
    REDEEMED = "redeemed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Row:
    """An authorisation as it stands in the database.

    Args:
        handle_digest: of the secret for the next step: request, state, ticket, or code.
        token_digest: of the access token that the code became, which goes if the code comes again.
    """

    id: uuid.UUID
    handle_digest: bytes
    step: Step
    sealed: bytes
    expires_at: datetime
    token_digest: bytes | None = None


async def add(connection: Any, new: Row) -> None:
    """Store a fresh authorisation."""
    await connection.execute(
        "INSERT INTO license_registry.wallet_authorisation (id, handle_digest, step, sealed, expires_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        new.id,
        new.handle_digest,
        new.step.value,
        new.sealed,
        new.expires_at,
    )


async def find(connection: Any, handle_digest: bytes, step: Step, now: datetime) -> Row | None:
    """Return the authorisation that waits for this step with this secret, unless it has expired."""
    return _row(
        await connection.fetchrow(
            "SELECT * FROM license_registry.wallet_authorisation"
            " WHERE handle_digest = $1 AND step = $2 AND expires_at > $3",
            handle_digest,
            step.value,
            now,
        )
    )


async def lock_granted(connection: Any, code_digest: bytes) -> Row | None:
    """Return the authorisation whose code this is or was, locked until the transaction ends."""
    return _row(
        await connection.fetchrow(
            "SELECT * FROM license_registry.wallet_authorisation"
            " WHERE handle_digest = $1 AND step IN ('granted', 'redeemed') FOR UPDATE",
            code_digest,
        )
    )


async def advance(connection: Any, was: Row, becomes: Row) -> bool:
    """Take the next step, and say whether it was still to be taken: of two at once, one takes it."""
    done: str = await connection.execute(
        "UPDATE license_registry.wallet_authorisation"
        " SET handle_digest = $3, step = $4, sealed = $5, expires_at = $6, token_digest = $7"
        " WHERE id = $1 AND handle_digest = $2",
        was.id,
        was.handle_digest,
        becomes.handle_digest,
        becomes.step.value,
        becomes.sealed,
        becomes.expires_at,
        becomes.token_digest,
    )
    return done.endswith(" 1")


async def forget_expired(connection: Any, before: datetime) -> int:
    """Delete authorisations that expired before a moment; return how many."""
    done: str = await connection.execute(
        "DELETE FROM license_registry.wallet_authorisation WHERE expires_at < $1", before
    )
    return int(done.rpartition(" ")[2])


def _row(found: Any) -> Row | None:
    return None if found is None else Row(**{**found, "step": Step(found["step"])})
