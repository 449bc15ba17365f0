"""SQL of the log (schema `ledger`): what waits for the tree, what is in it, and its signed head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    true,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata = MetaData(schema="ledger")

pending = Table(
    "pending",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("entry", LargeBinary, nullable=False, unique=True),
    Column("entered_at", TIMESTAMP(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

entry = Table(
    "entry",
    metadata,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False, unique=True),
)

tree_head = Table(
    "tree_head",
    metadata,
    Column("one", Boolean, CheckConstraint("one"), primary_key=True, server_default=true()),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("signed_at", TIMESTAMP(timezone=True), nullable=False),
)

DDL: tuple[str, ...] = (
    "CREATE SCHEMA ledger",
    """CREATE TABLE ledger.pending (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry bytea NOT NULL UNIQUE,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp()
)""",
    """CREATE TABLE ledger.entry (
    leaf_index bigint PRIMARY KEY,
    entry bytea NOT NULL UNIQUE
)""",
    """CREATE TABLE ledger.tree_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL,
    root bytea NOT NULL,
    checkpoint text NOT NULL,
    signed_at timestamptz NOT NULL
)""",
)
"""The statements that create the schema, in order."""

_SEQUENCER_LOCK = int.from_bytes(b"ztledger")

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
_READ_HEAD = "SELECT size, root, checkpoint FROM ledger.tree_head"
_WRITE_HEAD = """
INSERT INTO ledger.tree_head (size, root, checkpoint, signed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (one) DO UPDATE
SET size = excluded.size, root = excluded.root,
    checkpoint = excluded.checkpoint, signed_at = excluded.signed_at
"""
_ENQUEUE = "INSERT INTO ledger.pending (entry) SELECT unnest($1::bytea[]) ON CONFLICT (entry) DO NOTHING"
_BATCH = """
SELECT pending.id, pending.entry, entry.leaf_index IS NOT NULL AS sequenced
FROM (SELECT id, entry FROM ledger.pending ORDER BY id LIMIT $1) AS pending
LEFT JOIN ledger.entry ON entry.entry = pending.entry
ORDER BY pending.id
"""
_APPEND = """
INSERT INTO ledger.entry (leaf_index, entry)
SELECT $1::bigint + place - 1, entry FROM unnest($2::bytea[]) WITH ORDINALITY AS added (entry, place)
"""
_DEQUEUE = "DELETE FROM ledger.pending WHERE id = ANY($1::bigint[])"
_FIND_LEAVES = "SELECT entry, leaf_index FROM ledger.entry WHERE entry = ANY($1)"
_FIND_LEAF = "SELECT leaf_index FROM ledger.entry WHERE entry = $1"


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The head that the database holds: leaves, root (32 bytes) and the signed note over them."""

    size: int
    root: bytes
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that waits; `sequenced` when the tree already has it (it was entered a second time)."""

    id: int
    entry: bytes
    sequenced: bool


async def try_lock(connection: Any) -> bool:
    """Become the one sequencer until the transaction ends; False when another one is at work."""
    return bool(await connection.fetchval(_TRY_LOCK, _SEQUENCER_LOCK))


async def read_head(connection: Any) -> TreeHead | None:
    """Return the head, or None for a log that was never signed."""
    row = await connection.fetchrow(_READ_HEAD)
    return None if row is None else TreeHead(row["size"], row["root"], row["checkpoint"])


async def write_head(connection: Any, head: TreeHead, signed_at: datetime) -> None:
    """Replace the head."""
    await connection.execute(_WRITE_HEAD, head.size, head.root, head.checkpoint, signed_at)


async def enqueue(connection: Any, entries: Sequence[bytes]) -> None:
    """Let entries (32-byte commitments) wait for the tree; one that waits already is not entered again."""
    await connection.execute(_ENQUEUE, list(entries))


async def batch(connection: Any, limit: int) -> list[Pending]:
    """Return up to `limit` entries that wait, longest first."""
    rows = await connection.fetch(_BATCH, limit)
    return [Pending(row["id"], row["entry"], row["sequenced"]) for row in rows]


async def append(connection: Any, first_index: int, entries: Sequence[bytes]) -> None:
    """Give entries their leaf indexes, from `first_index` on, in their order."""
    await connection.execute(_APPEND, first_index, list(entries))


async def dequeue(connection: Any, ids: Sequence[int]) -> None:
    """Drop entries from those that wait."""
    await connection.execute(_DEQUEUE, list(ids))


async def find_leaf_index(connection: Any, logged: bytes) -> int | None:
    """Return the leaf index of an entry, or None while it is not in the tree."""
    found = await connection.fetchval(_FIND_LEAF, logged)
    return None if found is None else int(found)


async def find_leaf_indexes(connection: Any, logged: Sequence[bytes]) -> dict[bytes, int]:
    """Return entry → its leaf index, of those that are in the tree."""
    rows = await connection.fetch(_FIND_LEAVES, list(logged))
    return {row["entry"]: int(row["leaf_index"]) for row in rows}
