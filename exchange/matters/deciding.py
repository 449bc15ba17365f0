"""A steward decides once what a paper's name stands for; every matter that asks for it takes it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.matters import decisions, tables
from exchange.matters.applying import Confirmed, material_names, settle
from exchange.matters.decisions import CONFIRMED, REJECTED, Decision
from exchange.matters.matching import EvidenceType, Sureness, candidate, vocabulary
from exchange.matters.matter import MatterMalformed, read_matter
from foundation.errors import DomainError
from foundation.language import _


class EvidenceTypeUnknown(DomainError):
    code = "evidence-type-unknown"


class MaterialNameMalformed(DomainError):
    code = "material-name-malformed"


class ConfirmedOtherwise(DomainError):
    code = "material-confirmed-otherwise"


class NoCandidate(DomainError):
    code = "material-without-candidate"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A name that a candidate was found for and nobody decided on yet.

    Args:
        used: how many materials of how many matters speak of it.
        within: published names that it stands in, a few of them.
    """

    name: str
    evidence_type: str
    role: str
    sureness: Sureness
    used: int
    matters: int
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision.

    Args:
        changed_drafts: matters whose draft took it up, `new_drafts` of which got one for it.
        left_out: codes of matters that would have more roles, inputs or evidence by it than a description may.
    """

    decision: Decision
    changed_drafts: int
    new_drafts: int
    left_out: tuple[str, ...]


def waiting(documents: Iterable[Mapping[str, Any]], decided: Sequence[Decision]) -> list[Waiting]:
    """Return the candidates of all names that nobody decided on, the surest and most used first."""
    done = {each.name for each in decided if each.decision == CONFIRMED}
    refused = {(each.name, each.evidence_type) for each in decided if each.decision == REJECTED}
    used: Counter[str] = Counter()
    matters: Counter[str] = Counter()
    best: dict[str, tuple[str, str, Sureness]] = {}
    within: dict[str, dict[str, None]] = {}
    for document in documents:
        here: set[str] = set()
        for material in document["materials"]:
            matching = material.get("matching")
            if matching is None:
                continue
            published = material.get("name_as_published", material["name"])
            for name in matching["names"]:
                found = candidate(name, material["name"])
                if found is None or name in done or (name, found.evidence_type) in refused:
                    continue
                used[name] += 1
                here.add(name)
                known = best.get(name)
                # A name alone says whose paper it is better than as a part of another.
                if known is None or len(matching["names"]) == 1:
                    best[name] = (found.evidence_type, found.role, found.sureness)
                within.setdefault(name, {})[published] = None
        matters.update(here)
    order = list(Sureness)
    found_all = [
        Waiting(name, kind, role, sureness, used[name], matters[name], tuple(within[name])[:5])
        for name, (kind, role, sureness) in best.items()
    ]
    return sorted(found_all, key=lambda each: (order.index(each.sureness), -each.used, each.name))


async def decide(
    pool: Any,
    name: str,
    evidence_type: str | None,
    *,
    confirm: bool,
    role: str | None = None,
    reason: str | None = None,
    decided_by: str,
    now: datetime,
) -> Decided:
    """Confirm or reject an evidence type for a name, and bring every matter in line with it.

    1. Normalise the name; take the candidate's evidence type where none is named.
    2. In one transaction, one decision at a time: store it, and give the newest version of each matter that speaks
       of the name the evidence that is now confirmed: a draft in its place, of a published one a new draft. What is
       published stays as it is until somebody publishes the draft.

    If we die before the transaction is durable, nothing was decided. The same decision again changes nothing.

    Raises:
        MaterialNameMalformed: nothing visible, or several papers: each is decided by itself.
        EvidenceTypeUnknown, NoCandidate: as they say.
        ConfirmedOtherwise: another type is confirmed for the name; it has to be rejected first.
    """
    paper = _paper(name)
    kind = _kind(paper, evidence_type)
    decision = Decision(paper, kind.id, CONFIRMED if confirm else REJECTED, role, reason, decided_by, now)
    async with pool.acquire() as connection, connection.transaction():
        await decisions.lock(connection)
        confirmed = await decisions.confirmed(connection)
        known = confirmed.get(paper)
        if confirm and known is not None and known.evidence_type != kind.id:
            raise ConfirmedOtherwise(
                _("{name} is confirmed as {known}; reject that first"), name=paper, known=known.evidence_type
            )
        await decisions.put(connection, decision)
        if confirm:
            confirmed[paper] = Confirmed(kind.id, role)
        elif known is not None and known.evidence_type == kind.id:
            del confirmed[paper]
        changed = new = 0
        left_out = []
        for version in await tables.speaking_of(connection, [paper]):
            settled = settle(version.document, confirmed)
            if settled == version.document:
                continue
            if version.state != "draft":
                settled["version"] = version.version + 1
            try:
                read_matter(settled)
            except MatterMalformed:
                left_out.append(version.code)
                continue
            await tables.put_draft(connection, settled, decided_by, now)
            changed += 1
            new += version.state != "draft"
    return Decided(decision, changed, new, tuple(left_out))


def _paper(name: str) -> str:
    try:
        names = material_names(name)
    except ValueError as error:
        raise MaterialNameMalformed(_("a name needs a visible character"), pointer="/name") from error
    if len(names.parts) > 1:
        raise MaterialNameMalformed(
            _("this name speaks of several papers, each decided by itself: {names}"),
            pointer="/name",
            names=" | ".join(names.parts),
        )
    return names.parts[0]


def _kind(paper: str, evidence_type: str | None) -> EvidenceType:
    types = vocabulary().types
    if evidence_type is None:
        found = candidate(paper)
        if found is None:
            raise NoCandidate(_("no evidence type is a candidate for {name}; name one"), name=paper)
        return types[found.evidence_type]
    if evidence_type not in types:
        raise EvidenceTypeUnknown(
            _("no evidence type has the name {name}"), pointer="/evidence_type", name=evidence_type
        )
    return types[evidence_type]
