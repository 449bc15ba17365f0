"""What a service matter is: its document (`schemas/matters/matter.json`), checked beyond what a schema can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson

from foundation.errors import DomainError
from foundation.language import _

MAXIMUM_EVIDENCE = 500
"""Leaves of all trees of one matter: what one plan may have to ask for."""

MAXIMUM_DEPTH = 20


class MatterMalformed(DomainError):
    code = "matter-malformed"


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims on a resource about the subject in a role; they settle the material if all match."""

    resource: str
    subject: str
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """Fields of a resource about the subject in a role, taken as they are."""

    resource: str
    subject: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LicenceHeld:
    """A licence of a type, in force, held by the subject in a role."""

    type: str
    subject: str


@dataclass(frozen=True, slots=True)
class OtherMaterial:
    """Another material of the same case that says the same."""

    id: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """A commitment (告知承诺) by a template."""

    template: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these suffices; the first that settles counts."""

    of: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these are needed."""

    of: tuple[Evidence, ...]


Leaf = Claims | Query | LicenceHeld | OtherMaterial | Commitment
Evidence = Leaf | AnyOf | AllOf


@dataclass(frozen=True, slots=True)
class Material:
    """A paper that a matter asks for.

    Args:
        consent: evidence goes out only by the applicant's explicit request, after they saw it.
        consent_by_code: a code that they made for it, after they saw it, may stand for their release.
        may_follow_days: working days within which it may follow (容缺受理); None: it may not.
        evidence: what can take its place; None: nothing known.
    """

    id: str
    name: str
    required: bool
    consent: bool
    may_follow_days: int | None
    legal_basis: str | None
    evidence: Evidence | None
    consent_by_code: bool = False


@dataclass(frozen=True, slots=True)
class Matter:
    """A service matter. `document` is the whole description, as it was published."""

    code: str
    version: int
    title: str
    department: str
    purpose: str
    subjects: Mapping[str, str]
    required_subjects: frozenset[str]
    inputs: Mapping[str, Mapping[str, Any]]
    materials: tuple[Material, ...]
    needs_outcome_of: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    schema = orjson.loads((resources.files("schemas") / "matters" / "matter.json").read_bytes())
    return jsonschema_rs.Draft202012Validator(schema)


def read_matter(document: Mapping[str, Any]) -> Matter:
    """Read the description of a matter.

    Raises:
        MatterMalformed: with the place; a role, an input or a material that is referred to and not there, a material
            that takes the place of itself, or more evidence than a plan may ask for are refused, too.
    """
    for error in _validator().iter_errors(document):
        where = "".join(f"/{part}" for part in error.instance_path)
        raise MatterMalformed(
            _("this is no description of a matter: {reason}"), pointer=where, reason=error.message[:200]
        )
    subjects = {name: each["kind"] for name, each in document["subjects"].items()}
    inputs = document.get("inputs", {})
    materials = tuple(_material(each) for each in document["materials"])
    matter = Matter(
        code=document["code"],
        version=document["version"],
        title=document["title"],
        department=document["department"],
        purpose=document["purpose"],
        subjects=subjects,
        required_subjects=frozenset(
            name for name, each in document["subjects"].items() if each.get("required", True)
        ),
        inputs=inputs,
        materials=materials,
        needs_outcome_of=tuple(document.get("needs_outcome_of", ())),
        document=document,
    )
    _require_sense(matter)
    return matter


def leaves(evidence: Evidence | None) -> Iterator[Leaf]:
    """Yield what a tree of evidence comes down to, from left to right."""
    if evidence is None:
        return
    if isinstance(evidence, AnyOf | AllOf):
        for each in evidence.of:
            yield from leaves(each)
    else:
        yield evidence


def _material(document: Mapping[str, Any]) -> Material:
    evidence = document.get("evidence")
    return Material(
        id=document["id"],
        name=document["name"],
        required=document.get("required", True),
        consent=document.get("consent", False),
        may_follow_days=document.get("may_follow_days"),
        legal_basis=document.get("legal_basis"),
        evidence=None if evidence is None else _evidence(evidence, 0),
        consent_by_code=document.get("consent_by_code", False),
    )


def _evidence(document: Mapping[str, Any], depth: int) -> Evidence:
    if depth > MAXIMUM_DEPTH:
        raise MatterMalformed(_("evidence is nested too deep"), pointer="/materials")
    ((kind, value),) = document.items()
    match kind:
        case "any_of":
            return AnyOf(tuple(_evidence(each, depth + 1) for each in value))
        case "all_of":
            return AllOf(tuple(_evidence(each, depth + 1) for each in value))
        case "claims":
            return Claims(value["resource"], value["subject"], value["claims"])
        case "query":
            return Query(value["resource"], value["subject"], tuple(value["fields"]))
        case "licence":
            return LicenceHeld(value["type"], value["subject"])
        case "material":
            return OtherMaterial(value)
        case _:
            return Commitment(value)


def _require_sense(matter: Matter) -> None:
    by_id = {each.id: each for each in matter.materials}
    if len(by_id) < len(matter.materials):
        raise MatterMalformed(_("two materials have the same id"), pointer="/materials")
    if matter.code in matter.needs_outcome_of:
        raise MatterMalformed(_("a matter cannot need itself"), pointer="/needs_outcome_of")
    for number, each in enumerate(matter.document["materials"]):
        matching = each.get("matching")
        if matching is not None and (matching["joined"] == "one") != (len(matching["names"]) == 1):
            raise MatterMalformed(
                _("one name is `one`, several are `any_of` or `all_of`"),
                pointer=f"/materials/{number}/matching",
            )
    counted = 0
    for number, material in enumerate(matter.materials):
        pointer = f"/materials/{number}/evidence"
        for leaf in leaves(material.evidence):
            counted += 1
            if isinstance(leaf, OtherMaterial):
                if leaf.id not in by_id:
                    raise MatterMalformed(_("no material has the id {name}"), pointer=pointer, name=leaf.id)
            elif not isinstance(leaf, Commitment) and leaf.subject not in matter.subjects:
                raise MatterMalformed(_("no subject has the role {name}"), pointer=pointer, name=leaf.subject)
            if isinstance(leaf, Claims):
                _require_references(matter, leaf, pointer)
        _require_no_loop(material, by_id, pointer)
    if counted > MAXIMUM_EVIDENCE:
        raise MatterMalformed(
            _("its materials name {count} pieces of evidence; at most {limit} are allowed"),
            pointer="/materials",
            count=counted,
            limit=MAXIMUM_EVIDENCE,
        )


def _require_references(matter: Matter, leaf: Claims, pointer: str) -> None:
    for claim in leaf.claims.values():
        reference = claim.get("value", claim) if isinstance(claim, dict) else None
        if not isinstance(reference, dict):
            continue
        if "input" in reference and reference["input"] not in matter.inputs:
            raise MatterMalformed(_("no input has the name {name}"), pointer=pointer, name=reference["input"])
        if "subject" in reference and reference["subject"] not in matter.subjects:
            raise MatterMalformed(
                _("no subject has the role {name}"), pointer=pointer, name=reference["subject"]
            )


def _require_no_loop(start: Material, by_id: Mapping[str, Material], pointer: str) -> None:
    waiting, seen = [start], set()
    while waiting:
        for leaf in leaves(waiting.pop().evidence):
            if isinstance(leaf, OtherMaterial) and leaf.id not in seen:
                if leaf.id == start.id:
                    raise MatterMalformed(_("a material cannot take the place of itself"), pointer=pointer)
                seen.add(leaf.id)
                if leaf.id in by_id:
                    waiting.append(by_id[leaf.id])
