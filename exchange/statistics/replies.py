"""What the routes of counters answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class SavedCount(BaseModel):
    """Proofs that a department did not ask for in a month; `records` leads to each of them."""

    department: str
    matter: str
    month: str
    settled_by: str
    proofs: int
    records: str


class ProofsSaved(BaseModel):
    """Proofs not asked for, with the method of counting."""

    method: str
    total: int
    by_way: dict[str, int]
    by_matter: dict[str, int]
    by_department: dict[str, int]
    by_month: dict[str, int]
    counts: list[SavedCount]


class SavedProofShown(BaseModel):
    """One proof that was not asked for, with its plan and its access records."""

    plan: UUID
    department: str
    matter: str
    case: str
    material: str
    settled_by: str
    settled_at: datetime
    records: list[str]


class SavedProofs(BaseModel):
    """A page of proofs; `next` is the `after` of the next page, null on the last."""

    proofs: list[SavedProofShown]
    next: str | None
