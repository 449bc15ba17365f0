"""SQL of licences, presentations and events (schema `license_registry`)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any

import sqlalchemy
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

from foundation.signing import encode_base64url
from license_registry.lifecycle.states import State

metadata = MetaData(schema="license_registry")

serial = sqlalchemy.Sequence("serial", metadata=metadata)
status_index = sqlalchemy.Sequence("status_index", metadata=metadata, minvalue=0)

licence = Table(
    "licence",
    metadata,
    Column("identifier", Text, primary_key=True),
    Column("type_code", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("holder", BYTEA, nullable=False),
    Column("presenter", BYTEA),
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    Column("state_since", TIMESTAMP(timezone=True), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date),
    Column("issued_at", TIMESTAMP(timezone=True), nullable=False),
    Column("status_index", BigInteger, nullable=False, unique=True),
    Column("object_key", Text, nullable=False),
    Column("object_sha256", BYTEA, nullable=False),
    Column("request_digest", BYTEA, nullable=False),
    Column("sealed", BYTEA, nullable=False),
    Column("type_version", Integer, nullable=False),
    Column("issuer_name", Text),
    Column("division", Text),
    Column("issued_on", Date, nullable=False),
    Column("first_issued_on", Date, nullable=False),
    Column("related_identifier", Text),
    Column("origin", Text, nullable=False),
    Column("object_sm3", BYTEA),
)
Index(
    "licence_in_force",
    licence.c.type_code,
    licence.c.number,
    unique=True,
    postgresql_where=text("state IN ('01', '02')"),
)
Index("licence_holder", licence.c.holder)
Index("licence_presenter", licence.c.presenter)

co_holder = Table(
    "co_holder",
    metadata,
    Column("holder", BYTEA, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), primary_key=True),
    Index("co_holder_identifier", "identifier"),
)

presentation = Table(
    "presentation",
    metadata,
    Column("code_digest", BYTEA, primary_key=True),
    Column("identifier", Text, ForeignKey(licence.c.identifier), nullable=False),
    Column("presenter", BYTEA, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("sealed", BYTEA, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("used_at", TIMESTAMP(timezone=True)),
    Column("further", Integer, nullable=False, server_default="0"),
    Column("agent", BYTEA),
    Column("delegation", UUID),
)

event = Table(
    "event",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("identifier", Text),
    Column("kind", Text, nullable=False),
    Column("recorded_at", TIMESTAMP(timezone=True), nullable=False),
    Column("entry", BYTEA, nullable=False),
    Column("salt", BYTEA),
    Column("content", BYTEA),
    Index("event_identifier", "identifier", "recorded_at"),
)
# What is followed (`audit/following.py`), and nothing of the many that only tell who saw a licence.
Index("event_followed", event.c.entry, postgresql_where=text("kind IN ('issued', 'state-changed')"))

_COLUMNS = (
    "identifier, type_code, number, issuer, holder, presenter, state, state_reason, state_since, valid_from,"
    " valid_until, issued_at, status_index, object_key, object_sha256, request_digest, sealed, type_version,"
    " issuer_name, division, issued_on, first_issued_on, related_identifier, origin, object_sm3"
)


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the registry keeps it; fields of its holder only sealed, or as blind indexes.

    Args:
        holder: the first, where several hold it; the others stand in `co_holder`.
        issued_at: when this registry signed it; `issued_on` is the date of issue that the licence states, which
            for a paper taken over is the paper's own, and `first_issued_on` that of its first version.
        related_identifier: the licence that this one replaces (关联证照标识).
        origin: `issued` here; `digitised` from a paper (存量); `credential`, from a register that was brought in.
        object_sm3: None for licences of before it was kept.
    """

    identifier: str
    type_code: str
    number: str
    issuer: str
    holder: bytes
    presenter: bytes | None
    state: State
    state_reason: str | None
    state_since: datetime
    valid_from: date
    valid_until: date | None
    issued_at: datetime
    status_index: int
    object_key: str
    object_sha256: bytes
    request_digest: bytes
    sealed: bytes
    type_version: int
    issuer_name: str | None
    division: str | None
    issued_on: date
    first_issued_on: date
    related_identifier: str | None
    origin: str
    object_sm3: bytes | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a licence, ready for the log."""

    id: uuid.UUID
    identifier: str | None
    kind: str
    recorded_at: datetime
    entry: bytes
    salt: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Presentation:
    """A presentation by code: what is shown stands sealed until the code is used.

    Args:
        presenter: the holder of the licence; `agent`: who acts for them, by a delegation.
        further: how many licences more the code shows; they stand in `presentation_part`.
    """

    code_digest: bytes
    identifier: str
    presenter: bytes
    purpose: str
    matter: str
    sealed: bytes
    expires_at: datetime
    used_at: datetime | None
    further: int = 0
    agent: bytes | None = None
    delegation: uuid.UUID | None = None


async def draw_many(connection: Any, count: int) -> list[tuple[int, int]]:
    """Return as many fresh serials and status indexes, ascending."""
    rows = await connection.fetch(
        "SELECT nextval('license_registry.serial'), nextval('license_registry.status_index')"
        " FROM generate_series(1, $1)",
        count,
    )
    return [(row[0], row[1]) for row in rows]


async def draw_numbers(connection: Any) -> tuple[int, int]:
    """Return a fresh serial and a fresh index in the status lists. Numbers of failed issues stay unused."""
    row = await connection.fetchrow(
        "SELECT nextval('license_registry.serial'), nextval('license_registry.status_index')"
    )
    return row[0], row[1]


async def add(connection: Any, new: Licence, happened: Event, co_holders: Collection[bytes] = ()) -> None:
    """Store a licence, its further holders and its event together.

    Raises:
        asyncpg.UniqueViolationError: its number is in force.
    """
    async with connection.transaction():
        await connection.execute(
            f"INSERT INTO license_registry.licence ({_COLUMNS}) VALUES"  # noqa: S608 -- constant column names
            " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,"
            " $22, $23, $24, $25)",
            new.identifier,
            new.type_code,
            new.number,
            new.issuer,
            new.holder,
            new.presenter,
            new.state.value,
            new.state_reason,
            new.state_since,
            new.valid_from,
            new.valid_until,
            new.issued_at,
            new.status_index,
            new.object_key,
            new.object_sha256,
            new.request_digest,
            new.sealed,
            new.type_version,
            new.issuer_name,
            new.division,
            new.issued_on,
            new.first_issued_on,
            new.related_identifier,
            new.origin,
            new.object_sm3,
        )
        if co_holders:
            await connection.execute(
                "INSERT INTO license_registry.co_holder (holder, identifier) SELECT holder, $2"
                " FROM unnest($1::bytea[]) AS holder",
                co_holders,
                new.identifier,
            )
        await add_event(connection, happened)


_LICENCE = attrgetter(*(name for name in _COLUMNS.replace(" ", "").split(",")))


async def add_many(
    connection: Any, new: Sequence[tuple[Licence, Event]], co_holders: Sequence[tuple[bytes, str]]
) -> None:
    """Store licences, their events, and further holders with the licence's identifier; within a transaction.

    Raises:
        asyncpg.UniqueViolationError: the number of one of them is in force.
    """
    await copy(connection, "licence", _COLUMNS, (_LICENCE(licence) for licence, _ in new))
    if co_holders:
        await copy(connection, "co_holder", "holder, identifier", co_holders)
    await connection.copy_records_to_table(
        "pending", schema_name="ledger", columns=["entry"], records=[(event.entry,) for _, event in new]
    )
    events = (
        (each.id, each.identifier, each.kind, each.recorded_at, each.entry, each.salt, each.content)
        for _, each in new
    )
    await copy(connection, "event", "id, identifier, kind, recorded_at, entry, salt, content", events)


async def copy(connection: Any, table: str, columns: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Write many rows of one of our tables by COPY: a statement with arrays costs several times as much."""
    await connection.copy_records_to_table(
        table, schema_name="license_registry", columns=columns.replace(" ", "").split(","), records=records
    )


