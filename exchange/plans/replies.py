"""What the routes of plans and cases answer, as clients read it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class PlannedMaterial(BaseModel):
    """What is to be done about a material.

    `state`: brought, settled, by-consent, by-commitment, may-follow or to-bring. `reasons`: why what would have been
    better does not do. `answers`: places in the plan's `answers`. `follows_until`: the last moment of its last day.
    `consent_by_code`: with `consents`, whether a code of the person's may stand for the release.
    """

    id: str
    name: str
    required: bool
    state: str
    reasons: list[str]
    answers: list[int]
    settled_by: str | None = None
    records: list[str] | None = None
    follows_until: str | None = None
    consents: list[str] | None = None
    consent_by_code: bool | None = None
    commitments: list[dict[str, str | None]] | None = None


class PlanResult(BaseModel):
    """The plan, with every signed answer (compact JWS) and the plan itself as one."""

    plan: str
    matter: dict[str, str | int]
    case: str
    materials: list[PlannedMaterial]
    answers: list[dict[str, str]]
    prerequisites: list[dict[str, str | bool]]
    statement: str
    receipt: dict[str, str]


class MaterialStands(BaseModel):
    """How a material of a plan stands now. `late_from`: where it may follow, the first moment at which it is late."""

    id: str
    required: bool
    state: str
    reasons: list[str]
    records: list[str]
    settled_by: str | None
    settled_at: datetime | None
    late_from: datetime | None
    brought_at: datetime | None
    brought_late: bool | None


class CasePlan(BaseModel):
    """A plan of a case as it stands now; `statement` is what it was when it was made, signed; null once
    that is no longer kept."""

    plan: UUID
    matter: str
    made_at: datetime
    materials: list[MaterialStands]
    statement: str | None


class CaseAnswer(BaseModel):
    """A signed answer (compact JWS) in a case. `by`: `grant`, or `consent`, which names its material."""

    resource: str
    record: str
    answer: str
    plan: UUID
    by: str
    role: str | None = None
    material: str | None = None


class CaseEvidence(BaseModel):
    """The plans of a case, the latest first, and all signed answers in it."""

    case: str
    plans: list[CasePlan]
    answers: list[CaseAnswer]


class FollowingMaterial(BaseModel):
    """A material that may follow. `late`: it came after its last day, or has not come by now."""

    plan: UUID
    matter: str
    case: str
    material: str
    late_from: datetime
    reminded_at: datetime | None
    brought_at: datetime | None
    late: bool


class FollowingMaterials(BaseModel):
    """Materials that may follow."""

    materials: list[FollowingMaterial]
