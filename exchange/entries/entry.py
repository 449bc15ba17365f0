"""What holds for every entry, whoever brings it: whom it is about, that it can be, and that its id is its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from exchange.ports import Exchange
from exchange.registers import entries
from exchange.registers.entries import Entry
from foundation.errors import DomainError
from foundation.language import _


class EntryStands(DomainError):
    """Another entry has this id."""

    code = "entry-stands"


class EntryInvalid(DomainError):
    """An entry that cannot be: of a day to come, or that ends before it begins."""

    code = "entry-invalid"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an entry is about: `citizen-id` or `uscc`, and the identifier."""

    kind: str
    identifier: str


def require_sense(new: Entry, today: date) -> None:
    """Refuse an entry that cannot be, with EntryInvalid."""
    if new.decided_on > today:
        raise EntryInvalid(_("it was decided on a day to come"), pointer="/decided_on")
    if new.until is not None and new.until < new.decided_on:
        raise EntryInvalid(_("it ends before it begins"), pointer="/until")


async def standing_as(exchange: Exchange, new: Entry) -> Entry | None:
    """Return the entry that stands under this id, None for none, or raise EntryStands for another one."""
    if not await entries.stands(exchange.pool, new.id):
        return None
    own = {each.id: each for each in await entries.of_subject(exchange.pool, exchange.vault, new.subject)}
    known = own.get(new.id)
    if known is None or replace(known, ended_on=None) != new:
        raise EntryStands(_("another entry has this id"), pointer="/id")
    return known
