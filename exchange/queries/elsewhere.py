"""Claims whose answer does not stand in the subject's row: licences, representatives, entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from exchange.ports import Exchange
from exchange.queries.claims import Claim, ClaimMalformed, Comparison
from exchange.queries.compare import Verdict
from exchange.registers import entries
from exchange.registers.representatives import representatives
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


async def look_elsewhere(
    exchange: Exchange, claims: Sequence[Claim], subjects: Sequence[bytes], today: date
) -> dict[str, Told]:
    """Answer those claims about a subject that its row does not; whether a register knows it plays no part.

    Args:
        subjects: blind index of the identifier asked about and, where an alias was followed, that of the row: what
            stands under either is about the subject.
    """
    told: dict[str, Told] = {}
    kinds = []
    for claim in claims:
        value = str(claim.value)
        if claim.comparison is Comparison.LICENCE_IN_FORCE:
            held = [await exchange.licences.in_force(value, subject, today) for subject in subjects]
            told[claim.name] = (Verdict.MATCH if any(held) else Verdict.MISMATCH, LICENCES_SOURCE)
        elif claim.comparison is Comparison.REPRESENTATIVE_OF:
            told[claim.name] = await _represents(exchange, value, subjects, today)
        elif claim.comparison is Comparison.NO_ENTRY:
            kinds.append(claim)
    asked = [(subject, str(claim.value)) for claim in kinds for subject in subjects]
    found = iter(await entries.standing(exchange.pool, asked, today))
    for claim in kinds:
        standing = [next(found) for _subject in subjects]
        sources = sorted({source for each in standing for source in each.found})
        if sources:
            told[claim.name] = Verdict.MISMATCH, ", ".join(sources)
        else:
            told[claim.name] = (Verdict.MATCH, "entries") if standing[0].known else (Verdict.UNKNOWN, None)
    return told


async def _represents(exchange: Exchange, code: str, subjects: Sequence[bytes], today: date) -> Told:
    named = await representatives(exchange.pool, exchange.vault, code, today)
    if not named:
        return Verdict.UNKNOWN, None
    sources = ", ".join(sorted({each.source for each in named}))
    return Verdict.MATCH if any(each.subject in subjects for each in named) else Verdict.MISMATCH, sources
