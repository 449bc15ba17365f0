"""What a report of a wrong value is, and what may follow on what: rules without database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from exchange.deadlines import CORRECTION, Deadlines
from foundation.errors import DomainError
from foundation.language import _


class CorrectionStateWrong(DomainError):
    code = "correction-state-wrong"


class CorrectionInvalid(DomainError):
    code = "correction-invalid"


class CorrectionIdTaken(DomainError):
    code = "correction-id-taken"


class State(StrEnum):
    """How far a report has come."""

    OPEN = "open"
    NEEDS_MORE = "needs-more"
    """The department cannot tell from what was said; its term rests until the reporter adds something."""
    CORRECTED = "corrected"
    CONFIRMED = "confirmed"
    """The department has looked, and the value is right."""
    WITHDRAWN = "withdrawn"


ANSWERS = {State.CORRECTED, State.CONFIRMED, State.NEEDS_MORE}

FOLLOWS: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({*ANSWERS, State.WITHDRAWN}),
    State.NEEDS_MORE: frozenset({State.OPEN, State.WITHDRAWN}),
    State.CORRECTED: frozenset(),
    State.CONFIRMED: frozenset(),
    State.WITHDRAWN: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Correction:
    """A report of a wrong value.

    What was said, by whom identified, with which evidence, and the answer's reason may hold people's data: they
    are sealed, and stand in `sealed` and `answer_sealed` only (`said.py`), None once that was forgotten.

    Args:
        client_id: who reported: a system, or a person by the name that their issuer gives them; `department`: of the
            system, empty for a person; `reporter`: blind index of the person.
        owner: code of the department that answers; empty: the sharing authority does.
        register: name of the register; `subject`: blind index of whose value it is.
        value: keyed fingerprint of the value that is said to be wrong, None where there was none; `value_since`: since
            when the register has shown it, None where it never knew the subject.
        source: that the value came from.
        due_on: the last day of the term to answer in; None where none runs.
        task_closed_at: of what was found wrong: when the register showed another value.
        looked_at: when this was last looked for.
    """

    id: uuid.UUID
    client_id: str
    department: str
    reporter: bytes | None
    owner: str
    resource: str
    register: str
    subject: bytes
    field: str
    value: bytes | None
    value_since: datetime | None
    source: str | None
    sealed: bytes | None
    state: State
    reported_at: datetime
    due_on: date | None
    overdue_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None
    answer_sealed: bytes | None = None
    task_closed_at: datetime | None = None
    looked_at: datetime | None = None


def answered(
    correction: Correction, state: State, by: str, answer_sealed: bytes, now: datetime
) -> Correction:
    """Return a report with its department's answer; raises CorrectionStateWrong where none is waited for."""
    _require(correction, state)
    return replace(
        correction,
        state=state,
        due_on=None,
        overdue_at=None,
        answered_at=now,
        answered_by=by,
        answer_sealed=answer_sealed,
    )


def added_to(correction: Correction, sealed: bytes, deadlines: Deadlines, now: datetime) -> Correction:
    """Return a report to which its reporter added what was missing: the term begins again."""
    _require(correction, State.OPEN)
    return replace(
        correction, state=State.OPEN, sealed=sealed, due_on=due_on(correction.owner, deadlines, now)
    )


def withdrawn(correction: Correction) -> Correction:
    """Return a report that its reporter takes back."""
    _require(correction, State.WITHDRAWN)
    return replace(correction, state=State.WITHDRAWN, due_on=None)


def due_on(owner: str, deadlines: Deadlines, now: datetime) -> date:
    """Return the last day of the term to answer in, from now."""
    return deadlines.due_on(owner, CORRECTION, "answer", now)


def _require(correction: Correction, state: State) -> None:
    if state not in FOLLOWS[correction.state]:
        raise CorrectionStateWrong(
            _("the report is {state}, and {next} does not follow on that"), state=correction.state, next=state
        )
