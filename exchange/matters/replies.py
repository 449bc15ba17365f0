"""What the routes of matters answer with, for the OpenAPI document and clients made from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

State = Literal["draft", "published", "retired"]


class MatterSummary(BaseModel):
    """A matter in a list; `materials` counts them."""

    code: str
    version: int
    state: State
    department: str
    department_name: str
    title: str
    kind: str | None
    field: str | None
    example: bool
    materials: int
    changed_at: datetime


class MatterPage(BaseModel):
    """A page of matters; `next` is the `after` of the next page, null on the last."""

    matters: list[MatterSummary]
    next: str | None


class MatterVersion(BaseModel):
    """A version of a description (`schemas/matters/matter.json`) and where it stands."""

    code: str
    version: int
    state: State
    changed_at: datetime
    changed_by: str
    document: dict[str, Any]


class MatterVersions(BaseModel):
    """Versions of one matter, newest first."""

    versions: list[MatterVersion]


class ShownDecision(BaseModel):
    """What a steward said of a normalised name and an evidence type."""

    name: str
    evidence_type: str
    decision: Literal["confirmed", "rejected"]
    role: str | None
    reason: str | None
    decided_by: str
    decided_at: datetime


class DecisionResult(BaseModel):
    """A decision, how many matters' drafts took it up, how many of those are new, and which could not."""

    decision: ShownDecision
    changed_drafts: int
    new_drafts: int
    left_out: list[str]


class CandidateShown(BaseModel):
    """A name that waits for a decision: used by so many materials of so many matters."""

    name: str
    evidence_type: str
    role: str
    sureness: Literal["exact", "contained", "similar"]
    used: int
    matters: int
    within: list[str]


class CandidateList(BaseModel):
    """Names that wait, the surest and most used first, and what was decided."""

    waiting: int
    candidates: list[CandidateShown]
    decided: list[ShownDecision]


class AskedShown(BaseModel):
    """In how many plans a material came up, and how many the exchange settled."""

    planned: int
    settled: int


class SettledAlreadyShown(BaseModel):
    """A material that should no longer be asked; `asked` is null where no plans are kept."""

    matter: str
    title: str
    department: str
    department_name: str
    material: str
    name: str
    evidence: list[str]
    asked: AskedShown | None


class SettledAlreadyList(BaseModel):
    """What should no longer be asked."""

    materials: list[SettledAlreadyShown]


class EvidenceTypeShown(BaseModel):
    """What can take the place of papers of some names."""

    id: str
    title: str
    title_en: str
    kind: Literal["citizen-id", "uscc"]
    role: str
    consent: bool
    names: list[str]
    evidence: dict[str, Any]
    inputs: dict[str, Any]


class EvidenceTypeList(BaseModel):
    """All evidence types."""

    evidence_types: list[EvidenceTypeShown]


class Share(BaseModel):
    """A count, and its percentage of the total."""

    count: int
    percent: float


class Shares(BaseModel):
    """Papers by standing: confirmed, commitment, candidate, candidate-commitment, form, open."""

    total: int
    standing: dict[str, Share]


class PaperFreeShown(BaseModel):
    """How many matters could do without any paper."""

    asks_nothing: int
    confirmed: int
    with_candidates: int
    but_the_form: int


class OpenName(BaseModel):
    """A paper that nothing is known for, and how often it is asked for."""

    name: str
    papers: int


class MatterReport(BaseModel):
    """What share of the papers that matters ask for the exchange could settle."""

    matters: int
    papers: Shares
    names: Shares
    by_evidence: dict[str, dict[str, int]]
    by_sureness: dict[str, int]
    paper_free: PaperFreeShown
    departments: list[dict[str, int | str]]
    open_names: list[OpenName]


class MatterDescription(BaseModel):
    """The description of a matter; `schemas/matters/matter.json` tells all members and their forms."""

    model_config = ConfigDict(extra="allow")

    code: str
    version: int
    title: Any
    department: str
    subjects: dict[str, Any]
    materials: list[dict[str, Any]]


REPLIES = {"matters_one": MatterDescription}
