"""Data resources as the rest of the exchange sees them: what may be asked, of whom, and whose word counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exchange.catalog.derived import derived_fields
from exchange.registers.schemas import RegisterSchema
from foundation.errors import DomainError
from foundation.language import _


class ResourceUnknown(DomainError):
    code = "resource-unknown"


class ResourceNotShared(DomainError):
    code = "resource-not-shared"


class ResourceNotConnected(DomainError):
    code = "resource-not-connected"


class FieldUnknown(DomainError):
    code = "field-unknown"


class SharingClass(StrEnum):
    """How a resource is shared (decree 809): without conditions, on conditions, or by law not at all."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not-shared"


class ReadsFrom(StrEnum):
    """Where the values stand: in a register here, with the licences, live at the department, nowhere yet."""

    REGISTER = "register"
    LICENCES = "licences"
    LIVE = "live"
    NOWHERE = "nowhere"


class Sensitivity(StrEnum):
    """How much a field says about somebody; `sensitive` ones are sealed at rest."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"


class Masking(StrEnum):
    """What a query shows of a value: all of it; a name as `张*`; an identifier as `2301**********1234`; the year of a
    date; the beginning of an address; nothing but that there is one."""

    NONE = "none"
    NAME = "name"
    IDENTIFIER = "identifier"
    DATE = "date"
    ADDRESS = "address"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Field:
    """One field (信息项) of a resource.

    Args:
        type: `text`, `date`, `number`, `boolean`, `code` or `list`.
        lead_source: source whose word counts for this field (一数一源).
        owner: department that answers for it.
    """

    name: str
    title: str
    title_en: str
    type: str
    sensitivity: Sensitivity
    masking: Masking
    lead_source: str
    owner: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A version of a data resource (数据资源): some fields of one subject, with the rules of their sharing.

    Args:
        register: the register that it reads from. Where it reads from none, `register.table` is empty, and
            `register.schema` describes the fields all the same; of a licence type, `register.name` is the id.
        sharing_class: `unconditional`, `conditional` or `not-shared` (decree 809).
        lead_source: source whose word counts where a field names none of its own.
        owner: name of the department it is of; `department`: its USCC.
        legal_basis: why it is not shared, or what its conditions rest on.
        freshness: ISO 8601 duration within which a change at the department is to be here; None: no promise.
    """

    id: str
    version: int
    title: str
    title_en: str
    register: RegisterSchema
    subject_kind: str
    owner: str
    sharing_class: str
    lead_source: str
    fields: tuple[str, ...]
    details: Mapping[str, Field] = field(default_factory=dict)
    reads_from: ReadsFrom = ReadsFrom.REGISTER
    department: str = ""
    description: str | None = None
    legal_basis: str | None = None
    conditions: str | None = None
    theme: str | None = None
    freshness: str | None = None
    synonyms: tuple[str, ...] = ()

    def require_fields(self, names: frozenset[str], pointer: str) -> None:
        """Raise FieldUnknown, naming the first, if the resource lacks one of the fields, derived ones among them."""
        self.require_own_fields(names - derived_fields(self.subject_kind), pointer)

    def require_own_fields(self, names: frozenset[str], pointer: str) -> None:
        """Raise FieldUnknown, naming the first, if one of the fields is none that the resource can disclose."""
        unknown = sorted(names.difference(self.fields))
        if unknown:
            raise FieldUnknown(
                _("{resource} has no field {field}"),
                pointer=f"{pointer}/{unknown[0]}",
                resource=self.id,
                field=unknown[0][:60],
            )


Catalogue = Mapping[str, Resource]
"""The version in force of each resource, by its id."""


def require_resource(catalogue: Catalogue, resource_id: str) -> Resource:
    """Return a resource that may be asked and granted, by its id.

    Raises:
        ResourceUnknown: there is none of that id in force.
        ResourceNotShared: the law keeps it from being shared.
        ResourceNotConnected: it is in the catalogue, and nothing brings its values yet.
    """
    resource = catalogue.get(resource_id)
    if resource is None:
        raise ResourceUnknown(_("the catalogue does not hold it"), pointer="/resource")
    if resource.sharing_class == SharingClass.NOT_SHARED:
        raise ResourceNotShared(
            _("by {basis} it is not shared"), pointer="/resource", basis=resource.legal_basis or "-"
        )
    if resource.reads_from == ReadsFrom.NOWHERE:
        raise ResourceNotConnected(
            _("it is in the catalogue, but nothing brings its values yet"), pointer="/resource"
        )
    return resource
