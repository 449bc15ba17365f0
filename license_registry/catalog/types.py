"""Licence types, read from `schemas/licence_types` (data, not code)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson
from jsonschema import Draft202012Validator, ValidationError

from foundation.errors import DomainError
from foundation.language import _


class LicenceTypeUnknown(DomainError):
    code = "licence-type-unknown"


class LicenceFieldsInvalid(DomainError):
    code = "licence-fields-invalid"


@dataclass(frozen=True, slots=True)
class LicenceType:
    """A licence type (证照类型).

    Args:
        type_code: 21 characters, GB/T 36904.
        vct: type of the credential (SD-JWT VC).
        holder_code_type: what kind of code names the holder: `001` USCC, `111` citizen ID.
        issuers: unified codes of the authorities that issue it; None: any issuing authority does.
        always_disclosed: fields that every presentation shows; all others are disclosed one by one.
    """

    id: str
    version: int
    type_code: str
    type_code_confidence: str
    name: str
    name_en: str
    vct: str
    holder_code_type: str
    issuers: frozenset[str] | None
    evidence: tuple[str, ...]
    always_disclosed: tuple[str, ...]
    schema: Mapping[str, Any]

    def may_be_issued_by(self, authority: str) -> bool:
        """True if the authority, by its unified code, issues this type."""
        return self.issuers is None or authority in self.issuers

    def require_valid(self, fields: Mapping[str, Any]) -> None:
        """Raise LicenceFieldsInvalid, naming the place, unless the fields fit the schema with real dates."""
        checker = Draft202012Validator.FORMAT_CHECKER
        for error in Draft202012Validator(self.schema, format_checker=checker).iter_errors(fields):
            place = "".join(f"/{part}" for part in (*error.absolute_path, *_member_at_fault(error)))
            raise LicenceFieldsInvalid(
                _("it breaks the rule `{rule}` of the licence type"),
                pointer=f"/fields{place}",
                rule=error.validator,
            )


def _member_at_fault(error: ValidationError) -> list[str]:
    # These two rules stand at the object; who sent it wants to know which member.
    given: Any = error.instance
    if error.validator == "required":
        wanted: Any = error.validator_value
        return [name for name in wanted if name not in given][:1]
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        return sorted(set(given).difference(schema.get("properties", {})))[:1]
    return []


LicenceTypes = Mapping[str, LicenceType]


def load_types() -> LicenceTypes:
    """Read all licence types and check their schemas."""
    found = {}
    for path in sorted((resources.files("schemas") / "licence_types").iterdir(), key=lambda p: p.name):
        if path.name.endswith(".json"):
            document: dict[str, Any] = orjson.loads(path.read_bytes())
            Draft202012Validator.check_schema(document["schema"])
            for name in ("evidence", "always_disclosed"):
                document[name] = tuple(document[name])
            issuers = document["issuers"]
            document["issuers"] = None if issuers == "any" else frozenset(issuers)
            found[document["id"]] = LicenceType(**document)
    return found


def require_type(types: LicenceTypes, type_id: str) -> LicenceType:
    """Return a type by its id, or raise LicenceTypeUnknown."""
    found = types.get(type_id)
    if found is None:
        raise LicenceTypeUnknown(_("no such licence type"), pointer="/licence_type")
    return found
