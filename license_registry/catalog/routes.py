"""HTTP of licence types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from typing_extensions import TypedDict

from foundation.identity.guard import PUBLIC, audited
from foundation.language import _
from foundation.problems import documented
from license_registry.catalog.types import LicenceType, LicenceTypeUnknown, require_type
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1/licence-types", tags=["licence types"])


class LicenceTypeReply(TypedDict):
    """One version of a licence type: docs/licence-types.md says what the members mean."""

    id: str
    version: int
    versions: list[int]
    type_code: str
    type_code_confidence: str
    name: str
    name_en: str
    vct: str
    defining_authority: dict[str, Any]
    issuing_authorities: dict[str, Any]
    holders: dict[str, Any]
    number: dict[str, Any]
    states: dict[str, dict[str, Any]]
    operations: list[str]
    template: str | None
    seals: list[dict[str, Any]]
    evidence: list[Any]
    retention: dict[str, Any]
    annual_report: dict[str, Any] | None
    on_change: dict[str, Any]
    always_disclosed: list[str]
    schema: Any


class LicenceTypesReply(TypedDict):
    """All licence types in their newest version."""

    licence_types: list[LicenceTypeReply]


@router.get("", dependencies=PUBLIC, openapi_extra=audited("none"), summary="Licence types 证照类型")
async def licence_types(request: Request) -> LicenceTypesReply:
    """List licence types with their codes and schemas."""
    registry: Registry = request.app.state.registry
    return {"licence_types": [_shown(each) for each in registry.types.values()]}


@router.get(
    "/{type_id}/{version}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, ["licence-type-unknown"]),
    summary="One version of a licence type, also an old one",
)
async def licence_type(type_id: str, version: int, request: Request) -> LicenceTypeReply:
    """Give a version of a type, so that licences issued under it can still be read."""
    registry: Registry = request.app.state.registry
    for each in require_type(registry.types, type_id).versions():
        if each.version == version:
            return _shown(each)
    raise LicenceTypeUnknown(_("no such licence type"))


def _shown(each: LicenceType) -> LicenceTypeReply:
    return {
        "id": each.id,
        "version": each.version,
        "versions": sorted(one.version for one in each.versions()),
        "type_code": each.type_code,
        "type_code_confidence": each.type_code_confidence,
        "name": each.name,
        "name_en": each.name_en,
        "vct": each.vct,
        "defining_authority": asdict(each.defining_authority),
        "issuing_authorities": {
            "name": each.issuing_authorities[0],
            "name_en": each.issuing_authorities[1],
            "codes": "any" if each.issuers is None else sorted(each.issuers),
        },
        "holders": {"code_type": each.holder_code_type, **asdict(each.holders)},
        "number": asdict(each.number),
        "states": {state.value: asdict(local) for state, local in each.states.items()},
        "operations": sorted(each.operations),
        "template": each.template,
        "seals": [asdict(seal) for seal in each.seals],
        "evidence": list(each.evidence),
        "retention": asdict(each.retention),
        "annual_report": None if each.annual_report is None else asdict(each.annual_report),
        "on_change": asdict(each.on_change),
        "always_disclosed": list(each.always_disclosed),
        "schema": each.schema,
    }
