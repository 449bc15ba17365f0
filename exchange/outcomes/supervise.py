"""What supervising departments found: inspections and penalties, as entries that grants may ask about."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date, datetime

from exchange.audit.record import prepare, record_within
from exchange.entries.entry import Subject, require_sense, standing_as
from exchange.outcomes import tables
from exchange.ports import Exchange
from exchange.queries.authorise import canonical_subject
from exchange.registers import entries
from exchange.registers.entries import Entry
from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

SOURCE = "supervision"
"""Source of all entries that supervising departments bring."""


class NotSupervised(DomainError):
    """The caller's department does not supervise this subject: no granted outcome of a matter says so."""

    code = "not-supervised"


async def enter(exchange: Exchange, caller: Principal, subject: Subject, new: Entry, now: datetime) -> Entry:
    """Put an entry on record about a subject that the caller's department supervises.

    Record and entry stand or fall together; the same entry again changes nothing. From then on a claim `no-entry` of
    its kind is a mismatch, for whoever has a grant that covers entries.

    Args:
        new: its `subject` and `source` are set here.

    Raises:
        SubjectMalformed, NotSupervised, EntryInvalid, EntryStands: recorded, then raised.
    """
    blind: bytes | None = None
    try:
        kind, canonical = canonical_subject(subject.kind, subject.identifier)
        blind = exchange.vault.blind_index(kind, canonical)
        new = replace(new, subject=blind, source=SOURCE, authority=caller.department)
        require_sense(new, civil_date(now))
        if not await tables.supervises(exchange.pool, caller.department, blind):
            raise NotSupervised(_("your department does not supervise this subject"), pointer="/subject")
        known = await standing_as(exchange, new)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "supervision-entry",
                "refused",
                caller,
                now,
                subject=blind,
                reason=refusal.code,
                entry=str(new.id),
                kind=new.kind,
            )
        )
        raise
    if known is not None:
        return known
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await entries.add(connection, exchange.vault, new, now):
            await record_within(
                connection,
                prepare(
                    "supervision-entry",
                    "entered",
                    caller,
                    now,
                    subject=blind,
                    entry=str(new.id),
                    kind=new.kind,
                    decided_on=new.decided_on.isoformat(),
                    until=None if new.until is None else new.until.isoformat(),
                ),
            )
            return new
    stands = await standing_as(exchange, new)
    assert stands is not None, "it was there a moment ago, and entries are never deleted"
    return stands


async def lift(exchange: Exchange, caller: Principal, entry_id: uuid.UUID, on: date, now: datetime) -> None:
    """Lift an entry of the caller's department as of a day; lifted before, nothing changes.

    Raises:
        NotFound: the department made no entry of that name.
    """
    async with exchange.pool.acquire() as connection, connection.transaction():
        subject = await tables.entered_by(connection, entry_id, caller.department, SOURCE)
        if subject is None:
            raise NotFound(_("your department made no such entry"))
        if await entries.end(connection, entry_id, on):
            await record_within(
                connection,
                prepare(
                    "supervision-entry",
                    "lifted",
                    caller,
                    now,
                    subject=subject,
                    entry=str(entry_id),
                    on=on.isoformat(),
                ),
            )
