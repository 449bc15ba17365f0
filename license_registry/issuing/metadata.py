"""Metadata of a licence by GB/T 36903, with the short names that licence files and interfaces use."""

from __future__ import annotations

from typing import Any

import orjson
from typing_extensions import TypedDict

from foundation.language import both
from foundation.openapi import Day
from foundation.sensitive import Vault
from license_registry.catalog.types import CO_HOLDERS, LicenceType
from license_registry.lifecycle.states import STATE_NAMES
from license_registry.tables import Licence

HOLDER_CODE_TYPES = {"001": "统一社会信用代码", "111": "公民身份号码"}


class Digests(TypedDict):
    """Digests of the licence that the registry keeps."""

    sha256: str
    sm3: str | None


class MetadataReply(TypedDict):
    """Metadata of GB/T 36903; the names in capitals are pinyin initials, as licence files write them."""

    ZZMC: str
    ZZLXDM: str
    ZZBH: str
    ZZBS: str
    ZZBFJG: str | None
    ZZBFJGDM: str
    ZZBFRQ: Day
    ZZYXQQSRQ: Day
    ZZYXQJZRQ: Day | None
    CZZT: list[str]
    CZZTDM: list[str]
    CZZTDMLX: str
    CZZTDMLXDM: str
    first_issued_on: Day
    division: str | None
    state: str
    state_name: str
    state_local_code: str | None
    state_description: str | None
    related_identifier: str | None
    origin: str
    licence_type: str
    licence_type_version: int
    lead_copy: Digests


def metadata(licence: Licence, type_: LicenceType, vault: Vault) -> MetadataReply:
    """Return all metadata of a licence, its holders in clear: for its issuer and whoever may see them.

    Args:
        type_: the version of the type that it was issued under.

    Raises:
        SealBroken: the fields at rest were altered.
    """
    fields: dict[str, Any] = orjson.loads(vault.open(licence.sealed, licence.identifier.encode()))
    holders = [fields, *(fields.get(CO_HOLDERS) or ())]
    local = type_.states.get(licence.state)
    return {
        "ZZMC": type_.name,
        "ZZLXDM": licence.type_code,
        "ZZBH": licence.number,
        "ZZBS": licence.identifier,
        "ZZBFJG": licence.issuer_name,
        "ZZBFJGDM": licence.issuer,
        "ZZBFRQ": licence.issued_on.isoformat(),
        "ZZYXQQSRQ": licence.valid_from.isoformat(),
        "ZZYXQJZRQ": None if licence.valid_until is None else licence.valid_until.isoformat(),
        "CZZT": [holder["holder_name"] for holder in holders],
        "CZZTDM": [holder["holder_code"] for holder in holders],
        "CZZTDMLX": HOLDER_CODE_TYPES[type_.holder_code_type],
        "CZZTDMLXDM": type_.holder_code_type,
        "first_issued_on": licence.first_issued_on.isoformat(),
        "division": licence.division,
        "state": licence.state.value,
        "state_name": both(STATE_NAMES[licence.state])
        if local is None
        else f"{local.name} · {local.name_en}",
        "state_local_code": None if local is None else local.local_code,
        "state_description": licence.state_reason,
        "related_identifier": licence.related_identifier,
        "origin": licence.origin,
        "licence_type": type_.id,
        "licence_type_version": type_.version,
        "lead_copy": {
            "sha256": licence.object_sha256.hex(),
            "sm3": None if licence.object_sm3 is None else licence.object_sm3.hex(),
        },
    }
