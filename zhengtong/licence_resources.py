"""Licence types as resources of the catalogue: neither the exchange nor the registry knows the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exchange.catalog.document import LICENCE_PREFIX, masking_of, type_of
from exchange.catalog.resource import Field, ReadsFrom, Resource, Sensitivity, SharingClass
from exchange.registers.schemas import RegisterSchema
from license_registry.catalog.types import LicenceType, LicenceTypes

THEME = "电子证照"
CONDITIONS = "凭授权共享使用：核验、查询须有对应的政务服务事项"
_SUBJECTS = {"001": "uscc", "111": "citizen-id"}

NUMBER = "licence_number"
METADATA: Mapping[str, Mapping[str, Any]] = {
    NUMBER: {"title": "证照编号", "x-title-en": "Licence number", "type": "string", "x-mask": "identifier"},
    "issuer_name": {"title": "证照颁发机构", "x-title-en": "Issuing authority", "type": ["string", "null"]},
    "issued_on": {"title": "颁发日期", "x-title-en": "Date of issue", "type": "string", "format": "date"},
    "valid_from": {"title": "有效期起", "x-title-en": "Valid from", "type": "string", "format": "date"},
    "valid_to": {
        "title": "有效期止",
        "x-title-en": "Valid to; none: long-term",
        "type": ["string", "null"],
        "format": "date",
    },
}
"""What stands on every licence beside the fields of its type (GB/T 36903)."""


def licence_resources(types: LicenceTypes) -> Iterator[Resource]:
    """Yield every version of every licence type as a resource that stands with the licences."""
    for newest in types.values():
        for each in newest.versions():
            yield licence_resource(each)


def licence_resource(kind: LicenceType) -> Resource:
    """Return a version of a licence type as a resource `licence.<id>`, whose subject is its holder."""
    owner = kind.issuing_authorities[0]
    source = f"{LICENCE_PREFIX}{kind.id}"
    # Of people's licences the number often is the citizen ID, as on a driving licence.
    sensitive = kind.sensitive | ({NUMBER} if kind.holder_code_type == "111" else frozenset())
    properties = {**METADATA, **kind.schema["properties"]}
    details = {}
    for name, schema in properties.items():
        sensitivity = Sensitivity.SENSITIVE if name in sensitive else Sensitivity.INTERNAL
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
        register=RegisterSchema(source, "", {**kind.schema, "properties": properties}, sensitive, ()),
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
