"""The catalogue of data resources, read from `schemas/resources` (data, not code)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources as files
from typing import Any

import orjson

from exchange.registers.schemas import RegisterSchema, load_registers
from foundation.errors import DomainError
from foundation.language import _


class ResourceUnknown(DomainError):
    code = "resource-unknown"


class FieldUnknown(DomainError):
    code = "field-unknown"


@dataclass(frozen=True, slots=True)
class Resource:
    """A data resource (数据资源): some fields of one register, with the rules of its sharing.

    Args:
        sharing_class: `unconditional`, `conditional` or `not-shared` (decree 809).
        lead_source: source whose word counts for these fields (一数一源).
        owner: name of the department it is of; `department`: its USCC.
        legal_basis: why it is not shared, or what its conditions rest on.
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
    department: str = ""
    legal_basis: str | None = None

    def require_fields(self, names: frozenset[str], pointer: str) -> None:
        """Raise FieldUnknown, naming the first, if the resource lacks one of the fields."""
        unknown = sorted(names.difference(self.fields))
        if unknown:
            raise FieldUnknown(
                _("{resource} has no field {field}"),
                pointer=f"{pointer}/{unknown[0]}",
                resource=self.id,
                field=unknown[0][:60],
            )


Catalogue = Mapping[str, Resource]


def load_catalogue() -> Catalogue:
    """Read all resources; a resource that names a field its register lacks is refused with ValueError."""
    registers = load_registers()
    found = {}
    for path in sorted((files.files("schemas") / "resources").iterdir(), key=lambda p: p.name):
        if path.name.endswith(".json"):
            document: dict[str, Any] = orjson.loads(path.read_bytes())
            register = registers[document.pop("register")]
            fields = tuple(document.pop("fields"))
            missing = set(fields).difference(register.fields)
            if missing:
                raise ValueError(f"{path.name}: register {register.name} has no {sorted(missing)}")
            resource = Resource(**document, register=register, fields=fields)
            found[resource.id] = resource
    return found


def require_resource(catalogue: Catalogue, resource_id: str) -> Resource:
    """Return a resource by its id, or raise ResourceUnknown."""
    resource = catalogue.get(resource_id)
    if resource is None:
        raise ResourceUnknown(_("the catalogue does not hold it"), pointer="/resource")
    return resource
