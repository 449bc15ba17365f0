"""Reading the folders of licence types: `<folder>/<id>/<version>/type.json` and `schema.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from foundation.errors import DomainError
from foundation.language import _
from foundation.sensitive import sensitive_fields
from license_registry.catalog.licence_type import (
    LicenceFieldsInvalid,
    LicenceType,
    LicenceTypes,
    LicenceTypeUnknown,
    require_type,
    type_of,
    type_of_credential,
)
from license_registry.catalog.rules import (
    AnnualReport,
    Authority,
    HolderRule,
    LinkedChange,
    LocalState,
    NumberRule,
    Retention,
    Seal,
    read_validity,
)
from license_registry.documents.template import Template, laid_over, read_template
from license_registry.lifecycle.states import State

__all__ = [
    "CO_HOLDERS",
    "LicenceFieldsInvalid",
    "LicenceType",
    "LicenceTypeBroken",
    "LicenceTypeUnknown",
    "LicenceTypes",
    "load_types",
    "read_type",
    "require_type",
    "type_of",
    "type_of_credential",
]

CO_HOLDERS = "co_holders"


class LicenceTypeBroken(DomainError):
    """A folder of a licence type cannot be used; the message names file and place."""

    code = "licence-type-broken"


def load_types(own: Path | None = None) -> LicenceTypes:
    """Read all licence types that come along, and those of a city.

    Args:
        own: folder of the city's types and versions, laid out in the same way. It adds; it replaces nothing.

    Raises:
        LicenceTypeBroken: a file does not fit, or two say the same of themselves.
    """
    found: dict[str, dict[int, LicenceType]] = {}
    roots: list[Traversable] = [resources.files("schemas") / "licence_types"]
    if own is not None and own.is_dir():
        roots.append(own)
    for root in roots:
        for each in _read_folder(root):
            versions = found.setdefault(each.id, {})
            if each.version in versions:
                raise _broken(f"{each.id}/{each.version}", "", "this version is there already")
            versions[each.version] = each
    types = {}
    for type_id, versions in sorted(found.items()):
        newest, *older = (versions[version] for version in sorted(versions, reverse=True))
        types[type_id] = replace(newest, older=tuple(older))
    _require_apart(types)
    return types


def read_type(folder: Traversable) -> LicenceType:
    """Read one folder `<id>/<version>`.

    Raises:
        LicenceTypeBroken: a file is missing, is no JSON, or breaks a rule.
    """
    version = folder.name
    place = f"{_parent(folder)}/{version}"
    told = _json(folder / "type.json", f"{place}/type.json")
    schema = _json(folder / "schema.json", f"{place}/schema.json")
    _require_fits("type", told, f"{place}/type.json")
    _require_fits("fields", schema, f"{place}/schema.json")
    try:
        Draft202012Validator.check_schema(schema)
        sensitive = sensitive_fields(schema)
    except SchemaError as error:
        raise _broken(f"{place}/schema.json", _pointer(error.absolute_path), error.message) from error
    except ValueError as error:
        raise _broken(f"{place}/schema.json", "", str(error)) from error
    _require_whole(told, schema, sensitive, place)
    template = told["template"]
    issuers = told["issuing_authorities"]
    holders = told["holders"]
    report = told["annual_report"]
    return LicenceType(
        id=told["id"],
        version=told["version"],
        type_code=told["type_code"]["value"],
        type_code_confidence=told["type_code"]["confidence"],
        name=told["name"],
        name_en=told["name_en"],
        vct=told["vct"],
        defining_authority=Authority(**told["defining_authority"]),
        issuers=None if issuers["codes"] == "any" else frozenset(issuers["codes"]),
        issuing_authorities=(issuers["name"], issuers["name_en"]),
        holder_code_type=holders["code_type"],
        holders=HolderRule(holders["fewest"], holders["most"], holders["one_in_force"]),
        number=NumberRule(**told["number"]),
        validity=read_validity(told["validity"]),
        states={State(code): LocalState(**{"local_code": None, **s}) for code, s in told["states"].items()},
        operations=frozenset(told["operations"]),
        template=template,
        layout=None
        if template is None
        else _layout(folder, template, frozenset(schema["properties"]), place),
        seals=tuple(Seal(**seal) for seal in told["seals"]),
        evidence=tuple(told["evidence"]),
        retention=Retention(**told["retention"]),
        annual_report=None if report is None else AnnualReport(report["from"], report["until"]),
        on_change=LinkedChange(**told["on_change"]),
        always_disclosed=tuple(
            name for name, field in schema["properties"].items() if field["x-disclosure"] == "always"
        ),
        schema=schema,
    )


def _layout(folder: Traversable, template: str, fields: frozenset[str], place: str) -> Template:
    """Read `template.json` of the version that `template` names: beside this folder, or among those that come along."""
    roots: list[Traversable] = [Path(str(folder)).parent.parent, resources.files("schemas") / "licence_types"]
    found = (root.joinpath(*template.split("/"), "template.json") for root in roots)
    path = next((each for each in found if each.is_file()), None)
    if path is None:
        raise _broken(f"{place}/type.json", "/template", f"no {template}/template.json")
    name = f"{template}/template.json"
    shared = _json(resources.files("schemas") / "licence_type" / "layout.json", "layout.json")
    told = laid_over(shared, _json(path, name))
    _require_fits("template", told, name)
    for unknown in sorted(set(told["fields"] or ()).difference(fields)):
        raise _broken(name, "/fields", f"no field {unknown} in {place}")
    return read_template(told)


def _read_folder(root: Traversable) -> Iterator[LicenceType]:
    for folder in _folders(root):
        for version in _folders(folder):
            yield read_type(version)


def _folders(folder: Traversable) -> list[Traversable]:
    found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    return sorted(found, key=lambda path: path.name)


def _parent(folder: Traversable) -> str:
    return Path(str(folder)).parent.name


def _json(path: Traversable, name: str) -> dict[str, Any]:
    try:
        told = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _broken(name, "", "the file is missing or cannot be read") from error
    except orjson.JSONDecodeError as error:
        raise _broken(name, f"line {error.lineno}", error.msg) from error
    if not isinstance(told, dict):
        raise _broken(name, "", "it is not an object")
    return told


@cache
def _rules(name: str) -> Draft202012Validator:
    path = resources.files("schemas") / "licence_type" / f"{name}.json"
    return Draft202012Validator(
        orjson.loads(path.read_bytes()), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def _require_fits(rules: str, told: dict[str, Any], name: str) -> None:
    error = best_match(_rules(rules).iter_errors(told))
    if error is not None:
        raise _broken(name, _pointer(error.absolute_path), error.message)


def _require_whole(
    told: dict[str, Any], schema: dict[str, Any], sensitive: frozenset[str], place: str
) -> None:
    """What no JSON Schema can say: that the parts of a folder fit each other."""
    type_file, schema_file = f"{place}/type.json", f"{place}/schema.json"
    if (told["id"], str(told["version"])) != tuple(place.split("/")):
        raise _broken(type_file, "/id", "id and version are not those of the folder")
    properties = schema["properties"]
    for name in schema["required"]:
        if name not in properties:
            raise _broken(schema_file, "/required", f"no field {name}")
    holders = told["holders"]
    if holders["fewest"] > holders["most"]:
        raise _broken(type_file, "/holders/fewest", "more than the most")
    if (holders["most"] > 1) != (CO_HOLDERS in properties):
        raise _broken(
            type_file, "/holders/most", f"more than one if, and only if, there is a field {CO_HOLDERS}"
        )
    if holders["code_type"] == "111" and "holder_code" not in sensitive:
        raise _broken(schema_file, "/properties/holder_code", "a citizen ID is marked x-sensitive")
    template = told["number"]["template"]
    if template is not None:
        rule = NumberRule(told["number"]["pattern"], template, "certain")
        try:
            rule.require_fits(rule.make("990100", 2025, 1))
        except DomainError as error:
            raise _broken(type_file, "/number/template", "its numbers do not fit the pattern") from error


def _require_apart(types: LicenceTypes) -> None:
    seen: dict[str, str] = {}
    for newest in types.values():
        for each in newest.versions():
            for told in (each.vct, each.type_code):
                other = seen.setdefault(told, each.id)
                if other != each.id:
                    raise _broken(f"{each.id}/{each.version}/type.json", "", f"{told} is of {other} too")
        if len({each.vct for each in newest.versions()}) != 1 + len(newest.older):
            raise _broken(
                f"{newest.id}/{newest.version}/type.json", "/vct", "an earlier version has the same"
            )


def _pointer(path: Any) -> str:
    return "".join(f"/{part}" for part in path)


def _broken(file: str, place: str, reason: str) -> LicenceTypeBroken:
    # Long messages of a schema repeat the whole document.
    return LicenceTypeBroken(
        _("licence type {file}{place}: {reason}"),
        file=file,
        place=f" {place}" if place else "",
        reason=reason[:200],
    )
