"""What the routes of consents answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class AskedFor(BaseModel):
    """What a consent would ask a resource: by `verify`, names of claims; by `query`, names of fields."""

    resource: str
    mode: str
    fields: list[str]


class ConsentShown(BaseModel):
    """A consent; `state`: offered, requested, previewed, released, refused, expired or superseded."""

    id: UUID
    state: str
    department: str
    matter: str
    material: str
    case: str
    plan: UUID
    asks: list[AskedFor]
    made_at: datetime
    expires_at: datetime


class Consents(BaseModel):
    """A person's consents, the latest first."""

    consents: list[ConsentShown]


class EvidenceShown(BaseModel):
    """A signed answer that waits for its release: what it `says`, and the `answer` itself (compact JWS)."""

    resource: str
    record: str
    says: dict[str, Any]
    answer: str


class ConsentPreview(ConsentShown):
    """A consent, with exactly what would go to the department."""

    evidence: list[EvidenceShown]
