"""Whether a question may be answered: by the caller's grants and, where these name divisions, by the subject's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.grants.grant import (
    FieldNotGranted,
    Grant,
    Mode,
    SubjectNotCovered,
    covering_grants,
    for_subject,
)
from exchange.ports import Exchange
from exchange.queries.authorise import Prepared
from exchange.queries.subjects import Known, find
from exchange.relaying.source import LiveSource
from foundation.identity.principals import Principal


@dataclass(frozen=True, slots=True)
class Admitted:
    """A question that may be answered: by this grant, from what is known, still closed; None where nothing is.

    Args:
        source: where the resource is live, and is to be asked in the place of what is known here.
    """

    grant: Grant
    known: Known | None
    source: LiveSource | None = None


async def admit(
    exchange: Exchange, caller: Principal, mode: Mode, prepared: Prepared, now: datetime
) -> Admitted:
    """Return the grant that allows a question, its use counted, and what is known of the subject.

    The decision looks at the grants alone; where those that are left are for some divisions, also at the division of
    the subject, and a subject that is not known is refused in the same words as one from elsewhere.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, FieldNotGranted, OutsideHours, SubjectNotCovered,
            QuotaExceeded, TooManyUnknown, SourceUnavailable: as they say.
    """
    question = prepared.question
    given = await exchange.grants.of(caller.id, question.resource)
    try:
        covering = covering_grants(given, mode, prepared.fields, question.matter, now)
    except FieldNotGranted as refusal:
        refusal.pointer = prepared.place(str(refusal.values["field"]))
        raise
    exchange.misses.require_few(caller.id, now)
    source = exchange.relays.source_of(prepared.resource)
    if source is not None:
        # Where the subject lives is not known here: a grant for some divisions does not hold.
        return Admitted(await exchange.grants.take(for_subject(covering, None), now), None, source)
    known = await find(exchange, prepared, now)
    try:
        allowing = for_subject(covering, None if known is None else known.division)
    except SubjectNotCovered:
        await exchange.misses.note(caller.id, prepared.subject, now)
        raise
    grant = await exchange.grants.take(allowing, now)
    if known is None:
        await exchange.misses.note(caller.id, prepared.subject, now)
    return Admitted(grant, known)
