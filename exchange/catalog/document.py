"""The document of a resource, as departments write it and the database keeps it (`schemas/catalogue/resource.json`).

What is written may be short: a field may be its name alone. What is kept is complete: every field with its titles,
type, sensitivity, masking, lead source and owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson

from exchange.catalog.resource import Field, Masking, ReadsFrom, Resource, Sensitivity, SharingClass
from exchange.registers.schemas import RegisterSchema, load_registers
from foundation.errors import DomainError
from foundation.identifiers import contains_citizen_id, mask_citizen_ids
from foundation.language import _

LICENCE_PREFIX = "licence."
"""Begins the ids of licence types in the catalogue; nobody else's."""

Document = dict[str, Any]

_SUBJECTS = {"persons": "citizen-id", "legal_entities": "uscc", "credentials": "licence"}
_OPTIONAL: Mapping[str, Any] = {
    "description": None,
    "register": None,
    "legal_basis": None,
    "conditions": None,
    "theme": None,
    "freshness": None,
    "live": False,
    "notice": None,
}
_ORDER = (
    "id",
    "version",
    "title",
    "title_en",
    "description",
    "register",
    "subject_kind",
    "owner",
    "department",
    "sharing_class",
    "legal_basis",
    "conditions",
    "theme",
    "freshness",
    "lead_source",
    "synonyms",
    "live",
    "notice",
    "fields",
)


class ResourceMalformed(DomainError):
    code = "resource-malformed"


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    schema = orjson.loads((resources.files("schemas") / "catalogue" / "resource.json").read_bytes())
    return jsonschema_rs.Draft202012Validator(schema)


def complete(written: Mapping[str, Any]) -> Document:
    """Check a document and fill in what it leaves to its register and its own defaults.

    `id`, `version` and `department` must be there: who calls has set them.

    Raises:
        ResourceMalformed: with the place, and never with the value that stands there.
    """
    document = dict(written)
    if isinstance(document.get("fields"), list):
        document["fields"] = [
            {"name": each} if isinstance(each, str) else each for each in document["fields"]
        ]
    for error in _validator().iter_errors(document):
        raise _broken_rule(error)
    for place, text in _texts(document, ""):
        if contains_citizen_id(text):
            raise ResourceMalformed(_("a citizen ID does not belong into the catalogue"), pointer=place)
    if document["id"].startswith(LICENCE_PREFIX):
        raise ResourceMalformed(
            _("ids that begin with `{prefix}` are of licence types"), pointer="/id", prefix=LICENCE_PREFIX
        )
    register = _register(document)
    names = [each["name"] for each in document["fields"]]
    if len(set(names)) < len(names):
        raise ResourceMalformed(_("two fields have the same name"), pointer="/fields")
    filled = {
        **_OPTIONAL,
        "title_en": document["title"],
        **document,
        "synonyms": list(document.get("synonyms", [])),
        "fields": [
            _field(each, number, document, register) for number, each in enumerate(document["fields"])
        ],
    }
    return {name: filled[name] for name in _ORDER}


def _broken_rule(error: jsonschema_rs.ValidationError) -> ResourceMalformed:
    # Two rules stand at the object; who wrote it wants to know which member.
    member = getattr(error.kind, "property", None) or next(iter(getattr(error.kind, "unexpected", [])), None)
    place = "".join(f"/{part}" for part in [*error.instance_path, *([] if member is None else [member])])
    return ResourceMalformed(
        _("it breaks the rule `{rule}` of the catalogue"),
        pointer=mask_citizen_ids(place)[:200],
        rule=error.schema_path[-1] if error.schema_path else "schema",
    )


def require_ready(document: Mapping[str, Any]) -> None:
    """Raise ResourceMalformed unless the document says all that a review needs, beyond its form."""
    if document["sharing_class"] == SharingClass.NOT_SHARED and document["legal_basis"] is None:
        raise ResourceMalformed(
            _("what is not shared names the law that keeps it from being shared"), pointer="/legal_basis"
        )
    if document["sharing_class"] == SharingClass.CONDITIONAL and document["conditions"] is None:
        raise ResourceMalformed(_("what is shared on conditions names them"), pointer="/conditions")


def resource_of(document: Mapping[str, Any]) -> Resource:
    """Return a complete document as the rest of the exchange sees it."""
    fields = [
        Field(
            name=each["name"],
            title=each["title"],
            title_en=each["title_en"],
            type=each["type"],
            sensitivity=Sensitivity(each["sensitivity"]),
            masking=Masking(each["masking"]),
            lead_source=each["lead_source"],
            owner=each["owner"],
        )
        for each in document["fields"]
    ]
    register, reads_from = document["register"], ReadsFrom.NOWHERE
    if document["live"]:
        reads_from = ReadsFrom.LIVE
    elif register is not None:
        reads_from = ReadsFrom.REGISTER
    return Resource(
        id=document["id"],
        version=document["version"],
        title=document["title"],
        title_en=document["title_en"],
        register=described(fields) if register is None else load_registers()[register],
        subject_kind=document["subject_kind"],
        owner=document["owner"],
        sharing_class=document["sharing_class"],
        lead_source=document["lead_source"],
        fields=tuple(each.name for each in fields),
        details={each.name: each for each in fields},
        reads_from=reads_from,
        department=document["department"],
        description=document["description"],
        legal_basis=document["legal_basis"],
        conditions=document["conditions"],
        theme=document["theme"],
        freshness=document["freshness"],
        synonyms=tuple(document["synonyms"]),
    )


