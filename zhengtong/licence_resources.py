"""Licence types as resources of the catalogue: neither the exchange nor the registry knows the other."""

from __future__ import annotations

from collections.abc import Iterator

from exchange.catalog.document import LICENCE_PREFIX, masking_of, type_of
from exchange.catalog.resource import Field, ReadsFrom, Resource, Sensitivity, SharingClass
from exchange.registers.schemas import RegisterSchema
from license_registry.catalog.types import LicenceType, LicenceTypes

THEME = "电子证照"
CONDITIONS = "凭授权共享使用：核验、查询须有对应的政务服务事项"
_SUBJECTS = {"001": "uscc", "111": "citizen-id"}


def licence_resources(types: LicenceTypes) -> Iterator[Resource]:
    """Yield every version of every licence type as a resource that stands with the licences."""
    for newest in types.values():
        for each in newest.versions():
            yield licence_resource(each)


def licence_resource(kind: LicenceType) -> Resource:
    """Return a version of a licence type as a resource `licence.<id>`, whose subject is its holder."""
    owner = kind.issuing_authorities[0]
    source = f"{LICENCE_PREFIX}{kind.id}"
    details = {}
    for name, schema in kind.schema["properties"].items():
        sensitivity = Sensitivity.SENSITIVE if name in kind.sensitive else Sensitivity.INTERNAL
        details[name] = Field(
            name=name,
            title=schema["title"],
            title_en=schema.get("x-title-en", schema["title"]),
            type=type_of(schema),
            sensitivity=sensitivity,
            masking=masking_of(name, schema, sensitivity),
            lead_source=source,
            owner=owner,
        )
    return Resource(
        id=source,
        version=kind.version,
        title=kind.name,
        title_en=kind.name_en,
        # What describes the fields; no register of the exchange holds them.
        register=RegisterSchema("", "", kind.schema, kind.sensitive, ()),
        subject_kind=_SUBJECTS[kind.holder_code_type],
        owner=owner,
        sharing_class=SharingClass.CONDITIONAL,
        lead_source=source,
        fields=tuple(details),
        details=details,
        reads_from=ReadsFrom.LICENCES,
        department=kind.defining_authority.code or "",
        conditions=CONDITIONS,
        theme=THEME,
    )
