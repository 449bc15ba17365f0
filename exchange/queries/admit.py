"""Whether a question may be answered: by the caller's grants and, where these name divisions, by the subject's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.grants.grant import FieldNotGranted, Grant, Mode, covering_grants, for_subject
from exchange.grants.scope import division_of
from exchange.ports import Exchange
from exchange.queries.authorise import Prepared
from exchange.registers.lookup import RegisterRow
from foundation.identity.principals import Principal


@dataclass(frozen=True, slots=True)
class Admitted:
    """A question that may be answered: by this grant, from this row, still sealed; None where the register has none."""

    grant: Grant
    row: RegisterRow | None


async def admit(
    exchange: Exchange, caller: Principal, mode: Mode, prepared: Prepared, now: datetime
) -> Admitted:
    """Return the grant that allows a question, its use counted, and the subject's row.

    The decision looks at the grants alone; where those that are left are for some divisions, also at the division of
    the subject, and a subject without a row is refused in the same words as one from elsewhere.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, FieldNotGranted, OutsideHours, SubjectNotCovered,
            QuotaExceeded: as they say.
    """
    question, register = prepared.question, prepared.resource.register
    given = await exchange.grants.of(caller.id, question.resource)
    try:
        covering = covering_grants(given, mode, prepared.fields, question.matter, now)
    except FieldNotGranted as refusal:
        refusal.pointer = prepared.place(str(refusal.values["field"]))
        raise
    row = await exchange.lookups.find(register, prepared.subject)
    division = None if row is None else division_of(register.name, row.content)
    grant = await exchange.grants.take(for_subject(covering, division), now)
    return Admitted(grant, row)
