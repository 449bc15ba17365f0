"""What the routes of automatic entitlement answer, as clients read it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class RunShown(BaseModel):
    """A run. `state`: open, review or failed (then `problem` says why).

    `found`: state → how many (found, declined, told, accepted, refused, lapsed); `due`: to how many the benefit is to
    be given.
    """

    id: UUID
    rule: str
    rule_version: int
    state: str
    problem: str | None
    screened: int
    found: dict[str, int]
    due: int
    made_at: datetime
    changed_at: datetime


class FoundShown(BaseModel):
    """Somebody who is entitled: what the grant discloses of them, masked.

    `state`: found; declined or told; accepted or refused by themselves; lapsed, where no answer came until
    `answer_until`. `due_at`: since when the benefit is to be given. `values`: null once they are no longer kept.
    """

    id: UUID
    state: str
    told_at: datetime | None
    answer_until: date | None
    answered_at: datetime | None
    due_at: datetime | None
    values: dict[str, Any] | None


class FoundPage(BaseModel):
    """A page of whom a run found; `next` is the `after` of the next page, null on the last."""

    found: list[FoundShown]
    next: UUID | None


class Decided(BaseModel):
    """How many were decided on."""

    decided: int


class Entitlement(BaseModel):
    """A benefit that a person was told they are entitled to.

    `state`: told, accepted, refused or lapsed; `answer_until`: the last day to answer, null where none is needed.
    """

    id: UUID
    rule: str
    title: str
    title_en: str
    legal_basis: str
    department: str
    state: str
    told_at: datetime
    answer_until: date | None
    answered_at: datetime | None
    due_at: datetime | None


class Beneficiary(BaseModel):
    """Whom a benefit is to be given to: `citizen-id`, and the identifier."""

    kind: str
    identifier: str


class Entitlements(BaseModel):
    """Benefits, those told of last first."""

    entitlements: list[Entitlement]