def document_of(resource: Resource) -> Document:
    """Return the complete document of a resource, without the notice of its version."""
    return {
        "id": resource.id,
        "version": resource.version,
        "title": resource.title,
        "title_en": resource.title_en,
        "description": resource.description,
        "register": resource.register.name if resource.reads_from == ReadsFrom.REGISTER else None,
        "subject_kind": resource.subject_kind,
        "owner": resource.owner,
        "department": resource.department,
        "sharing_class": str(resource.sharing_class),
        "legal_basis": resource.legal_basis,
        "conditions": resource.conditions,
        "theme": resource.theme,
        "freshness": resource.freshness,
        "lead_source": resource.lead_source,
        "synonyms": list(resource.synonyms),
        "live": resource.reads_from == ReadsFrom.LIVE,
        "notice": None,
        "fields": [
            {
                "name": each.name,
                "title": each.title,
                "title_en": each.title_en,
                "type": each.type,
                "sensitivity": each.sensitivity.value,
                "masking": each.masking.value,
                "lead_source": each.lead_source,
                "owner": each.owner,
            }
            for each in resource.details.values()
        ],
    }


_TYPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "code": {"type": "string"},
    "list": {"type": "array"},
}


def described(fields: list[Field]) -> RegisterSchema:
    """Return fields that stand in no register here in the form of one, without a table."""
    return RegisterSchema(
        name="",
        table="",
        schema={
            "type": "object",
            "properties": {each.name: {"title": each.title, **_TYPES[each.type]} for each in fields},
        },
        sensitive=frozenset(each.name for each in fields if each.sensitivity == Sensitivity.SENSITIVE),
        keys=(),
    )


def type_of(schema: Mapping[str, Any]) -> str:
    """Return the type of a field by its JSON Schema, in the catalogue's words."""
    if "enum" in schema:
        return "code"
    if schema.get("format") == "date":
        return "date"
    types = schema.get("type", "string")
    named = types if isinstance(types, str) else next(each for each in types if each != "null")
    return {"integer": "number", "number": "number", "boolean": "boolean", "array": "list"}.get(named, "text")


def masking_of(name: str, schema: Mapping[str, Any], sensitivity: Sensitivity) -> Masking:
    """Return what a query shows of a field where nobody said otherwise: of a sensitive one as little as is of use.

    A schema says it by `x-mask`; where it does not, the form of the values does.
    """
    if sensitivity != Sensitivity.SENSITIVE:
        return Masking.NONE
    if "x-mask" in schema:
        return Masking(schema["x-mask"])
    if schema.get("pattern", "").startswith("^[0-9]{17}[0-9X]"):
        return Masking.IDENTIFIER
    if schema.get("format") == "date":
        return Masking.DATE
    if name == "name" or name.endswith("_name"):
        return Masking.NAME
    return Masking.ADDRESS if name.endswith("address") else Masking.HIDDEN


def _register(document: Mapping[str, Any]) -> RegisterSchema | None:
    name = document.get("register")
    if name is None:
        return None
    if document.get("live"):
        raise ResourceMalformed(
            _("it reads either from a register or live at the department"), pointer="/live"
        )
    if document["subject_kind"] != _SUBJECTS[name]:
        raise ResourceMalformed(
            _("the register {register} has other subjects"), pointer="/subject_kind", register=name
        )
    return load_registers()[name]


def _field(
    written: Mapping[str, Any], number: int, document: Mapping[str, Any], register: RegisterSchema | None
) -> Document:
    name, place = written["name"], f"/fields/{number}"
    schema: Mapping[str, Any] = {}
    least = Sensitivity.INTERNAL
    if register is not None:
        if name not in register.schema["properties"]:
            raise ResourceMalformed(
                _("the register {register} has no field {field}"),
                pointer=f"{place}/name",
                register=register.name,
                field=name,
            )
        schema = register.schema["properties"][name]
        if name in register.sensitive:
            least = Sensitivity.SENSITIVE
    elif "title" not in written:
        raise ResourceMalformed(_("field {field} has no title"), pointer=f"{place}/title", field=name)
    sensitivity = Sensitivity(written.get("sensitivity", least))
    if least == Sensitivity.SENSITIVE and sensitivity != least:
        raise ResourceMalformed(
            _("field {field} is sensitive in its register"), pointer=f"{place}/sensitivity", field=name
        )
    kind = written.get("type", type_of(schema))
    masking = Masking(written.get("masking", masking_of(name, schema, sensitivity)))
    if sensitivity == Sensitivity.SENSITIVE and masking == Masking.NONE:
        raise ResourceMalformed(
            _("field {field} is sensitive and needs a masking rule"), pointer=f"{place}/masking", field=name
        )
    title = written.get("title", schema.get("title", name))
    return {
        "name": name,
        "title": title,
        "title_en": written.get("title_en", schema.get("description", title)),
        "type": kind,
        "sensitivity": sensitivity.value,
        "masking": masking.value,
        "lead_source": written.get("lead_source", document["lead_source"]),
        "owner": written.get("owner", document["owner"]),
    }


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, f"{place}/{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{place}/{number}")
