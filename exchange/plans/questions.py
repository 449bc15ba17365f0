"""From the leaves of a matter to questions about the subjects of one case; what can share a question does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from exchange.matters.matter import Claims, LicenceHeld, Matter, Query
from exchange.plans.errors import PlanMalformed
from exchange.plans.judging import Asking, Reason
from exchange.queries.authorise import canonical_subject
from foundation.errors import DomainError
from foundation.language import _
from foundation.sensitive import Vault

MOST_CLAIMS = 50
"""Claims, or fields, of one question: what a single verification may hold."""

InputValue = str | int | bool


@dataclass(frozen=True, slots=True)
class Case:
    """What a plan is made for.

    Args:
        subjects: role → identifier, as given.
        blinded: role → kind of blind index and the blind index of the identifier.
        inputs: what the applicant states in the form.
        brought: materials that are there on paper.
    """

    reference: str
    subjects: Mapping[str, str]
    blinded: Mapping[str, tuple[str, bytes]]
    inputs: Mapping[str, InputValue]
    brought: frozenset[str]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One piece of evidence as a question: claims that must all match, or fields to be told.

    Args:
        role: of the subject it is about.
    """

    number: int
    mode: Literal["verify", "query"]
    resource: str
    role: str
    claims: Mapping[str, Any]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """Leaves that share one question."""

    leaves: tuple[Leaf, ...]

    @property
    def first(self) -> Leaf:
        """Say mode, resource and role, which all leaves have in common."""
        return self.leaves[0]

    @property
    def claims(self) -> dict[str, Any]:
        """Return the claims of all."""
        return {name: claim for leaf in self.leaves for name, claim in leaf.claims.items()}

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields of all."""
        return tuple(dict.fromkeys(name for leaf in self.leaves for name in leaf.fields))


def read_case(
    matter: Matter,
    vault: Vault,
    reference: str,
    subjects: Mapping[str, str],
    inputs: Mapping[str, InputValue],
    brought: Iterable[str],
) -> Case:
    """Hold what a counter sends against the matter.

    Raises:
        PlanMalformed: a role, an input or a material that the matter does not have, or an input of another kind.
        SubjectMalformed: with the role as its place.
    """
    if "applicant" not in subjects:
        raise PlanMalformed(_("a plan needs the applicant"), pointer="/subjects")
    blinded = {}
    for role, text in subjects.items():
        if role not in matter.subjects:
            raise PlanMalformed(_("the matter has no such subject"), pointer="/subjects")
        try:
            kind, canonical = canonical_subject(matter.subjects[role], text)
        except DomainError as refusal:
            refusal.pointer = f"/subjects/{role}"
            raise
        blinded[role] = (kind, vault.blind_index(kind, canonical))
    for name, value in inputs.items():
        if name not in matter.inputs:
            raise PlanMalformed(_("the matter has no such input"), pointer="/inputs")
        if not _is_of(str(matter.inputs[name]["type"]), value):
            raise PlanMalformed(
                _("{name} is not of the kind {kind}"),
                pointer=f"/inputs/{name}",
                name=name,
                kind=matter.inputs[name]["type"],
            )
    there = frozenset(brought)
    if not there <= {each.id for each in matter.materials}:
        raise PlanMalformed(_("the matter has no such material"), pointer="/brought")
    return Case(reference, subjects, blinded, inputs, there)


def question(number: int, asking: Asking, case: Case) -> Leaf | Reason:
    """Fill a piece of evidence with the case's subjects and inputs, or say what is missing."""
    if asking.subject not in case.subjects:
        return Reason.SUBJECT_MISSING
    match asking:
        case Query(resource, role, fields):
            return Leaf(number, "query", resource, role, {}, fields)
        case LicenceHeld(licence_type, role):
            claims: dict[str, Any] = {"in-force": {"is": "licence-in-force", "value": licence_type}}
            return Leaf(number, "verify", f"licence.{licence_type}", role, claims)
        case Claims(resource, role, given):
            claims = {}
            for name, claim in given.items():
                filled = _filled(claim, case)
                if isinstance(filled, Reason):
                    return filled
                claims[name] = filled
            return Leaf(number, "verify", resource, role, claims)


def bundled(leaves: Iterable[Leaf]) -> list[Bundle]:
    """Put leaves about one subject and resource together, as far as their claims do not contradict each other."""
    found: dict[tuple[str, str, str], list[list[Leaf]]] = {}
    for leaf in leaves:
        groups = found.setdefault((leaf.mode, leaf.resource, leaf.role), [])
        for group in groups:
            if _fits(Bundle(tuple(group)), leaf):
                group.append(leaf)
                break
        else:
            groups.append([leaf])
    return [Bundle(tuple(group)) for groups in found.values() for group in groups]


def _fits(bundle: Bundle, leaf: Leaf) -> bool:
    claims = bundle.claims
    # 1 == True, but to claim a number is not to claim a truth.
    if any(
        name in claims and (type(claims[name]), claims[name]) != (type(claim), claim)
        for name, claim in leaf.claims.items()
    ):
        return False
    return max(len({*claims, *leaf.claims}), len({*bundle.fields, *leaf.fields})) <= MOST_CLAIMS


def _filled(claim: Any, case: Case) -> Any:
    if not isinstance(claim, dict):
        return claim
    if "is" not in claim:
        return case.inputs.get(claim["input"], Reason.INPUT_MISSING)
    value = claim.get("value")
    if isinstance(value, dict):
        if "input" in value:
            value = case.inputs.get(value["input"], Reason.INPUT_MISSING)
        else:
            value = case.subjects.get(value["subject"], Reason.SUBJECT_MISSING)
        if isinstance(value, Reason):
            return value
        return {**claim, "value": value}
    return claim


def _is_of(kind: str, value: InputValue) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "date":
            return isinstance(value, str) and _is_date(value)
        case "division":
            return isinstance(value, str) and re.fullmatch(r"[0-9]{6}([0-9]{3}){0,2}", value) is not None
        case _:
            return isinstance(value, str)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
