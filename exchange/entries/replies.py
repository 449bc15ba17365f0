"""What the routes of lists answer, as clients read it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import BaseModel


class ListShown(BaseModel):
    """A list: the kind of its entries, and the department (USCC) that keeps it."""

    kind: str
    title: str
    title_en: str
    department: str
    legal_basis: str


class Lists(BaseModel):
    """All lists, by kind."""

    lists: list[ListShown]


class ListedEntry(BaseModel):
    """An entry of a list, without whom it is about and what it says.

    It counts from `decided_on` to `until`, both included, or until it is lifted; no longer from `ended_on` on.
    """

    id: UUID
    kind: str
    authority: str
    decided_on: date
    until: date | None
    ended_on: date | None


class ListedEntries(BaseModel):
    """A page of entries, by id; `next` is the `after` of the next page, null on the last."""

    entries: list[ListedEntry]
    next: UUID | None


class SentEntry(BaseModel):
    """What became of an entry that was sent: it `stands`, or why it is refused (`problem`, as of a single one)."""

    id: UUID
    stands: bool
    problem: str | None


class SentEntries(BaseModel):
    """What became of each entry, in the order in which they were sent."""

    entries: list[SentEntry]


class ListedSubject(BaseModel):
    """Whom an entry is about: `citizen-id`, `uscc` or `registration-number`, and the identifier."""

    kind: str
    identifier: str


class ListedEntryInFull(ListedEntry):
    """An entry, whom it is about, and what it says."""

    subject: ListedSubject
    text: str
