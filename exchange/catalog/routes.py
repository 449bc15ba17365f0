"""HTTP of the catalogue, for everybody to read: it is about resources, and discloses nothing of anybody."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from exchange.catalog import measured, tables
from exchange.catalog.derived import TITLES, derived_fields
from exchange.catalog.document import resource_of
from exchange.catalog.report import report
from exchange.catalog.resource import Resource, ResourceUnknown, Sensitivity, SharingClass
from exchange.catalog.sample import sample
from exchange.catalog.search import LIMIT, Index
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

PAGE = 1000

ResourceId = Annotated[str, Path(max_length=100)]

_index = Index()


@router.get(
    "/resources",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["invalid-request"]),
    summary="Data resources in force 数据资源目录",
)
async def resources(
    request: Request,
    sharing_class: SharingClass | None = None,
    department: Annotated[str | None, Query(max_length=18)] = None,
    after: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> dict[str, Any]:
    """List the resources in force by their ids; `next`, where there are more, is what to give as `after`."""
    exchange: Exchange = request.app.state.exchange
    found = [
        each
        for name, each in sorted(exchange.catalogue.snapshot().items())
        if name > after
        and (sharing_class is None or each.sharing_class == sharing_class)
        and (department is None or each.department == department)
    ]
    more = len(found) > limit
    return {
        "resources": [shown(each) for each in found[:limit]],
        "next": found[limit - 1].id if more else None,
    }


@router.get(
    "/resources/{resource}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["resource-unknown", "invalid-request"]),
    summary="One resource, with its measured freshness and quality and a sample",
)
async def one(resource: ResourceId, request: Request) -> dict[str, Any]:
    """Give the version in force. The records of the sample are invented."""
    exchange: Exchange = request.app.state.exchange
    found = exchange.catalogue.get(resource)
    if found is None:
        raise ResourceUnknown(_("the catalogue does not hold it"), pointer="/resource")
    delivered = await measured.deliveries(exchange.pool, measured.sources_of(found))
    fresh = measured.freshness(found, delivered, datetime.now(UTC))
    return shown(found) | {
        "measured": {
            "promised": fresh.promised,
            "kept": fresh.kept,
            "delivered": {
                name: None if at is None else at.isoformat() for name, at in fresh.delivered.items()
            },
        },
        "quality": measured.quality(found, delivered),
        "sample": sample(found),
    }


@router.get(
    "/resources/{resource}/versions",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["resource-unknown", "invalid-request"]),
    summary="Versions of a resource that were ever published",
)
async def versions(resource: ResourceId, request: Request) -> dict[str, Any]:
    """List the versions, newest first, also of a resource that is retired."""
    exchange: Exchange = request.app.state.exchange
    current = exchange.catalogue.get(resource)
    listed = [
        {
            "version": each.version,
            "state": each.state,
            "in_force": current is not None and current.version == each.version,
            "applies_from": None if each.applies_from is None else each.applies_from.isoformat(),
            "applies_until": None if each.applies_until is None else each.applies_until.isoformat(),
            "notice": each.document["notice"],
        }
        for each in exchange.catalogue.published(resource)
    ] + [
        {
            "version": each.version,
            "state": "published",
            "in_force": current is not None and current.version == each.version,
            "applies_from": None,
            "applies_until": None,
            "notice": None,
        }
        for each in exchange.catalogue.fixed_versions(resource)
    ]
    if not listed:
        raise ResourceUnknown(_("the catalogue does not hold it"), pointer="/resource")
    return {"resource": resource, "versions": listed}


@router.get(
    "/resources/{resource}/versions/{version}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["resource-unknown", "invalid-request"]),
    summary="One version of a resource, also an old one",
)
async def version_of(
    resource: ResourceId, version: Annotated[int, Path(ge=1, le=1_000_000)], request: Request
) -> dict[str, Any]:
    """Give a version that was published, so that an answer that names it can still be read."""
    exchange: Exchange = request.app.state.exchange
    for stored in exchange.catalogue.published(resource):
        if stored.version == version:
            return shown(resource_of(stored.document))
    for each in exchange.catalogue.fixed_versions(resource):
        if each.version == version:
            return shown(each)
    raise ResourceUnknown(_("there is no such version of it"), pointer="/version")


@router.get(
    "/changes",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["invalid-request"]),
    summary="What was told of changes 变更通知",
)
async def changes(
    request: Request,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
) -> dict[str, Any]:
    """List changes in the order in which they were told, from `after` on; `applies_from` may lie ahead."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.changes_after(exchange.pool, after, limit)
    return {
        "changes": [
            {
                **each,
                "applies_from": each["applies_from"].isoformat(),
                "told_at": each["told_at"].isoformat(),
            }
            for each in found
        ],
        "next": found[-1]["id"] if found else after,
    }


@router.get(
    "/search",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["invalid-request"]),
    summary="Search by name, field, pinyin, synonym or English 检索",
)
async def search(
    request: Request,
    q: Annotated[
        str, Query(min_length=1, max_length=100, description="`法人`, `fr`, `faren`, `公司`, `address`")
    ],
    limit: Annotated[int, Query(ge=1, le=LIMIT)] = 20,
) -> dict[str, Any]:
    """Return the resources in force that fit all words, the best first."""
    exchange: Exchange = request.app.state.exchange
    snapshot = exchange.catalogue.snapshot()
    # In a thread: after many changes, reading them anew takes longer than others should wait.
    hits = await asyncio.to_thread(_index.search, snapshot, q, limit)
    return {
        "hits": [
            {
                "id": hit.resource.id,
                "title": hit.resource.title,
                "title_en": hit.resource.title_en,
                "owner": hit.resource.owner,
                "sharing_class": hit.resource.sharing_class,
                "score": hit.score,
                "matched": hit.matched,
            }
            for hit in hits
        ]
    }


@router.get(
    "/report",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="Faults of the catalogue: several lead sources, late resources, no legal basis",
)
async def faults(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.AUDITOR))],
) -> dict[str, Any]:
    """Tell fields with several lead sources (一数一源), late resources, and not-shared ones without a law."""
    exchange: Exchange = request.app.state.exchange
    found = list(exchange.catalogue.snapshot().values())
    sources = frozenset(name for each in found for name in measured.sources_of(each))
    return asdict(
        report(
            found,
            await tables.open_versions(exchange.pool, None),
            await measured.deliveries(exchange.pool, sources),
            datetime.now(UTC),
        )
    )


def shown(resource: Resource) -> dict[str, Any]:
    """Return a resource as JSON values; the address of a live service stays inside."""
    return {
        "id": resource.id,
        "version": resource.version,
        "title": resource.title,
        "title_en": resource.title_en,
        "description": resource.description,
        "owner": resource.owner,
        "department": resource.department or None,
        "sharing_class": resource.sharing_class,
        "legal_basis": resource.legal_basis,
        "conditions": resource.conditions,
        "theme": resource.theme,
        "freshness": resource.freshness,
        "lead_source": resource.lead_source,
        "synonyms": list(resource.synonyms),
        "subject_kind": resource.subject_kind,
        "reads_from": resource.reads_from,
        "fields": {
            each.name: {
                "title": each.title,
                "title_en": each.title_en,
                "type": each.type,
                "sensitive": each.sensitivity == Sensitivity.SENSITIVE,
                "sensitivity": each.sensitivity,
                "masking": each.masking,
                "lead_source": each.lead_source,
                "owner": each.owner,
            }
            for each in resource.details.values()
        },
        # What can be granted and compared beside the fields, and is never disclosed.
        "derived": {name: TITLES[name] for name in sorted(derived_fields(resource.subject_kind))},
    }
