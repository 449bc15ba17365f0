"""What share of the papers that matters ask for the exchange could settle: a count over descriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from exchange.matters.decisions import REJECTED, Decision
from exchange.matters.matching import candidate, is_form, vocabulary

MOST_OPEN = 30
"""Names of papers that nothing is known for, the most asked first: what to connect next."""


class Standing(StrEnum):
    """What is known of one paper that one matter asks for, from the best to the worst.

    `confirmed`: evidence in the description that the exchange fetches. `commitment`: in the description, by a
    commitment alone. `candidate`, `candidate-commitment`: would be so if a steward confirmed what its name suggests.
    `form`: the application itself, which nobody else holds. `open`: nothing known, it is brought.
    """

    CONFIRMED = "confirmed"
    COMMITMENT = "commitment"
    CANDIDATE = "candidate"
    CANDIDATE_COMMITMENT = "candidate-commitment"
    FORM = "form"
    OPEN = "open"


class Means(StrEnum):
    """How a tree of evidence settles at best."""

    EXCHANGE = "exchange"
    COMMITMENT = "commitment"


@dataclass(slots=True)
class Count:
    """Papers by standing: each time that one is asked for, and distinct names."""

    occurrences: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class PaperFree:
    """Matters that could do without any paper.

    Args:
        asks_nothing: have no materials at all.
        confirmed: all that is required is confirmed, by the exchange or a commitment.
        with_candidates: the same, if the candidates are confirmed, too.
        but_the_form: further ones that are left with their application form only.
    """

    asks_nothing: int
    confirmed: int
    with_candidates: int
    but_the_form: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report; shares are of `count`.

    Args:
        by_evidence: evidence type → standing → how often asked for.
        by_sureness: of candidates, how their names met.
        departments: (code, name) → matters and papers by standing.
        open_names: normalised name → how often asked for, the most asked first.
    """

    matters: int
    count: Count
    by_evidence: Mapping[str, Mapping[str, int]]
    by_sureness: Mapping[str, int]
    paper_free: PaperFree
    departments: Mapping[tuple[str, str], Mapping[str, int]]
    open_names: tuple[tuple[str, int], ...]


def means(evidence: Mapping[str, Any] | None) -> Means | None:
    """Return how a tree settles at best; another material of the same case counts as the exchange's."""
    if evidence is None:
        return None
    ((kind, value),) = evidence.items()
    if kind == "commitment":
        return Means.COMMITMENT
    if kind not in ("any_of", "all_of"):
        return Means.EXCHANGE
    found = {means(each) for each in value}
    if kind == "any_of":
        return Means.EXCHANGE if Means.EXCHANGE in found else Means.COMMITMENT
    return Means.COMMITMENT if Means.COMMITMENT in found else Means.EXCHANGE


def report(documents: Iterable[Mapping[str, Any]], decided: Iterable[Decision]) -> Report:
    """Count over descriptions, one of each matter.

    Args:
        decided: what stewards rejected is no candidate any more.
    """
    refused = frozenset((each.name, each.evidence_type) for each in decided if each.decision == REJECTED)
    count, by_name = Count(), dict[str, Standing]()
    by_evidence: dict[str, Counter[str]] = {}
    by_sureness: Counter[str] = Counter()
    departments: dict[tuple[str, str], Counter[str]] = {}
    open_names: Counter[str] = Counter()
    free: Counter[str] = Counter()
    matters = 0
    for document in documents:
        matters += 1
        department = departments.setdefault((document["department"], document["department_name"]), Counter())
        department["matters"] += 1
        left = []
        for material in document["materials"]:
            standing, types, surenesses = _standing(material, refused)
            count.occurrences[standing] += 1
            department[standing] += 1
            by_name[material["name"]] = min(
                standing, by_name.get(material["name"], standing), key=_ORDER.index
            )
            for each in types:
                by_evidence.setdefault(each, Counter())[standing] += 1
            by_sureness.update(surenesses)
            if standing is Standing.OPEN:
                open_names[material["name"]] += 1
            if material.get("required", True):
                left.append(standing)
        free[_freedom(left, bool(document["materials"]))] += 1
    count.names.update(by_name.values())
    return Report(
        matters=matters,
        count=count,
        by_evidence={
            name: dict(each) for name, each in sorted(by_evidence.items(), key=lambda e: -e[1].total())
        },
        by_sureness=dict(by_sureness),
        paper_free=PaperFree(
            asks_nothing=free["nothing"],
            confirmed=free["confirmed"],
            with_candidates=free["confirmed"] + free["candidates"],
            but_the_form=free["form"],
        ),
        departments={
            name: dict(each)
            for name, each in sorted(departments.items(), key=lambda e: (-e[1].total(), e[0]))
        },
        open_names=tuple(open_names.most_common(MOST_OPEN)),
    )


_ORDER = list(Standing)


def _standing(
    material: Mapping[str, Any], refused: frozenset[tuple[str, str]]
) -> tuple[Standing, list[str], list[str]]:
    """Return standing, evidence types and, of a candidate, how sure it is."""
    known = means(material.get("evidence"))
    matching = material.get("matching") or {}
    if known is not None:
        types = matching.get("confirmed") or ["written"]
        return (Standing.CONFIRMED if known is Means.EXCHANGE else Standing.COMMITMENT), list(types), []
    if is_form(material["name"]):
        return Standing.FORM, [], []
    names = matching.get("names", [material["name"]])
    found = [
        each
        for name in names
        if (each := candidate(name, material["name"])) is not None
        and (name, each.evidence_type) not in refused
    ]
    if not found or (matching.get("joined") == "all_of" and len(found) < len(names)):
        return Standing.OPEN, [], []
    types = vocabulary().types
    tree = {matching.get("joined", "any_of"): [types[each.evidence_type].evidence for each in found]}
    best = means(tree if len(found) > 1 else types[found[0].evidence_type].evidence)
    standing = Standing.CANDIDATE if best is Means.EXCHANGE else Standing.CANDIDATE_COMMITMENT
    return (
        standing,
        list(dict.fromkeys(each.evidence_type for each in found)),
        [each.sureness.value for each in found],
    )


def _freedom(left: list[Standing], asks: bool) -> str:
    if not asks:
        return "nothing"
    worst = max(left, key=_ORDER.index, default=Standing.CONFIRMED)
    if worst is Standing.OPEN:
        return "papers"
    if worst is Standing.FORM:
        return "form"
    return "candidates" if worst in (Standing.CANDIDATE, Standing.CANDIDATE_COMMITMENT) else "confirmed"
