"""What the keeper of a list does: sends entries in, ends them, looks at one.

Which department keeps the list of a kind says the sharing authority; nobody else writes into it. A claim `no-entry` of
the kind looks at the entries themselves, so it sees what is written here as soon as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.entries import tables
from exchange.entries.entry import EntryInvalid, Subject, require_sense, standing_as
from exchange.entries.tables import EntryList, Listed
from exchange.ports import Exchange
from exchange.queries.authorise import canonical_subject
from exchange.registers import entries
from exchange.registers.entries import Entry
from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

SOURCE = "list"
"""Source of all entries of lists that departments keep."""


class ListOfAnother(DomainError):
    """The caller's department keeps no list of this kind."""

    code = "list-of-another"


def place(entry_id: uuid.UUID) -> bytes:
    """Return where the identifier of whom an entry is about stands."""
    return b"listed_entry\0" + entry_id.bytes


async def assign(exchange: Exchange, caller: Principal, new: EntryList, now: datetime) -> None:
    """Say which department keeps the list of a kind; recorded, unless it stands so already."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.put_list(connection, new, caller.id, now):
            await record_within(
                connection,
                prepare(
                    "entry-list",
                    "set",
                    caller,
                    now,
                    kind=new.kind,
                    keeper=new.department,
                    legal_basis=new.legal_basis,
                ),
            )


async def enter(exchange: Exchange, caller: Principal, subject: Subject, new: Entry, now: datetime) -> Entry:
    """Put an entry on the caller's list; the same entry again changes nothing.

    Record, entry and the sealed identifier stand or fall together.

    Args:
        new: its `subject`, `source` and `authority` are set here.

    Raises:
        SubjectMalformed, ListOfAnother, EntryInvalid, EntryStands: recorded, then raised.
    """
    blind: bytes | None = None
    try:
        kind, canonical = canonical_subject(subject.kind, subject.identifier)
        blind = exchange.vault.blind_index(kind, canonical)
        new = replace(new, subject=blind, source=SOURCE, authority=caller.department)
        if not await tables.keeps(exchange.pool, caller.department, new.kind):
            raise ListOfAnother(_("your department keeps no list of this kind"), pointer="/kind")
        require_sense(new, civil_date(now))
        async with exchange.pool.acquire() as connection, connection.transaction():
            if await entries.add(connection, exchange.vault, new, now):
                sealed = exchange.vault.seal(canonical.encode(), place(new.id))
                await tables.add_name(connection, new.id, kind, sealed)
                await record_within(connection, _recorded("entered", caller, new, now))
                return new
        known = await standing_as(exchange, new)
        assert known is not None, "it was there a moment ago, and entries are never deleted"
        return known
    except DomainError as refusal:
        refused = replace(new, subject=blind or b"")
        await exchange.recorder.record(_recorded("refused", caller, refused, now, reason=refusal.code))
        raise


async def enter_many(
    exchange: Exchange, caller: Principal, wanted: Sequence[tuple[Subject, Entry]], now: datetime
) -> list[str | None]:
    """Put entries on the caller's lists, each by itself, and return in step why one is refused; None: it stands.

    Dying in between leaves the first of them; sent again, they stand as they are and the rest follows.
    """
    said: list[str | None] = []
    for subject, new in wanted:
        try:
            await enter(exchange, caller, subject, new, now)
        except DomainError as refusal:
            said.append(refusal.code)
        else:
            said.append(None)
    return said


async def end(exchange: Exchange, caller: Principal, entry_id: uuid.UUID, on: date, now: datetime) -> Listed:
    """Let an entry of the caller's list count no longer from a day on, and return it.

    One that was ended before stays as it is.

    Raises:
        NotFound, EntryInvalid: recorded, then raised.
    """
    found: Listed | None = None
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await _own(connection, caller, entry_id)
            if found.ended_on is not None:
                return found
            if on < found.decided_on:
                raise EntryInvalid(_("it ends before it begins"), pointer="/on")
            await entries.end(connection, entry_id, on)
            await record_within(connection, _seen("ended", caller, entry_id, found, now, on=on.isoformat()))
            return replace(found, ended_on=on)
    except DomainError as refusal:
        await exchange.recorder.record(
            _seen("refused", caller, entry_id, found, now, on=on.isoformat(), reason=refusal.code)
        )
        raise


async def look_at(
    exchange: Exchange, caller: Principal, entry_id: uuid.UUID, now: datetime
) -> tuple[Listed, Subject, str]:
    """Return an entry of the caller's list, whom it is about and what it says; recorded first.

    Raises:
        NotFound: recorded, then raised.
    """
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await _own(connection, caller, entry_id)
            await record_within(connection, _seen("answered", caller, entry_id, found, now))
    except NotFound as refusal:
        await exchange.recorder.record(_seen("refused", caller, entry_id, None, now, reason=refusal.code))
        raise
    about = await entries.of_subject(exchange.pool, exchange.vault, found.subject)
    (text,) = [each.text for each in about if each.id == entry_id]
    identifier = exchange.vault.open(found.sealed, place(entry_id)).decode()
    return found, Subject(found.subject_kind, identifier), text


async def _own(connection: Any, caller: Principal, entry_id: uuid.UUID) -> Listed:
    found = await tables.find(connection, caller.department, entry_id)
    if found is None:
        raise NotFound(_("no list of your department has such an entry"))
    return found


def _recorded(outcome: str, caller: Principal, new: Entry, now: datetime, **facts: Any) -> AccessRecord:
    return prepare(
        "listed-entry",
        outcome,
        caller,
        now,
        subject=new.subject or None,
        entry=str(new.id),
        kind=new.kind,
        decided_on=new.decided_on.isoformat(),
        until=None if new.until is None else new.until.isoformat(),
        **facts,
    )


def _seen(
    outcome: str, caller: Principal, entry_id: uuid.UUID, found: Listed | None, now: datetime, **facts: Any
) -> AccessRecord:
    return prepare(
        "listed-entry",
        outcome,
        caller,
        now,
        subject=None if found is None else found.subject,
        entry=str(entry_id),
        kind=None if found is None else found.kind,
        **facts,
    )
