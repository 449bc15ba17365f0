"""SQL of presenting: codes, what they show, delegations (schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from license_registry.lifecycle.states import State
from license_registry.tables import Event, Presentation, add_event, licence, metadata, presentation

presentation_part = Table(
    "presentation_part",
    metadata,
    Column("code_digest", BYTEA, ForeignKey(presentation.c.code_digest), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("sealed", BYTEA, nullable=False),
)

offline_use = Table(
    "offline_use",
    metadata,
    Column("code_id", BYTEA, primary_key=True),
    Column("identifier", Text, nullable=False),
    Column("used_at", TIMESTAMP(timezone=True), nullable=False),
)

delegation = Table(
    "delegation",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("holder", BYTEA, nullable=False),
    Column("agent", BYTEA, nullable=False),
    Column("identifiers", ARRAY(Text), nullable=False),
    Column("matter", Text, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_until", TIMESTAMP(timezone=True), nullable=False),
    Column("statement", Text, nullable=False),
    Column("withdrawn_at", TIMESTAMP(timezone=True)),
    Column("withdrawal", Text),
    Index("delegation_holder", "holder"),
    Index("delegation_agent", "agent"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One licence of what a code shows, with its state of this moment.

    Args:
        sealed: the selection of its credential.
    """

    identifier: str
    issuer: str
    state: State
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A presentation by code as it stands, unused or used, with the licences that it shows."""

    presentation: Presentation
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Delegation:
    """A holder lets an agent present named licences for one matter until a date.

    Args:
        holder, agent: blind indexes of their citizen IDs.
        statement: all this, signed by the registry in the name of the signed-in holder (compact JWS);
            `withdrawal`: its end, signed likewise.
    """

    id: uuid.UUID
    holder: bytes
    agent: bytes
    identifiers: tuple[str, ...]
    matter: str
    made_at: datetime
    valid_until: datetime
    statement: str
    withdrawn_at: datetime | None = None
    withdrawal: str | None = None


async def add_presentation(
    connection: Any, new: Presentation, further: Sequence[tuple[str, bytes]], happened: Collection[Event]
) -> None:
    """Store a presentation, the (identifier, sealed) of its further licences, and the events together."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO license_registry.presentation"
            " (code_digest, identifier, presenter, purpose, matter, sealed, expires_at, further, agent, delegation)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            new.code_digest,
            new.identifier,
            new.presenter,
            new.purpose,
            new.matter,
            new.sealed,
            new.expires_at,
            new.further,
            new.agent,
            new.delegation,
        )
        if further:
            await connection.executemany(
                "INSERT INTO license_registry.presentation_part VALUES ($1, $2, $3, $4)",
                [
                    (new.code_digest, at, identifier, sealed)
                    for at, (identifier, sealed) in enumerate(further, 1)
                ],
            )
        for event in happened:
            await add_event(connection, event)


async def find_shown(connection: Any, code_digest: bytes) -> Shown | None:
    """Return a presentation with what it shows, without using it."""
    row = await connection.fetchrow(
        "SELECT p.*, l.issuer, l.state FROM license_registry.presentation p"
        " JOIN license_registry.licence l USING (identifier) WHERE p.code_digest = $1",
        code_digest,
    )
    if row is None:
        return None
    told = dict(row)
    first = Part(told["identifier"], told.pop("issuer"), State(told.pop("state")), told["sealed"])
    found = Presentation(**told)
    if not found.further:
        return Shown(found, (first,))
    rows = await connection.fetch(
        "SELECT p.identifier, l.issuer, l.state, p.sealed FROM license_registry.presentation_part p"
        " JOIN license_registry.licence l USING (identifier) WHERE p.code_digest = $1 ORDER BY p.position",
        code_digest,
    )
    return Shown(found, (first, *(Part(**{**each, "state": State(each["state"])}) for each in rows)))