async def add_event(connection: Any, happened: Event) -> None:
    """Store an event and promise it to the log, in one statement."""
    await connection.execute(
        "WITH promised AS (INSERT INTO ledger.pending (entry) VALUES ($5))"
        " INSERT INTO license_registry.event (id, identifier, kind, recorded_at, entry, salt, content)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        happened.id,
        happened.identifier,
        happened.kind,
        happened.recorded_at,
        happened.entry,
        happened.salt,
        happened.content,
    )


async def find(connection: Any, identifier: str, *, for_change: bool = False) -> Licence | None:
    """Return a licence by its identifier, locked until the transaction ends if it is to change."""
    if "\0" in identifier:  # PostgreSQL refuses to compare with it
        return None
    return _licence(
        await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM license_registry.licence WHERE identifier = $1"  # noqa: S608
            + (" FOR UPDATE" if for_change else ""),
            identifier,
        )
    )


async def find_in_force(connection: Any, type_code: str, number: str) -> Licence | None:
    """Return the licence of this type and number that is valid or suspended."""
    return _licence(
        await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM license_registry.licence"  # noqa: S608
            " WHERE type_code = $1 AND number = $2 AND state IN ('01', '02')",
            type_code,
            number,
        )
    )


async def of_holders(connection: Any, holders: Sequence[bytes]) -> list[Licence]:
    """Return all licences that these hold, alone or with others, newest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM license_registry.licence WHERE holder = ANY($1)"  # noqa: S608
        f" UNION SELECT {_COLUMNS} FROM license_registry.licence WHERE identifier IN"
        "  (SELECT identifier FROM license_registry.co_holder WHERE holder = ANY($1))"
        " ORDER BY issued_at DESC LIMIT 1000",
        holders,
    )
    return [found for row in rows if (found := _licence(row)) is not None]


async def of_presenters(connection: Any, presenters: Sequence[bytes]) -> list[Licence]:
    """Return all licences that these may present, newest first; those held with others are among them."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM license_registry.licence"  # noqa: S608
        " WHERE presenter = ANY($1) OR identifier IN"
        "  (SELECT identifier FROM license_registry.co_holder WHERE holder = ANY($1))"
        " ORDER BY issued_at DESC LIMIT 1000",
        presenters,
    )
    return [found for row in rows if (found := _licence(row)) is not None]


