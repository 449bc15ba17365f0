"""Claims whose answer does not stand in the subject's row: licences, representatives, entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from exchange.ports import Exchange
from exchange.queries.claims import Claim, ClaimMalformed, Comparison
from exchange.queries.compare import Verdict
from exchange.registers import entries
from exchange.registers.representatives import Named, representatives
from foundation.language import _

LICENCES_SOURCE = "licences"

Told = tuple[Verdict, str | None]
"""Verdict, and the source that it rests on; None where nothing is known."""


def require_known_types(exchange: Exchange, claims: Sequence[Claim]) -> None:
    """Refuse claims about licences of a type that does not exist.

    Raises:
        ClaimMalformed: names the claim.
    """
    for claim in claims:
        if claim.comparison is Comparison.LICENCE_IN_FORCE and not exchange.licences.knows(str(claim.value)):
            raise ClaimMalformed(_("there is no such licence type"), pointer=f"/claims/{claim.name}/value")


@dataclass(frozen=True, slots=True)
class About:
    """Claims about one subject.

    Args:
        subjects: blind index of the identifier asked about and, where an alias was followed, that of the row: what
            stands under either is about the subject.
    """

    claims: Sequence[Claim]
    subjects: Sequence[bytes]


async def look_elsewhere(exchange: Exchange, asked: Sequence[About], today: date) -> list[dict[str, Told]]:
    """Answer in step those claims about subjects that their rows do not; whether a register knows them plays no part.

    However many are asked about: licences are looked up in one statement, entries in one, and representatives in one
    for many entities.
    """
    licences = await _licences_held(exchange, asked, today)
    named = await _represented(exchange, asked, today)
    standing = await _standing(exchange, asked, today)
    answered = []
    for about in asked:
        told: dict[str, Told] = {}
        for claim in about.claims:
            questions = [(str(claim.value), subject) for subject in about.subjects]
            if claim.comparison is Comparison.LICENCE_IN_FORCE:
                held = any(licences[question] for question in questions)
                told[claim.name] = (Verdict.MATCH if held else Verdict.MISMATCH), LICENCES_SOURCE
            elif claim.comparison is Comparison.REPRESENTATIVE_OF:
                told[claim.name] = _represents(named[str(claim.value)], about.subjects)
            elif claim.comparison is Comparison.NO_ENTRY:
                told[claim.name] = _none_of([standing[question] for question in questions])
        answered.append(told)
    return answered


def _questions(asked: Sequence[About], comparison: Comparison) -> list[tuple[str, bytes]]:
    """Return (what a claim names, blind index) of all claims of a kind, each once."""
    found = {
        (str(claim.value), subject): None
        for about in asked
        for claim in about.claims
        if claim.comparison is comparison
        for subject in about.subjects
    }
    return list(found)


async def _licences_held(
    exchange: Exchange, asked: Sequence[About], today: date
) -> Mapping[tuple[str, bytes], bool]:
    questions = _questions(asked, Comparison.LICENCE_IN_FORCE)
    held = await exchange.licences.in_force(questions, today) if questions else []
    return dict(zip(questions, held, strict=True))


async def _represented(
    exchange: Exchange, asked: Sequence[About], today: date
) -> Mapping[str, Sequence[Named]]:
    codes = dict.fromkeys(code for code, _subject in _questions(asked, Comparison.REPRESENTATIVE_OF))
    return await representatives(exchange.pool, exchange.vault, list(codes), today)


async def _standing(
    exchange: Exchange, asked: Sequence[About], today: date
) -> Mapping[tuple[str, bytes], entries.Standing]:
    questions = _questions(asked, Comparison.NO_ENTRY)
    found = await entries.standing(exchange.pool, [(subject, kind) for kind, subject in questions], today)
    return dict(zip(questions, found, strict=True))


def _represents(named: Sequence[Named], subjects: Sequence[bytes]) -> Told:
    if not named:
        return Verdict.UNKNOWN, None
    sources = ", ".join(sorted({each.source for each in named}))
    return Verdict.MATCH if any(each.subject in subjects for each in named) else Verdict.MISMATCH, sources


def _none_of(standing: Sequence[entries.Standing]) -> Told:
    sources = sorted({source for each in standing for source in each.found})
    if sources:
        return Verdict.MISMATCH, ", ".join(sources)
    return (Verdict.MATCH, "entries") if standing[0].known else (Verdict.UNKNOWN, None)
