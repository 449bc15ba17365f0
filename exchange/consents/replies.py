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
    """A consent; `state`: offered, requested, previewed, released, withdrawn, refused, expired or superseded.

    `by_code`: a code of the person's may stand for the release. `presented_at`: when they were identified at a counter.
    """

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
    by_code: bool
    presented_at: datetime | None


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


class ConsentCodeShown(BaseModel):
    """A code that releases `consents` once, until `expires_at`; shown as the QR code of its text."""

    id: UUID
    code: str
    consents: list[UUID]
    department: str
    matter: str
    case: str
    expires_at: datetime


class ConsentStands(BaseModel):
    """How a consent stands, as far as a counter needs to know."""

    id: UUID
    material: str
    state: str


class CodePresented(BaseModel):
    """What a code brought: `identified` (the person decides on their own device) or `released`."""

    id: UUID
    result: str
    consents: list[ConsentStands]