async def may_present(connection: Any, licence: Licence, subjects: Sequence[bytes]) -> bool:
    """Tell whether one of these may present a licence: its presenter, and everybody who holds it with others."""
    if licence.presenter in subjects:
        return True
    found = await connection.fetchval(
        "SELECT true FROM license_registry.co_holder WHERE holder = ANY($1) AND identifier = $2 LIMIT 1",
        subjects,
        licence.identifier,
    )
    return found is not None


async def set_state(connection: Any, identifier: str, state: State, reason: str, now: datetime) -> None:
    """Change the state of a licence; within the transaction that also writes its event."""
    await connection.execute(
        "UPDATE license_registry.licence SET state = $2, state_reason = $3, state_since = $4"
        " WHERE identifier = $1",
        identifier,
        state.value,
        reason,
        now,
    )


async def states_not_valid(connection: Any, first: int, beyond: int) -> list[tuple[int, str]]:
    """Return (index, state) of licences in a range of the status lists whose state is not `01`."""
    rows = await connection.fetch(
        "SELECT status_index, state FROM license_registry.licence"
        " WHERE status_index >= $1 AND status_index < $2 AND state <> '01'",
        first,
        beyond,
    )
    return [(row["status_index"], row["state"]) for row in rows]


async def highest_status_index(connection: Any) -> int | None:
    """Return the highest index given out, None before the first licence."""
    found: int | None = await connection.fetchval("SELECT max(status_index) FROM license_registry.licence")
    return found


async def export_events(pool: Any) -> AsyncIterator[bytes]:
    """Yield all sequenced events as JSON lines for the log verifier, in the order of the tree."""
    statement = (
        "SELECT v.id, v.salt, v.content, e.leaf_index FROM license_registry.event v"
        " JOIN ledger.entry e ON e.entry = v.entry ORDER BY e.leaf_index"
    )
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        async for row in connection.cursor(statement, prefetch=500):
            erased = row["content"] is None
            salt = b"null" if erased else b'"%s"' % encode_base64url(row["salt"]).encode()
            yield b'{"leaf_index":%d,"record_id":"%s","salt":%s,"record":%s}\n' % (
                row["leaf_index"],
                str(row["id"]).encode(),
                salt,
                b"null" if erased else row["content"],
            )


def _licence(row: Any) -> Licence | None:
    if row is None:
        return None
    return Licence(**{**row, "state": State(row["state"])})
