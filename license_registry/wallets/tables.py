"""SQL of wallets: offers, tokens, used nonces, requests to present (schema `license_registry`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from license_registry.tables import licence, metadata

wallet_offer = Table(
    "wallet_offer",
    metadata,
    Column("code_digest", BYTEA, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("presenter", BYTEA, nullable=False),
    Column("pin_digest", BYTEA),
    Column("tries_left", Integer, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("used_at", TIMESTAMP(timezone=True)),
)

wallet_token = Table(
    "wallet_token",
    metadata,
    Column("token_digest", BYTEA, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("presenter", BYTEA, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("by_identifier", Boolean, nullable=False, server_default="false"),
    Column("bound_to", Text),
)

wallet_nonce = Table(
    "wallet_nonce",
    metadata,
    Column("nonce_digest", BYTEA, primary_key=True),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
)
Index("wallet_nonce_expires_at", wallet_nonce.c.expires_at)

wallet_proof = Table(
    "wallet_proof",
    metadata,
    Column("proof_digest", BYTEA, primary_key=True),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
)
Index("wallet_proof_expires_at", wallet_proof.c.expires_at)

wallet_request = Table(
    "wallet_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("licence_type", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("case", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("answered_at", TIMESTAMP(timezone=True)),
    Column("sealed", BYTEA),
    Column("response_key", BYTEA),
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A licence offered to a wallet; code and transaction code are known to the holder only."""

    code_digest: bytes
    identifier: str
    presenter: bytes
    pin_digest: bytes | None
    tries_left: int
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token of a wallet is for.

    Args:
        by_identifier: the wallet was told the identifier, and asks by it instead of the licence type.
        bound_to: thumbprint of the key that the token is good with alone (`jkt`, RFC 9449 §6); None: with any.
    """

    token_digest: bytes
    identifier: str
    presenter: bytes
    expires_at: datetime
    by_identifier: bool = False
    bound_to: str | None = None


@dataclass(frozen=True, slots=True)
class AskedOfWallet:
    """A request to present; what was answered stands sealed, and so does the key that it is encrypted to, if any."""

    id: str
    client_id: str
    department: str
    licence_type: str
    fields: list[str]
    purpose: str
    matter: str
    case: str
    nonce: str
    expires_at: datetime
    answered_at: datetime | None
    sealed: bytes | None
    response_key: bytes | None


async def add_offer(connection: Any, new: Offer) -> None:
    """Store an offer."""
    await connection.execute(
        "INSERT INTO license_registry.wallet_offer"
        " (code_digest, identifier, presenter, pin_digest, tries_left, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        new.code_digest,
        new.identifier,
        new.presenter,
        new.pin_digest,
        new.tries_left,
        new.expires_at,
    )


async def lock_offer(connection: Any, code_digest: bytes) -> Offer | None:
    """Return an offer, locked until the transaction ends."""
    row = await connection.fetchrow(
        "SELECT * FROM license_registry.wallet_offer WHERE code_digest = $1 FOR UPDATE", code_digest
    )
    return None if row is None else Offer(**row)


async def use_offer(connection: Any, code_digest: bytes, now: datetime) -> None:
    """Mark an offer as used."""
    await connection.execute(
        "UPDATE license_registry.wallet_offer SET used_at = $2 WHERE code_digest = $1", code_digest, now
    )


async def count_try(connection: Any, code_digest: bytes) -> None:
    """Count a wrong transaction code."""
    await connection.execute(
        "UPDATE license_registry.wallet_offer SET tries_left = tries_left - 1 WHERE code_digest = $1",
        code_digest,
    )


async def add_access(connection: Any, new: Access) -> None:
    """Store what an access token is for."""
    await connection.execute(
        "INSERT INTO license_registry.wallet_token"
        " (token_digest, identifier, presenter, expires_at, by_identifier, bound_to)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        new.token_digest,
        new.identifier,
        new.presenter,
        new.expires_at,
        new.by_identifier,
        new.bound_to,
    )


async def remove_access(connection: Any, token_digest: bytes) -> None:
    """Take an access token back."""
    await connection.execute(
        "DELETE FROM license_registry.wallet_token WHERE token_digest = $1", token_digest
    )


async def find_access(connection: Any, token_digest: bytes, now: datetime) -> Access | None:
    """Return what an access token is for, unless it has expired."""
    row = await connection.fetchrow(
        "SELECT * FROM license_registry.wallet_token WHERE token_digest = $1 AND expires_at > $2",
        token_digest,
        now,
    )
    return None if row is None else Access(**row)


async def use_nonce(connection: Any, nonce_digest: bytes, expires_at: datetime, now: datetime) -> bool:
    """Mark a nonce as used, and say whether it was fresh; what has expired is forgotten."""
    return await _use_once(connection, wallet_nonce, nonce_digest, expires_at, now)


async def use_proof(connection: Any, proof_digest: bytes, expires_at: datetime, now: datetime) -> bool:
    """Mark a proof of holding a key as used, and say whether it was fresh; what is too old anyway is forgotten."""
    return await _use_once(connection, wallet_proof, proof_digest, expires_at, now)


async def _use_once(connection: Any, used: Table, digest: bytes, expires_at: datetime, now: datetime) -> bool:
    name, (key,) = f"license_registry.{used.name}", used.primary_key.columns.keys()
    await connection.execute(f"DELETE FROM {name} WHERE expires_at < $1", now)  # noqa: S608 -- ours
    done: str = await connection.execute(
        f"INSERT INTO {name} ({key}, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",  # noqa: S608 -- ours
        digest,
        expires_at,
    )
    return done.endswith(" 1")


async def add_request(connection: Any, new: AskedOfWallet) -> None:
    """Store a request to present."""
    await connection.execute(
        "INSERT INTO license_registry.wallet_request"
        ' (id, client_id, department, licence_type, fields, purpose, matter, "case", nonce, expires_at,'
        " response_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.id,
        new.client_id,
        new.department,
        new.licence_type,
        new.fields,
        new.purpose,
        new.matter,
        new.case,
        new.nonce,
        new.expires_at,
        new.response_key,
    )


async def find_request(connection: Any, request_id: str) -> AskedOfWallet | None:
    """Return a request to present."""
    if "\0" in request_id:  # PostgreSQL refuses to compare with it
        return None
    row = await connection.fetchrow("SELECT * FROM license_registry.wallet_request WHERE id = $1", request_id)
    return None if row is None else AskedOfWallet(**row)


async def answer_request(connection: Any, request_id: str, sealed: bytes, now: datetime) -> bool:
    """Store an answer, and say whether it was the first one, in time; the key for it is forgotten."""
    done: str = await connection.execute(
        "UPDATE license_registry.wallet_request SET answered_at = $3, sealed = $2, response_key = NULL"
        " WHERE id = $1 AND answered_at IS NULL AND expires_at > $3",
        request_id,
        sealed,
        now,
    )
    return done.endswith(" 1")


async def forget_expired(connection: Any, before: datetime) -> int:
    """Delete offers, access tokens and requests that expired before a moment; return how many.

    They are good for nothing then: what was issued or answered by them stands in the events of the licences.
    """
    gone = 0
    for table in (wallet_token, wallet_offer, wallet_request):
        done: str = await connection.execute(
            f"DELETE FROM license_registry.{table.name} WHERE expires_at < $1",  # noqa: S608 -- names of our tables
            before,
        )
        gone += int(done.rpartition(" ")[2])
    return gone
