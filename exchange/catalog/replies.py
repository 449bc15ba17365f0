"""The form of replies about the catalogue, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from exchange.catalog.resource import Masking, ReadsFrom, Sensitivity, SharingClass
from foundation.openapi import Moment


class FieldReply(TypedDict):
    """A field (信息项) of a resource."""

    title: str
    title_en: str
    type: str
    sensitive: bool
    sensitivity: Sensitivity
    masking: Masking
    lead_source: str
    owner: str


class ResourceReply(TypedDict):
    """A version of a data resource; `fields` by their names, `derived` (name → title) can be compared only."""

    id: str
    version: int
    title: str
    title_en: str
    description: str | None
    owner: str
    department: str | None
    sharing_class: SharingClass
    legal_basis: str | None
    conditions: str | None
    theme: str | None
    freshness: str | None
    lead_source: str
    synonyms: list[str]
    subject_kind: str
    reads_from: ReadsFrom
    fields: dict[str, FieldReply]
    derived: dict[str, str]


class MeasuredFreshness(TypedDict):
    """What was promised (ISO 8601 duration), whether it is kept, and when each lead source last delivered."""

    promised: str | None
    kept: bool | None
    delivered: dict[str, Moment | None]


class MeasuredResource(ResourceReply):
    """A resource with its measured freshness and quality, and a sample of invented records."""

    measured: MeasuredFreshness
    quality: dict[str, Any]
    sample: list[dict[str, Any]]


class ResourcesReply(TypedDict):
    """Resources in force; `next` is what to give as `after`, where there are more."""

    resources: list[ResourceReply]
    next: str | None


class ResourceVersionReply(TypedDict):
    """A version that was published, and when it applies."""

    version: int
    state: str
    in_force: bool
    applies_from: Moment | None
    applies_until: Moment | None
    notice: str | None


class ResourceVersionsReply(TypedDict):
    """Versions of a resource, newest first."""

    resource: str
    versions: list[ResourceVersionReply]


class ResourceChangeReply(TypedDict):
    """A change that was told."""

    id: int
    resource: str
    version: int
    kind: str
    narrowed: Any
    widened: Any
    notice: str | None
    applies_from: Moment
    told_at: Moment


class ResourceChangesReply(TypedDict):
    """Changes in the order in which they were told."""

    changes: list[ResourceChangeReply]
    next: int


class ResourceHit(TypedDict):
    """A resource that fits what was searched for, and by what."""

    id: str
    title: str
    title_en: str
    owner: str
    sharing_class: SharingClass
    score: float
    matched: Any


class ResourceHits(TypedDict):
    """Hits, the best first."""

    hits: list[ResourceHit]


class CatalogueFaults(TypedDict):
    """Fields with several lead sources, late resources, and not-shared ones without a law."""

    several_sources: list[dict[str, Any]]
    late: list[dict[str, Any]]
    without_legal_basis: list[dict[str, Any]]


class DraftReply(TypedDict):
    """What became of a draft: `outcome` says whether it changed anything."""

    resource: str
    version: int
    outcome: str
    document: dict[str, Any]


class VersionStateReply(TypedDict):
    """Where a version is on its way."""

    resource: str
    version: int
    state: str
    department: str
    reason: str | None
    applies_from: Moment | None
    applies_until: Moment | None
    changed_at: Moment
    changed_by: str


class VersionWithDocument(VersionStateReply):
    """A version that is drafted or in review, with its description."""

    document: dict[str, Any]


class OpenVersionsReply(TypedDict):
    """Drafts and what waits for review."""

    versions: list[VersionWithDocument]


class BadCatalogueRow(TypedDict):
    """A row or entry that cannot be taken."""

    sheet: str
    row: int
    field: str
    reason: str
    detail: str


class CatalogueImported(TypedDict):
    """What became of a file: `drafted` id → version."""

    drafted: dict[str, int]
    unchanged: list[str]
    skipped: list[str]
    bad: list[BadCatalogueRow]


REPLIES = {
    "catalogue_resources": ResourcesReply,
    "catalogue_one": MeasuredResource,
    "catalogue_versions": ResourceVersionsReply,
    "catalogue_version_of": ResourceReply,
    "catalogue_changes": ResourceChangesReply,
    "catalogue_search": ResourceHits,
    "catalogue_faults": CatalogueFaults,
    "catalogue_put_draft": DraftReply,
    "catalogue_drafts": OpenVersionsReply,
    "catalogue_submit": VersionStateReply,
    "catalogue_review": VersionStateReply,
    "catalogue_retire": VersionStateReply,
    "catalogue_imports": CatalogueImported,
}
