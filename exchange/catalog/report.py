"""What is wrong with the catalogue as a whole, for the sharing authority: it is told, and nothing is hindered by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exchange.catalog.measured import Delivery, freshness
from exchange.catalog.resource import ReadsFrom, Resource, SharingClass
from exchange.catalog.tables import StoredVersion


@dataclass(frozen=True, slots=True)
class SeveralSources:
    """A field that resources about the same kind of subject hold by different lead sources (against 一数一源).

    Args:
        resources: lead source → ids of the resources that name it.
    """

    subject_kind: str
    field: str
    title: str
    resources: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Late:
    """A resource past its promise; `delivered`: lead source → its last delivery, None where there never was one."""

    resource: str
    owner: str
    promised: str
    delivered: Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True)
class Groundless:
    """A version that is not to be shared and names no law for it; such a one cannot be submitted."""

    resource: str
    version: int
    state: str
    department: str


@dataclass(frozen=True, slots=True)
class Report:
    """The three findings."""

    several_sources: list[SeveralSources]
    late: list[Late]
    without_legal_basis: list[Groundless]


def report(
    resources: Iterable[Resource],
    opened: Iterable[StoredVersion],
    found: Mapping[str, Delivery],
    now: datetime,
) -> Report:
    """Judge what is in force and what is being drafted.

    Args:
        opened: drafts and versions in review.
        found: last delivery of each source.
    """
    in_force = sorted(resources, key=lambda each: each.id)
    late = []
    for each in in_force:
        measured = freshness(each, found, now)
        if measured.kept is False:
            assert measured.promised is not None
            late.append(Late(each.id, each.owner, measured.promised, measured.delivered))
    groundless = [
        Groundless(each.id, each.version, "published", each.department)
        for each in in_force
        if each.sharing_class == SharingClass.NOT_SHARED and not each.legal_basis
    ] + [
        Groundless(each.resource, each.version, each.state, each.department)
        for each in opened
        if each.document["sharing_class"] == SharingClass.NOT_SHARED and not each.document["legal_basis"]
    ]
    return Report(_several_sources(in_force), late, groundless)


def _several_sources(resources: Iterable[Resource]) -> list[SeveralSources]:
    # By the title: two departments seldom give a field the same name, and what people read is the title. A licence is
    # left out, since what stands on it is a copy of what was true when it was issued.
    leads: dict[tuple[str, str], dict[str, list[str]]] = {}
    names: dict[tuple[str, str], str] = {}
    for each in resources:
        if each.reads_from == ReadsFrom.LICENCES:
            continue
        for field in each.details.values():
            key = (each.subject_kind, field.title)
            names.setdefault(key, field.name)
            leads.setdefault(key, {}).setdefault(field.lead_source, []).append(each.id)
    return [
        SeveralSources(kind, names[kind, title], title, dict(sorted(by.items())))
        for (kind, title), by in sorted(leads.items())
        if len(by) > 1
    ]
