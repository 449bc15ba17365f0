"""What the answers known so far make of each material: rules without HTTP, database or clock.

A tree of evidence is compiled into nodes whose leaves are numbered questions. Nothing here recurses deeper than one
tree (`matter.MAXIMUM_DEPTH`): materials that stand for each other are judged one after the other, those first that
others refer to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from exchange.matters.matter import (
    AllOf,
    AnyOf,
    Claims,
    Commitment,
    Evidence,
    LicenceHeld,
    Material,
    OtherMaterial,
    Query,
    leaves,
)
from exchange.plans.errors import PlanMalformed
from foundation.language import _

Asking = Claims | Query | LicenceHeld
Each = TypeVar("Each")


class State(StrEnum):
    """What is to be done about a material."""

    BROUGHT = "brought"
    SETTLED = "settled"
    BY_CONSENT = "by-consent"
    BY_COMMITMENT = "by-commitment"
    MAY_FOLLOW = "may-follow"
    TO_BRING = "to-bring"


class Reason(StrEnum):
    """Why a piece of evidence does not settle. It tells no more than the signed answer or the refusal itself does."""

    NO_EVIDENCE = "no-evidence"
    NO_GRANT = "no-grant"
    QUOTA = "quota"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"
    LATE = "late"
    SOURCE_FAILED = "source-failed"
    NOT_ASKABLE = "not-askable"
    SUBJECT_MISSING = "subject-missing"
    INPUT_MISSING = "input-missing"
    NOBODY_TO_ASK = "nobody-to-ask"


_RANK = {State.SETTLED: 0, State.BY_CONSENT: 1, State.BY_COMMITMENT: 2, State.TO_BRING: 3}


@dataclass(frozen=True, slots=True)
class Ask:
    """A leaf that is a question, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class Sign:
    """A leaf that is a commitment."""

    template: str


@dataclass(frozen=True, slots=True)
class See:
    """A leaf that is another material."""

    material: str


