"""Which evidence could take the place of a paper, judged by its name: candidates for a steward, never a decision.

What is known of names stands in `evidence_types.json`, so that a place adds its own words without code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import orjson
from rapidfuzz import fuzz, process

from exchange.matters.names import without_notes

LIKE_ENOUGH = 78.0
"""Of 100 (`rapidfuzz.fuzz.ratio`) from which on two names of at least four characters are called similar."""

APPLICANT = "applicant"

_SEVERAL = re.compile("和|及|与|、|,|;")
"""In a name that could not be split for certain: more is asked for than the paper that its last words name."""


class Sureness(StrEnum):
    """How a name met that of an evidence type, from sure to unsure."""

    EXACT = "exact"
    CONTAINED = "contained"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class EvidenceType:
    """What can take the place of papers of some names.

    Args:
        kind: of the subject's identifier, `citizen-id` or `uscc`.
        role: whom it speaks of where the name does not say.
        consent: it tells of things that the applicant had better see before it goes out.
        evidence: a tree as in a matter's description; applying it fills in `{role}`, `{title}` and `{entity}`.
        inputs: what the claims of the evidence refer to, filled in the same way.
    """

    id: str
    title: str
    title_en: str
    kind: str
    role: str
    consent: bool
    names: tuple[str, ...]
    evidence: Mapping[str, Any]
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HolderWord:
    """A word before the name of a paper that says whose it is: `代办人` of `代办人身份证`."""

    word: str
    role: str
    kind: str | None
    title: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All of `evidence_types.json`, made ready for matching.

    Args:
        by_name: name of a paper → evidence type; a name belongs to one type only.
        forms: last words of papers that the applicant fills in: nobody else holds what they say.
        own: last words of papers that the applicant writes.
        strange: words that make it another country's or another act's paper.
        adornments: first words that change nothing.
    """

    types: Mapping[str, EvidenceType]
    by_name: Mapping[str, EvidenceType]
    holders: tuple[HolderWord, ...]
    titles: Mapping[str, str]
    forms: tuple[str, ...]
    own: tuple[str, ...]
    strange: tuple[str, ...]
    adornments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An evidence type that may fit a name: about whom, and how sure."""

    evidence_type: str
    role: str
    sureness: Sureness


@cache
def vocabulary() -> Vocabulary:
    """Read `evidence_types.json`; a name that two types claim is refused with ValueError."""
    document = orjson.loads((resources.files("exchange.matters") / "evidence_types.json").read_bytes())
    types = {
        each["id"]: EvidenceType(
            id=each["id"],
            title=each["title"],
            title_en=each["title_en"],
            kind=each["kind"],
            role=each.get("role", APPLICANT),
            consent=each.get("consent", False),
            names=tuple(each["names"]),
            evidence=each["evidence"],
            inputs=each["inputs"],
        )
        for each in document["types"]
    }
    by_name: dict[str, EvidenceType] = {}
    for each in types.values():
        for name in each.names:
            if by_name.setdefault(name, each) is not each:
                raise ValueError(f"{name} stands in {each.id} and in {by_name[name].id}")
    holders = [
        HolderWord(word, each["role"], each["kind"], each["title"])
        for each in document["holders"]
        for word in each["words"]
    ]
    return Vocabulary(
        types=types,
        by_name=by_name,
        holders=tuple(sorted(holders, key=lambda each: -len(each.word))),
        titles={each["role"]: each["title"] for each in document["holders"]},
        forms=tuple(document["forms"]),
        own=tuple(document["own_words"]),
        strange=tuple(document["strange"]),
        adornments=tuple(sorted(document["adornments"], key=len, reverse=True)),
    )


def is_form(name: str) -> bool:
    """True for what the applicant fills in: an application, not a proof of anything."""
    return without_notes(name)[0].endswith(vocabulary().forms)


@lru_cache(maxsize=50_000)
def candidate(name: str, whole: str | None = None) -> Candidate | None:
    """Return what may take the place of a paper, or None.

    Args:
        name: normalised, of one paper (a part of `names.MaterialName`).
        whole: the name that it is a part of: a word in front of the first part, whose paper or which country's it
            is, holds for the others.
    """
    known = vocabulary()
    bare, notes = without_notes(name)
    context = whole or name
    if any(word in context for word in known.strange) or bare.endswith(known.forms):
        return None
    if _SEVERAL.search(_unadorned(bare)) and bare not in known.by_name:
        return None
    paper, holder = _without_holder(bare)
    if holder is None and whole is not None and whole != name:
        holder = _without_holder(without_notes(whole)[0])[1]
    found = _found(bare) or _found(paper)
    if found is None and len(notes) == 1 and bare in known.adornments:
        # 法定登记注册文件(营业执照): the kind stands outside, the paper in brackets.
        found = _found(notes[0])
        return None if found is None else _as(found[0], Sureness.CONTAINED, holder)
    if found is None:
        return None
    kind, sureness = found
    return _as(kind, Sureness.CONTAINED if notes and sureness is Sureness.EXACT else sureness, holder)


def _as(kind: EvidenceType, sureness: Sureness, holder: HolderWord | None) -> Candidate:
    role = kind.role
    if role == APPLICANT and holder is not None and holder.kind in (None, kind.kind):
        role = holder.role
    return Candidate(kind.id, role, sureness)


def _found(name: str) -> tuple[EvidenceType, Sureness] | None:
    known = vocabulary()
    plain = _unadorned(name)
    for each in (name, plain):
        if each in known.by_name:
            return known.by_name[each], Sureness.EXACT
    ending = max(
        (other for other in known.by_name if len(other) > 2 and plain.endswith(other)), key=len, default=""
    )
    if ending:
        return (known.by_name[ending], Sureness.CONTAINED) if _same_end(plain, ending) else None
    if len(plain) < 4:
        return None
    like = process.extractOne(plain, known.by_name.keys(), scorer=fuzz.ratio, score_cutoff=LIKE_ENOUGH)
    # The first words tell papers apart: 律师执业证 is no 医师执业证, however little differs.
    if like is None or like[0][:2] != plain[:2] or not _same_end(plain, like[0]):
        return None
    return known.by_name[like[0]], Sureness.SIMILAR


def _same_end(name: str, other: str) -> bool:
    # 身份证照片 is a picture that the applicant takes, however much of its name is that of a paper.
    return all(other.endswith(word) or not name.endswith(word) for word in vocabulary().own)


def _unadorned(name: str) -> str:
    changed = True
    while changed:
        changed = False
        for word in vocabulary().adornments:
            if name.startswith(word) and len(name) > len(word) + 1:
                name, changed = name[len(word) :], True
    return name


def _without_holder(name: str) -> tuple[str, HolderWord | None]:
    """Return the paper without the words before it that say whose it is, and the one of them that counts."""
    found: HolderWord | None = None
    plain = _unadorned(name)
    while (holder := _holder_of(plain)) is not None:
        # 参保人本人身份证: the last word counts, unless it only says 本人 of whom was named before.
        if found is None or holder.role != APPLICANT:
            found = holder
        plain = _unadorned(plain[len(holder.word) :].lstrip("的"))
    return plain, found


def _holder_of(name: str) -> HolderWord | None:
    return next(
        (
            each
            for each in vocabulary().holders
            if name.startswith(each.word) and len(name) > len(each.word) + 1
        ),
        None,
    )
