"""SQL of presenting: codes, what they show, delegations (schema `license_registry`)."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from foundation.grouping import Grouped
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
    return (await find_many(connection, [code_digest]))[0]


async def find_many(connection: Any, code_digests: Sequence[bytes]) -> list[Shown | None]:
    """Return in step the presentations of several codes, None for codes that are none."""
    rows = await connection.fetch(_FIND, code_digests)
    found: dict[bytes, Shown] = {}
    for row in rows:
        told = dict(row)
        first = Part(told["identifier"], told.pop("issuer"), State(told.pop("state")), told["sealed"])
        found[told["code_digest"]] = Shown(Presentation(**told), (first,))
    for digest, shown in found.items():
        if shown.presentation.further:
            more = await connection.fetch(_FURTHER, digest)
            parts = (Part(**{**each, "state": State(each["state"])}) for each in more)
            found[digest] = replace(shown, parts=(*shown.parts, *parts))
    return [found.get(digest) for digest in code_digests]


_FIND = """
SELECT p.*, l.issuer, l.state FROM unnest($1::bytea[]) AS asked (code_digest)
JOIN license_registry.presentation p USING (code_digest)
JOIN license_registry.licence l USING (identifier)
"""
_FURTHER = """
SELECT p.identifier, l.issuer, l.state, p.sealed FROM license_registry.presentation_part p
JOIN license_registry.licence l USING (identifier) WHERE p.code_digest = $1 ORDER BY p.position
"""


@dataclass(frozen=True, slots=True)
class Use:
    """A code to be used up: what was judged of it, the moment, and the events to be recorded with it."""

    shown: Shown
    now: datetime
    happened: tuple[Event, ...]


async def use_many(connection: Any, uses: Sequence[Use]) -> list[bool]:
    """Use codes up and record their verifications, in one statement; False for one that could not be used.

    A code can be used once, before it expires, while every licence is in the state that was judged, and while the
    delegation that it was made by stands. False changes nothing.
    """
    parts = [(turn, part) for turn, use in enumerate(uses, 1) for part in use.shown.parts]
    events = [(turn, event) for turn, use in enumerate(uses, 1) for event in use.happened]
    rows = await connection.fetch(
        _USE,
        [use.shown.presentation.code_digest for use in uses],
        [use.now for use in uses],
        [use.shown.presentation.delegation for use in uses],
        [turn for turn, _part in parts],
        [part.identifier for _turn, part in parts],
        [part.state.value for _turn, part in parts],
        [turn for turn, _event in events],
        [event.id for _turn, event in events],
        [event.identifier for _turn, event in events],
        [event.kind for _turn, event in events],
        [event.recorded_at for _turn, event in events],
        [event.entry for _turn, event in events],
        [event.salt for _turn, event in events],
        [event.content for _turn, event in events],
    )
    used = {row["turn"] for row in rows}
    return [turn in used for turn in range(1, len(uses) + 1)]


_USE = """
WITH changed AS (
    SELECT j.turn FROM unnest($4::bigint[], $5::text[], $6::text[]) AS j (turn, identifier, state)
    JOIN license_registry.licence l ON l.identifier = j.identifier WHERE l.state <> j.state
), used AS (
    UPDATE license_registry.presentation p SET used_at = a.now
    FROM unnest($1::bytea[], $2::timestamptz[], $3::uuid[])
        WITH ORDINALITY AS a (code_digest, now, delegation, turn)
    WHERE p.code_digest = a.code_digest AND p.used_at IS NULL AND p.expires_at > a.now
    AND a.turn NOT IN (SELECT turn FROM changed)
    AND (a.delegation IS NULL OR EXISTS (SELECT FROM license_registry.delegation d
        WHERE d.id = a.delegation AND d.withdrawn_at IS NULL AND d.valid_until > a.now))
    RETURNING a.turn
), recorded AS (
    INSERT INTO license_registry.event (id, identifier, kind, recorded_at, entry, salt, content)
    SELECT e.id, e.identifier, e.kind, e.recorded_at, e.entry, e.salt, e.content
    FROM unnest($7::bigint[], $8::uuid[], $9::text[], $10::text[], $11::timestamptz[], $12::bytea[],
        $13::bytea[], $14::bytea[]) AS e (turn, id, identifier, kind, recorded_at, entry, salt, content)
    JOIN used USING (turn)
    RETURNING entry
), promised AS (
    INSERT INTO ledger.pending (entry) SELECT entry FROM recorded
)
SELECT turn FROM used
"""


class Codes:
    """Finds codes and uses them up; verifications that run at the same moment share round trips and commits."""

    def __init__(self, pool: Any) -> None:
        self._find: Grouped[bytes, Shown | None] = Grouped(partial(find_many, pool))
        # In the order of the codes, so that two processes with the same ones do not wait for each other.
        self._use: Grouped[Use, bool] = Grouped(partial(_use_in_order, pool))

    async def find(self, code_digest: bytes) -> Shown | None:
        """As `find_shown`."""
        return await self._find(code_digest)

    async def use(self, use: Use) -> bool:
        """As `use_many`, for one."""
        return await self._use(use)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks that do the work; on leaving, what still waits is done first."""
        async with self._find.running(), self._use.running():
            yield


async def _use_in_order(pool: Any, uses: list[Use]) -> list[bool]:
    order = sorted(range(len(uses)), key=lambda place: uses[place].shown.presentation.code_digest)
    done = await use_many(pool, [uses[place] for place in order])
    results = dict(zip(order, done, strict=True))
    return [results[place] for place in range(len(uses))]


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


async def delegations_of(connection: Any, subjects: Sequence[bytes]) -> list[Delegation]:
    """Return delegations that somebody gave or got under any of these identifiers, newest first."""
    rows = await connection.fetch(
        "SELECT * FROM license_registry.delegation WHERE holder = ANY($1) OR agent = ANY($1)"
        " ORDER BY made_at DESC LIMIT 1000",
        list(subjects),
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
