"""Short names of licence interfaces (pinyin initials) for what the registry has in words, and only that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from foundation.identifiers import ElicenceIdentifier, IdentifierError
from foundation.openapi import Day
from license_registry.catalog.types import CO_HOLDERS, LicenceType, LicenceTypes
from license_registry.issuing.metadata import HOLDER_CODE_TYPES
from license_registry.tables import Licence

TYPE_PREFIX: Final = "KZ_"
"""Of a field that only licences of one type have; after it stands the name that the field has in the type."""

_SHORT: Final = {
    "licence_name": "ZZMC",
    "licence_number": "ZZBH",
    "licence_identifier": "ZZBS",
    "issuer_code": "ZZBFJGDM",
    "valid_from": "ZZYXQQSRQ",
    "valid_until": "ZZYXQJZRQ",
}
_OF_HOLDERS: Final = {"holder_name": "CZZT", "holder_code": "CZZTDM"}
_OF_NO_TYPE: Final = frozenset({*_SHORT, *_OF_HOLDERS, CO_HOLDERS, "origin"})
OF_EVERY_LICENCE: Final = frozenset(
    {*_SHORT.values(), "ZZLXDM", "ZZBFJG", "ZZBFRQ", "CZZTDMLX", "CZZTDMLXDM"},
)
"""Names of what is said of the licence itself; whoever may see anything of it sees these."""


@with_config(ConfigDict(extra="allow"))
class LicenceData(TypedDict, total=False):
    """Data of a licence; what the caller may not see is left out. Fields of its type stand as `KZ_<field>` beside."""

    ZZMC: str
    ZZLXDM: str
    ZZBH: str
    ZZBS: str
    ZZBFJG: str
    ZZBFJGDM: str
    ZZBFRQ: Day
    ZZYXQQSRQ: Day
    ZZYXQJZRQ: Day | None
    CZZT: list[str]
    CZZTDM: list[str]
    CZZTDMLX: str
    CZZTDMLXDM: str


def of_licence(licence: Licence, type_: LicenceType) -> LicenceData:
    """Return what is said of a licence itself, and nothing of its holder but the kind of their code.

    Args:
        type_: the version of the type that it was issued under.
    """
    told: LicenceData = {
        "ZZMC": type_.name,
        "ZZLXDM": licence.type_code,
        "ZZBH": licence.number,
        "ZZBS": licence.identifier,
        "ZZBFJGDM": licence.issuer,
        "ZZBFRQ": licence.issued_on.isoformat(),
        "ZZYXQQSRQ": licence.valid_from.isoformat(),
        "ZZYXQJZRQ": None if licence.valid_until is None else licence.valid_until.isoformat(),
        "CZZTDMLX": HOLDER_CODE_TYPES[type_.holder_code_type],
        "CZZTDMLXDM": type_.holder_code_type,
    }
    if licence.issuer_name is not None:
        told["ZZBFJG"] = licence.issuer_name
    return told


def of_fields(fields: Mapping[str, Any], types: LicenceTypes) -> LicenceData:
    """Return fields that a credential shows, by their short names."""
    told: dict[str, Any] = {short: fields[name] for name, short in _SHORT.items() if name in fields}
    type_code = _type_code(fields)
    if type_code is not None:
        told["ZZLXDM"] = type_code
        type_ = next((each for each in types.values() if type_code in each.type_codes), None)
        if type_ is not None:
            told["CZZTDMLX"] = HOLDER_CODE_TYPES[type_.holder_code_type]
            told["CZZTDMLXDM"] = type_.holder_code_type
    holders = [fields, *(fields.get(CO_HOLDERS) or ())]
    for name, short in _OF_HOLDERS.items():
        if name in fields:
            told[short] = [holder[name] for holder in holders if name in holder]
    own = {TYPE_PREFIX + name: value for name, value in fields.items() if name not in _OF_NO_TYPE}
    return cast(LicenceData, told | own)


def granted(fields: frozenset[str]) -> frozenset[str]:
    """Return the short names that a grant of these fields lets a department see or compare."""
    of_holders = {short for name, short in _OF_HOLDERS.items() if name in fields}
    own = {TYPE_PREFIX + name for name in fields if name not in _OF_NO_TYPE}
    return OF_EVERY_LICENCE.union(of_holders, own)


def _type_code(fields: Mapping[str, Any]) -> str | None:
    try:
        return ElicenceIdentifier.parse(str(fields.get("licence_identifier"))).type_code
    except IdentifierError:
        return None  # the verdict beside the data says so
