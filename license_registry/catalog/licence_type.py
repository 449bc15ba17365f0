"""Licence types: folders of data, not code. See docs/licence-types.md for what stands in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, ValidationError

from foundation.errors import DomainError
from foundation.language import _
from foundation.sensitive import sensitive_fields
from license_registry.catalog.rules import (
    AnnualReport,
    Authority,
    HolderRule,
    LinkedChange,
    LocalState,
    NumberRule,
    Retention,
    Seal,
    ValidityRule,
)
from license_registry.documents.template import Template
from license_registry.lifecycle.states import State


class LicenceTypeUnknown(DomainError):
    code = "licence-type-unknown"


class LicenceFieldsInvalid(DomainError):
    code = "licence-fields-invalid"


@dataclass(frozen=True)
class LicenceType:
    """One version of a licence type (证照类型); the newest is issued, all are read.

    Args:
        type_code: 21 characters, GB/T 36904.
        vct: type of the credential (SD-JWT VC), of this version alone.
        holder_code_type: what kind of code names the holder: `001` USCC, `111` citizen ID.
        issuers: unified codes of the authorities that issue it; None: any issuing authority does.
        issuing_authorities: the same in words, Chinese and English.
        evidence: types of evidence that it gives, so that a matter can ask for the fact instead of the paper.
        always_disclosed: fields that every presentation shows; all others are disclosed one by one.
        states: states that it can be in, with the ministry's own words and codes.
        operations: codes of the operations that are allowed (证照操作, `01` to `10`).
        template: names the folder with the layout of the document, `<id>/<version>`; None: there is no document.
        layout: what stands there, laid over what all types share.
        older: earlier versions, newest first. Nothing is issued under them any more.
    """

    id: str
    version: int
    type_code: str
    type_code_confidence: str
    name: str
    name_en: str
    vct: str
    defining_authority: Authority
    issuers: frozenset[str] | None
    issuing_authorities: tuple[str, str]
    holder_code_type: str
    holders: HolderRule
    number: NumberRule
    validity: ValidityRule
    states: Mapping[State, LocalState]
    operations: frozenset[str]
    template: str | None
    seals: tuple[Seal, ...]
    evidence: tuple[str, ...]
    retention: Retention
    annual_report: AnnualReport | None
    on_change: LinkedChange
    always_disclosed: tuple[str, ...]
    schema: Mapping[str, Any]
    older: tuple[LicenceType, ...] = ()
    layout: Template | None = None

    def may_be_issued_by(self, authority: str) -> bool:
        """True if the authority, by its unified code, issues this type."""
        return self.issuers is None or authority in self.issuers

    def versions(self) -> Iterator[LicenceType]:
        """Yield this version and all before it, newest first."""
        yield self
        yield from self.older

    @cached_property
    def sensitive(self) -> frozenset[str]:
        """Fields that are sealed wherever they rest."""
        return sensitive_fields(self.schema)

    @cached_property
    def type_codes(self) -> tuple[str, ...]:
        """Type codes of all versions: a code may have been set right in a later one."""
        return tuple(dict.fromkeys(each.type_code for each in self.versions()))

    def require_valid(self, fields: Mapping[str, Any]) -> None:
        """Raise LicenceFieldsInvalid, naming the place, unless the fields fit the schema with real dates."""
        # The fast validator says whether; the other one, asked only then, says where in our words.
        if self._quick.is_valid(fields):
            return
        checker = Draft202012Validator.FORMAT_CHECKER
        for error in Draft202012Validator(self.schema, format_checker=checker).iter_errors(fields):
            place = "".join(f"/{part}" for part in (*error.absolute_path, *_member_at_fault(error)))
            raise LicenceFieldsInvalid(
                _("it breaks the rule `{rule}` of the licence type"),
                pointer=f"/fields{place}",
                rule=error.validator,
            )

    @cached_property
    def _quick(self) -> Any:
        return jsonschema_rs.Draft202012Validator(dict(self.schema), validate_formats=True)


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
"""The newest version of each type, by its id."""


def require_type(types: LicenceTypes, type_id: str) -> LicenceType:
    """Return the newest version of a type by its id, or raise LicenceTypeUnknown."""
    found = types.get(type_id)
    if found is None:
        raise LicenceTypeUnknown(_("no such licence type"), pointer="/licence_type")
    return found


def type_of(types: LicenceTypes, type_code: str, version: int) -> LicenceType:
    """Return the version of a type that a licence was issued under, or raise LicenceTypeUnknown.

    Args:
        type_code: as in the licence's row or identifier.
    """
    for newest in types.values():
        if type_code in newest.type_codes:
            for each in newest.versions():
                if (each.type_code, each.version) == (type_code, version):
                    return each
    raise LicenceTypeUnknown(_("no such licence type"), pointer="/licence_type")


def type_of_credential(types: LicenceTypes, vct: str) -> LicenceType:
    """Return the version of a type that a credential names by its `vct`, or raise LicenceTypeUnknown."""
    for newest in types.values():
        for each in newest.versions():
            if each.vct == vct:
                return each
    raise LicenceTypeUnknown(_("no such licence type"), pointer="/vct")
