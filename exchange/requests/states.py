"""States of a share request as one explicit state machine: who may do what, and when. No database, no clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from foundation.errors import DomainError
from foundation.language import _


class State(StrEnum):
    """How far a request has come."""

    SUBMITTED = "submitted"
    RETURNED = "returned"
    """Found incomplete; the requester completes it and submits it again."""
    CHECKED = "checked"
    GRANTED = "granted"
    GRANTED_IN_PART = "granted-in-part"
    REFUSED = "refused"
    PROVIDED = "provided"
    """Its grant stands."""
    DISPUTED = "disputed"
    DECIDED_GRANTED = "decided-granted"
    DECIDED_REFUSED = "decided-refused"
    ENDED = "ended"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Action(StrEnum):
    """What can be done to a request."""

    SUBMIT = "submit"
    RETURN = "return"
    RESUBMIT = "resubmit"
    CHECK = "check"
    GRANT = "grant"
    GRANT_IN_PART = "grant-in-part"
    REFUSE = "refuse"
    PROVIDE = "provide"
    DISPUTE = "dispute"
    DECIDE_FOR_REQUESTER = "decide-for-requester"
    DECIDE_FOR_OWNER = "decide-for-owner"
    WITHDRAW = "withdraw"
    END = "end"
    EXPIRE = "expire"
    OVERDUE = "overdue"
    """Changes no state: the term of the step that the request is in has passed, and this was told."""


class Actor(StrEnum):
    """As whom somebody acts on a request."""

    REQUESTER = "requester"
    OWNER = "owner"
    """The department that the resource is of."""
    AUTHORITY = "sharing-authority"
    EXCHANGE = "exchange"
    """The exchange itself, where rules or the calendar leave no choice."""


class RequestStateWrong(DomainError):
    code = "request-state-wrong"


class RequestActorWrong(DomainError):
    code = "request-actor-wrong"


ENDS = frozenset({State.DECIDED_REFUSED, State.ENDED, State.EXPIRED, State.WITHDRAWN})
"""Nothing follows on these. (A refusal may still be disputed.)"""

OPEN = frozenset(State) - ENDS

WITH_GRANT = frozenset({State.PROVIDED, State.DISPUTED, State.DECIDED_GRANTED})
"""States in which the grant of a request, if it has one, goes on."""

STEPS = {
    State.SUBMITTED: "check",
    State.CHECKED: "answer",
    State.GRANTED: "provide",
    State.GRANTED_IN_PART: "provide",
    State.DECIDED_GRANTED: "provide",
    State.DISPUTED: "decide",
}
"""States in which somebody has to act within a term, and the step that it is of (`deadlines.json`)."""

LATE = {
    "check": Actor.AUTHORITY,
    "answer": Actor.OWNER,
    "provide": Actor.OWNER,
    "decide": Actor.AUTHORITY,
}
"""Step → who is late if its term passes."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the state machine: from these states, by these actors, into one of these states."""

    action: Action
    starts: frozenset[State | None]
    ends: frozenset[State]
    actors: frozenset[Actor]


def _line(action: Action, starts: Collection[State | None], ends: set[State], *actors: Actor) -> Transition:
    return Transition(action, frozenset(starts), frozenset(ends), frozenset(actors))


_S, _A = State, Action
_ASKS, _OWNS, _DECIDES, _ITSELF = Actor.REQUESTER, Actor.OWNER, Actor.AUTHORITY, Actor.EXCHANGE

TRANSITIONS: tuple[Transition, ...] = (
    _line(_A.SUBMIT, {None}, {_S.SUBMITTED}, _ASKS),
    # What the law keeps from being shared needs no check.
    _line(_A.REFUSE, {_S.SUBMITTED}, {_S.REFUSED}, _ITSELF),
    _line(_A.RETURN, {_S.SUBMITTED}, {_S.RETURNED}, _DECIDES),
    _line(_A.RESUBMIT, {_S.RETURNED}, {_S.SUBMITTED}, _ASKS),
    _line(_A.CHECK, {_S.SUBMITTED}, {_S.CHECKED}, _DECIDES),
    # What is shared without conditions is granted, and given, as soon as the request is found complete.
    _line(_A.GRANT, {_S.CHECKED}, {_S.GRANTED}, _OWNS, _ITSELF),
    _line(_A.GRANT_IN_PART, {_S.CHECKED}, {_S.GRANTED_IN_PART}, _OWNS),
    _line(_A.REFUSE, {_S.CHECKED}, {_S.REFUSED}, _OWNS),
    _line(
        _A.PROVIDE,
        {_S.GRANTED, _S.GRANTED_IN_PART, _S.DECIDED_GRANTED},
        {_S.PROVIDED},
        _OWNS,
        _DECIDES,
        _ITSELF,
    ),
    _line(
        _A.DISPUTE,
        {_S.CHECKED, _S.GRANTED, _S.GRANTED_IN_PART, _S.REFUSED, _S.PROVIDED},
        {_S.DISPUTED},
        _ASKS,
    ),
    _line(_A.DECIDE_FOR_REQUESTER, {_S.DISPUTED}, {_S.DECIDED_GRANTED}, _DECIDES),
    # The answer stands: what was granted in part, or provided, goes on.
    _line(
        _A.DECIDE_FOR_OWNER,
        {_S.DISPUTED},
        {_S.DECIDED_REFUSED, _S.DECIDED_GRANTED, _S.PROVIDED},
        _DECIDES,
    ),
    _line(
        _A.WITHDRAW,
        {
            _S.SUBMITTED,
            _S.RETURNED,
            _S.CHECKED,
            _S.GRANTED,
            _S.GRANTED_IN_PART,
            _S.PROVIDED,
            _S.DISPUTED,
            _S.DECIDED_GRANTED,
        },
        {_S.WITHDRAWN},
        _ASKS,
    ),
    _line(_A.END, {_S.PROVIDED, _S.DISPUTED, _S.DECIDED_GRANTED}, {_S.ENDED}, _DECIDES, _ITSELF),
    _line(_A.EXPIRE, OPEN - {_S.REFUSED}, {_S.EXPIRED}, _ITSELF),
)


def next_state(state: State | None, action: Action, actor: Actor, target: State | None = None) -> State:
    """Return the state after an action.

    Args:
        state: None: the request is not there yet.
        target: needed where an action may end in several states.

    Raises:
        RequestStateWrong: that is not done in this state.
        RequestActorWrong: others may do that, this actor may not.
    """
    lines = [line for line in TRANSITIONS if line.action is action and state in line.starts]
    if not lines:
        raise RequestStateWrong(
            _("the request is {state}, and {action} does not follow on that"), state=state, action=action
        )
    entitled = [line for line in lines if actor in line.actors]
    if not entitled:
        raise RequestActorWrong(_("{action} is not for the {actor}"), action=action, actor=actor)
    ends = {end for line in entitled for end in line.ends}
    if target is None and len(ends) == 1:
        return ends.pop()
    if target not in ends:
        raise RequestStateWrong(
            _("the request is {state}, and {action} does not follow on that"), state=state, action=action
        )
    return target