@dataclass(frozen=True, slots=True)
class FirstOf:
    """One suffices, the first that settles."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class EachOf:
    """All are needed."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """A leaf that cannot be had: a commitment without a template."""


Node = Ask | Sign | See | FirstOf | EachOf | Never


@dataclass(frozen=True, slots=True)
class Compiled:
    """Materials as trees of nodes, those first that others refer to; `asking` holds the questions by number."""

    trees: tuple[tuple[Material, Node | None], ...]
    asking: tuple[Asking, ...]
    material_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one question.

    Args:
        state: SETTLED, BY_CONSENT (it may be asked once the applicant agrees) or TO_BRING.
        reason: where it does not settle.
    """

    state: State
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be done about a material.

    Args:
        reasons: why what would have been better does not do, in order.
        asked: numbers of the questions that settle it, or would with consent.
        templates: commitments that settle it, or would once signed.
    """

    state: State
    reasons: tuple[Reason, ...] = ()
    asked: tuple[int, ...] = ()
    templates: tuple[str, ...] = ()


def compiled(materials: Sequence[Material], templates: AbstractSet[str]) -> Compiled:
    """Number the questions of all materials.

    Args:
        templates: commitments that there are.

    Raises:
        PlanMalformed: materials that stand for each other in a circle.
    """
    asking: list[Asking] = []
    material_of: list[str] = []

    def node(evidence: Evidence, material: str) -> Node:
        match evidence:
            case AnyOf(of):
                return FirstOf(tuple(node(each, material) for each in of))
            case AllOf(of):
                return EachOf(tuple(node(each, material) for each in of))
            case Commitment(template):
                return Sign(template) if template in templates else Never()
            case OtherMaterial(other):
                return See(other)
            case _:
                asking.append(evidence)
                material_of.append(material)
                return Ask(len(asking) - 1)

    by_id = {each.id: each for each in materials}
    needs = {
        each.id: {leaf.id for leaf in leaves(each.evidence) if isinstance(leaf, OtherMaterial)}
        for each in materials
    }
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise PlanMalformed(_("materials of the matter stand for each other in a circle")) from error
    trees = []
    for name in order:
        material = by_id[name]
        tree = None if material.evidence is None else node(material.evidence, name)
        trees.append((material, tree))
    return Compiled(tuple(trees), tuple(asking), tuple(material_of))


def judged(
    plan: Compiled,
    known: Mapping[int, Verdict],
    signed: AbstractSet[str] = frozenset(),
    brought: AbstractSet[str] = frozenset(),
    slow: AbstractSet[int] = frozenset(),
) -> dict[str, Judged | None]:
    """Return what is known of each material; None while it is open.

    Args:
        known: verdicts of questions by number; the others are open.
        signed: templates of commitments that were signed for this case.
        brought: materials that are there on paper.
        slow: open questions that alternatives need not wait for any more.
    """
    found: dict[str, Judged | None] = {}
    for material, tree in plan.trees:
        if material.id in brought:
            found[material.id] = Judged(State.BROUGHT)
        elif tree is None:
            found[material.id] = Judged(State.TO_BRING, (Reason.NO_EVIDENCE,))
        else:
            found[material.id] = _judge(tree, known, signed, found, slow)
    return found


def wanted(
    plan: Compiled,
    known: Mapping[int, Verdict],
    signed: AbstractSet[str] = frozenset(),
    brought: AbstractSet[str] = frozenset(),
    slow: AbstractSet[int] = frozenset(),
) -> set[int]:
    """Return the open questions that are to be asked now: none that an earlier alternative may make needless."""
    materials = judged(plan, known, signed, brought, slow)
    found: set[int] = set()
    for material, tree in plan.trees:
        if tree is not None and materials[material.id] is None:
            found |= _want(tree, known, signed, materials, slow)
    return found


def _judge(
    node: Node,
    known: Mapping[int, Verdict],
    signed: AbstractSet[str],
    materials: Mapping[str, Judged | None],
    slow: AbstractSet[int],
) -> Judged | None:
    match node:
        case Ask(number):
            verdict = known.get(number)
            if verdict is None:
                return None
            reasons = () if verdict.reason is None else (verdict.reason,)
            return Judged(verdict.state, reasons, () if verdict.state is State.TO_BRING else (number,))
        case Sign(template):
            state = State.SETTLED if template in signed else State.BY_COMMITMENT
            return Judged(state, (), (), (template,))
        case Never():
            return Judged(State.TO_BRING, (Reason.NOT_ASKABLE,))
        case See(name):
            other = materials[name]
            if other is not None and other.state is State.BROUGHT:
                return Judged(State.SETTLED)
            return other
        case EachOf(of):
            every = [_judge(each, known, signed, materials, slow) for each in of]
            failed = [each for each in every if each is not None and each.state is State.TO_BRING]
            if failed:
                return Judged(State.TO_BRING, _united([each.reasons for each in failed]))
            decided = [each for each in every if each is not None]
            if len(decided) < len(every):
                return None
            worst = max(decided, key=lambda each: _RANK[each.state])
            return Judged(
                worst.state,
                _united([each.reasons for each in decided]),
                _united([each.asked for each in decided]),
                _united([each.templates for each in decided]),
            )
        case FirstOf(of):
            tried: list[Judged] = []
            waiting = False
            for each in of:
                outcome = _judge(each, known, signed, materials, slow)
                if outcome is None:
                    waiting = True
                    if not _open(each, known, slow):
                        continue
                    return None
                if outcome.state is State.SETTLED:
                    return outcome
                tried.append(outcome)
            if waiting:
                return None
            best = min(tried, key=lambda each: _RANK[each.state])
            return Judged(best.state, _united([each.reasons for each in tried]), best.asked, best.templates)


def _want(
    node: Node,
    known: Mapping[int, Verdict],
    signed: AbstractSet[str],
    materials: Mapping[str, Judged | None],
    slow: AbstractSet[int],
) -> set[int]:
    match node:
        case Ask(number):
            return set() if number in known else {number}
        case EachOf(of):
            if _judge(node, known, signed, materials, slow) is not None:
                return set()
            return set().union(*(_want(each, known, signed, materials, slow) for each in of))
        case FirstOf(of):
            found: set[int] = set()
            for each in of:
                outcome = _judge(each, known, signed, materials, slow)
                if outcome is None:
                    found |= _want(each, known, signed, materials, slow)
                    if _open(each, known, slow):
                        return found
                elif outcome.state is State.SETTLED:
                    return found
            return found
        case _:
            return set()


def _open(node: Node, known: Mapping[int, Verdict], slow: AbstractSet[int]) -> bool:
    """True when there is something in it that alternatives wait for."""
    match node:
        case Ask(number):
            return number not in known and number not in slow
        case FirstOf(of) | EachOf(of):
            return any(_open(each, known, slow) for each in of)
        case See():
            return True
        case Sign() | Never():
            return False


def _united(parts: Sequence[tuple[Each, ...]]) -> tuple[Each, ...]:
    return tuple(dict.fromkeys(each for part in parts for each in part))
