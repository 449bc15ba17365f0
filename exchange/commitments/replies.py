"""What the routes of commitments answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class VerifiedBy(BaseModel):
    """Which claims on which resource verify a commitment later, by name."""

    resource: str
    claims: list[str]


class TemplateShown(BaseModel):
    """A template; its texts have places in braces: matter, department, material, case, date."""

    id: str
    version: int
    title: str
    title_en: str
    text: str
    text_en: str
    legal_basis: str
    consequences: str
    consequences_en: str
    public: bool
    public_basis: str | None
    verified_after_working_days: int | None
    verified_by: VerifiedBy | None


class Templates(BaseModel):
    """What may be committed to."""

    templates: list[TemplateShown]


class PublicCommitment(BaseModel):
    """A commitment that the law makes public, the name masked."""

    id: UUID
    template: str
    template_version: int
    name: str | None
    department: str
    matter: str
    signed_at: datetime
    state: str


class PublicCommitments(BaseModel):
    """Public commitments, the latest first."""

    commitments: list[PublicCommitment]


class SignedCommitment(BaseModel):
    """A commitment. `state`: signed, then held, breached or unknown; `records`: of what verified it."""

    id: UUID
    state: str
    template: str
    template_version: int
    department: str
    matter: str
    material: str
    case: str
    plan: UUID
    signed_at: datetime
    statement: str
    public: bool
    verify_at: datetime | None
    verified_at: datetime | None
    records: list[str]


class SignedCommitments(BaseModel):
    """Commitments to a department, the latest first."""

    commitments: list[SignedCommitment]


class OfferedCommitment(BaseModel):
    """A commitment that a person may sign, with the text that they read and the digest that they sign for."""

    id: UUID
    state: str
    template: str
    template_version: int
    title: str
    text: str
    text_en: str
    legal_basis: str
    consequences: str
    consequences_en: str
    public: bool
    text_sha256: str
    department: str
    matter: str
    material: str
    case: str
    expires_at: datetime


class OwnCommitments(BaseModel):
    """What a person may sign, and what they signed; the latest first."""

    offered: list[OfferedCommitment]
    signed: list[SignedCommitment]
