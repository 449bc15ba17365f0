"""What stewards confirmed, put into the description of a matter: the evidence of each material that it settles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.matters.matching import APPLICANT, EvidenceType, candidate, vocabulary
from exchange.matters.names import MaterialName, normalised

ENTITY = "entity"
_TITLES = {ENTITY: "单位"}

MOST_PARTS = 20
"""Papers that one name may speak of, as the schema has it; a longer list stays one name."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An evidence type that a steward confirmed for a name.

    Args:
        role: whom the paper speaks of; None: as the words of each name say.
    """

    evidence_type: str
    role: str | None = None


def material_names(published: str) -> MaterialName:
    """Return what a published name speaks of, in the bounds of a description."""
    name = normalised(published)
    return (
        name
        if len(name.parts) <= MOST_PARTS
        else MaterialName(name.text, (name.text,), type(name.joined)("one"))
    )


def settle(document: Mapping[str, Any], confirmed: Mapping[str, Confirmed]) -> dict[str, Any]:
    """Return the description with the evidence that is confirmed for its materials' names, and no other of that kind.

    Evidence that somebody wrote stays as it is, and so does everything else. Doing it again changes nothing.

    Args:
        confirmed: normalised name of a paper → what was confirmed for it.
    """
    made = document.get("matching", {"subjects": [], "inputs": []})
    subjects = {name: each for name, each in document["subjects"].items() if name not in made["subjects"]}
    inputs = {name: each for name, each in document.get("inputs", {}).items() if name not in made["inputs"]}
    own_subjects, own_inputs = set(subjects), set(inputs)
    settled: dict[str, Any] = {
        name: each for name, each in document.items() if name not in ("matching", "inputs")
    }
    settled["materials"] = [_settled(each, confirmed, subjects, inputs) for each in document["materials"]]
    settled["subjects"] = subjects
    if inputs:
        settled["inputs"] = inputs
    added = {"subjects": sorted(subjects.keys() - own_subjects), "inputs": sorted(inputs.keys() - own_inputs)}
    if added["subjects"] or added["inputs"]:
        settled["matching"] = added
    return settled


def _settled(
    material: Mapping[str, Any],
    confirmed: Mapping[str, Confirmed],
    subjects: dict[str, Any],
    inputs: dict[str, Any],
) -> dict[str, Any]:
    matching = material.get("matching")
    if matching is None or (material.get("evidence") is not None and not matching.get("confirmed")):
        return dict(material)
    names, joined = matching["names"], matching["joined"]
    known = [(name, confirmed[name]) for name in names if name in confirmed]
    settled = {name: each for name, each in material.items() if name not in ("evidence", "consent")}
    settled["matching"] = {"names": names, "joined": joined}
    if not known or (joined == "all_of" and len(known) < len(names)):
        return settled
    whole = material_names(material.get("name_as_published", material["name"])).text
    trees = []
    for name, each in known:
        kind = vocabulary().types[each.evidence_type]
        role = _role(each.role or _role_by_words(name, whole, kind), kind, subjects)
        tree = _tree(kind, role, subjects, inputs)
        if tree not in trees:
            trees.append(tree)
        if kind.consent:
            settled["consent"] = True
    settled["matching"]["confirmed"] = sorted({each.evidence_type for _name, each in known})
    settled["evidence"] = trees[0] if len(trees) == 1 else {joined: trees}
    return settled


def _role_by_words(name: str, whole: str, kind: EvidenceType) -> str:
    found = candidate(name, whole)
    return found.role if found is not None and found.evidence_type == kind.id else kind.role


def _role(role: str, kind: EvidenceType, subjects: dict[str, Any]) -> str:
    """Return the role, made up in `subjects` where it is missing, that has the right kind of identifier."""
    if role == APPLICANT and subjects[APPLICANT]["kind"] != kind.kind:
        role = ENTITY if kind.kind == "uscc" else "agent"
    if role in subjects and subjects[role]["kind"] != kind.kind:
        role = f"{role}_{kind.kind.replace('-', '_')}"
    if role not in subjects:
        subjects[role] = {"kind": kind.kind, "title": _title(role), "required": False}
    return role


def _tree(kind: EvidenceType, role: str, subjects: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    places = {"role": role, "title": _title(role)}
    if _mentions(kind.evidence, "{entity}"):
        places["entity"] = _entity(subjects)
    inputs.update(_filled(kind.inputs, places))
    tree: dict[str, Any] = _filled(kind.evidence, places)
    return tree


def _entity(subjects: dict[str, Any]) -> str:
    for name, each in subjects.items():
        if each["kind"] == "uscc":
            return name
    subjects[ENTITY] = {"kind": "uscc", "title": _TITLES[ENTITY], "required": False}
    return ENTITY


def _title(role: str) -> str:
    return _TITLES.get(role) or vocabulary().titles.get(role, role)


def _mentions(value: Any, place: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(each, place) for each in value.values())
    if isinstance(value, list):
        return any(_mentions(each, place) for each in value)
    return bool(value == place)


def _filled(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {_filled(name, places): _filled(each, places) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, places) for each in value]
    if isinstance(value, str):
        for name, text in places.items():
            value = value.replace("{" + name + "}", text)
    return value
