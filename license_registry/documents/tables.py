"""SQL of documents (schema `license_registry`): one for each licence and format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from license_registry.documents import due
from license_registry.tables import Event, add_event, licence, metadata

DUE_FORM: Final = "ofd"
"""The format that is due at issue."""

document = Table(
    "document",
    metadata,
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Column("format", Text, primary_key=True),
    Column("object_key", Text, nullable=False, unique=True),
    Column("sha256", BYTEA, nullable=False),
    Column("sm3", BYTEA, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
)
Index("document_sha256", document.c.sha256)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was drawn; the digests are of its own bytes, the object lies sealed."""

    identifier: str
    format: str
    object_key: str
    sha256: bytes
    sm3: bytes
    bytes: int
    made_at: datetime


async def find(connection: Any, identifier: str, form: str) -> Document | None:
    """Return the document of a licence in a format, None if nobody has asked for it yet."""
    row = await connection.fetchrow(
        "SELECT identifier, format, object_key, sha256, sm3, bytes, made_at FROM license_registry.document"
        " WHERE identifier = $1 AND format = $2",
        identifier,
        form,
    )
    return None if row is None else Document(**row)


async def find_by_digest(connection: Any, sha256: bytes) -> Document | None:
    """Return the document of these bytes, by their SHA-256."""
    row = await connection.fetchrow(
        "SELECT identifier, format, object_key, sha256, sm3, bytes, made_at FROM license_registry.document"
        " WHERE sha256 = $1 LIMIT 1",
        sha256,
    )
    return None if row is None else Document(**row)


async def add(connection: Any, new: Document, happened: Event) -> bool:
    """Store a document and its event together, and let it be due no more; False, and nothing, if another was first."""
    async with connection.transaction():
        done = await connection.fetchval(
            "INSERT INTO license_registry.document VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (identifier, format) DO NOTHING RETURNING true",
            new.identifier,
            new.format,
            new.object_key,
            new.sha256,
            new.sm3,
            new.bytes,
            new.made_at,
        )
        if done is None:
            return False
        await add_event(connection, happened)
        if new.format == DUE_FORM:
            await due.settle(connection, new.identifier)
        return True