async def use(
    connection: Any, shown: Shown, now: datetime, happened: Sequence[Event], delegation: uuid.UUID | None
) -> bool:
    """Use a code up and record its verification, in one statement; False if it could not be used.

    It can be used once, before it expires, while every licence is in the state that was judged, and while the
    delegation that it was made by stands. False changes nothing.
    """
    (first, *_more) = happened
    row = await connection.fetchrow(
        _USE,
        shown.presentation.code_digest,
        now,
        [part.identifier for part in shown.parts],
        [part.state.value for part in shown.parts],
        [event.entry for event in happened],
        [event.id for event in happened],
        [event.identifier for event in happened],
        first.kind,
        [event.salt for event in happened],
        [event.content for event in happened],
        delegation,
    )
    return row is not None


_USE = """
WITH used AS (
    UPDATE license_registry.presentation SET used_at = $2
    WHERE code_digest = $1 AND used_at IS NULL AND expires_at > $2
    AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS judged (identifier, state)
        JOIN license_registry.licence l USING (identifier) WHERE l.state <> judged.state)
    AND ($11::uuid IS NULL OR EXISTS (SELECT FROM license_registry.delegation
        WHERE id = $11 AND withdrawn_at IS NULL AND valid_until > $2))
    RETURNING code_digest
), promised AS (
    INSERT INTO ledger.pending (entry) SELECT entry FROM used, unnest($5::bytea[]) AS entry
), recorded AS (
    INSERT INTO license_registry.event (id, identifier, kind, recorded_at, entry, salt, content)
    SELECT e.id, e.identifier, $8, $2, e.entry, e.salt, e.content FROM used,
    unnest($6::uuid[], $7::text[], $5::bytea[], $9::bytea[], $10::bytea[]) AS e (id, identifier, entry, salt, content)
)
SELECT true FROM used
"""


async def use_offline(connection: Any, code_id: bytes, now: datetime, happened: Event) -> bool:
    """Record that a signed code was verified online; False if it was before. False changes nothing."""
    async with connection.transaction():
        done = await connection.fetchval(
            "INSERT INTO license_registry.offline_use VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
            code_id,
            happened.identifier,
            now,
        )
        if done is None:
            return False
        await add_event(connection, happened)
        return True


async def add_delegation(connection: Any, new: Delegation, happened: Collection[Event]) -> None:
    """Store a delegation and its events together."""
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO license_registry.delegation VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            new.id,
            new.holder,
            new.agent,
            list(new.identifiers),
            new.matter,
            new.made_at,
            new.valid_until,
            new.statement,
        )
        for event in happened:
            await add_event(connection, event)


async def find_delegation(connection: Any, delegation_id: uuid.UUID) -> Delegation | None:
    """Return a delegation, whether or not it still stands."""
    return _delegation(
        await connection.fetchrow("SELECT * FROM license_registry.delegation WHERE id = $1", delegation_id)
    )


async def delegations_of(connection: Any, subject: bytes) -> list[Delegation]:
    """Return delegations that somebody gave or got, newest first."""
    rows = await connection.fetch(
        "SELECT * FROM license_registry.delegation WHERE holder = $1 OR agent = $1"
        " ORDER BY made_at DESC LIMIT 1000",
        subject,
    )
    return [found for row in rows if (found := _delegation(row)) is not None]


async def withdraw(
    connection: Any, delegation_id: uuid.UUID, holder: bytes, now: datetime, withdrawal: str, happened: Event
) -> bool:
    """End a delegation of this holder; False if there is none that stands."""
    async with connection.transaction():
        done = await connection.fetchval(
            "UPDATE license_registry.delegation SET withdrawn_at = $3, withdrawal = $4"
            " WHERE id = $1 AND holder = $2 AND withdrawn_at IS NULL RETURNING true",
            delegation_id,
            holder,
            now,
            withdrawal,
        )
        if done is None:
            return False
        await add_event(connection, happened)
        return True


def _delegation(row: Any) -> Delegation | None:
    return None if row is None else Delegation(**{**row, "identifiers": tuple(row["identifiers"])})
