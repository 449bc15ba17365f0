"""What the routes of automatic entitlement answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class RunShown(BaseModel):
    """A run. `state`: open, review or failed (then `problem` says why); `found`: state → how many."""

    id: UUID
    rule: str
    rule_version: int
    state: str
    problem: str | None
    screened: int
    found: dict[str, int]
    made_at: datetime
    changed_at: datetime


class FoundShown(BaseModel):
    """Somebody who is entitled: what the grant discloses of them, masked; `state`: found, told or declined."""

    id: UUID
    state: str
    values: dict[str, Any]


class FoundPage(BaseModel):
    """A page of whom a run found; `next` is the `after` of the next page, null on the last."""

    found: list[FoundShown]
    next: UUID | None


class Decided(BaseModel):
    """How many were decided on."""

    decided: int


class Entitlement(BaseModel):
    """A benefit that a person was told they are entitled to."""

    id: UUID
    rule: str
    title: str
    title_en: str
    legal_basis: str
    department: str
    told_at: datetime


class Entitlements(BaseModel):
    """Benefits, those told of last first."""

    entitlements: list[Entitlement]
