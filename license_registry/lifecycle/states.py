"""States and operations of an e-licence as one explicit state machine: rules without database or clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from foundation.errors import DomainError
from foundation.language import _


class State(StrEnum):
    """State of an e-licence (证照状态)."""

    VALID = "01"
    SUSPENDED = "02"
    RESCINDED = "03"
    CANCELLED = "04"
    EXPIRED = "05"
    TRANSFERRED_OUT = "06"
    REVOKED = "07"
    OTHER = "99"


class Operation(StrEnum):
    """What may be done to a licence (证照操作)."""

    ISSUE = "01"
    RENEW = "02"
    SUSPEND = "03"
    EXPIRE = "04"
    CANCEL = "05"
    RETURN = "06"
    OTHER = "07"
    TRANSFER_IN = "08"
    CHANGE = "09"
    UNDO_TRANSFER_OUT = "10"


class Actor(StrEnum):
    """As whom somebody acts on a licence."""

    ISSUER = "issuing-authority"
    """The authority that issued this licence."""
    RECEIVER = "receiving-authority"
    """The authority that it was transferred out to."""
    HOLDER = "holder"
    """The person whose licence it is; not who merely presents it for an entity."""
    SCHEDULER = "scheduler"
    """The registry itself, when a day has come."""
    OPERATOR = "operator"
    """Who runs the registry."""


class OperationNotAllowed(DomainError):
    code = "operation-not-allowed"


class ActorNotEntitled(DomainError):
    code = "actor-not-entitled"


class DescriptionMissing(DomainError):
    code = "state-description-missing"


STATE_NAMES = {
    State.VALID: _("valid"),
    State.SUSPENDED: _("suspended"),
    State.RESCINDED: _("rescinded"),
    State.CANCELLED: _("cancelled"),
    State.EXPIRED: _("expired"),
    State.TRANSFERRED_OUT: _("transferred out"),
    State.REVOKED: _("revoked as a penalty"),
    State.OTHER: _("other"),
}

ENDED = frozenset(
    {State.RESCINDED, State.CANCELLED, State.EXPIRED, State.TRANSFERRED_OUT, State.REVOKED},
)
"""States in which a licence is none any more, whatever may still follow; every replaced version is in one of them."""

VERSIONING = frozenset({Operation.RENEW, Operation.CHANGE, Operation.TRANSFER_IN})
"""Operations that make a new version (issued by 01) and end, or leave ended, the old one."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the state machine: from these states, by these actors, into one of these states."""

    operation: Operation
    starts: frozenset[State | None]
    ends: frozenset[State]
    actors: frozenset[Actor]


def _line(
    operation: Operation, starts: Collection[State | None], ends: Collection[State], *actors: Actor
) -> Transition:
    return Transition(operation, frozenset(starts), frozenset(ends), frozenset(actors))


_V, _S, _E = State.VALID, State.SUSPENDED, State.EXPIRED
_RESCINDED, _CANCELLED, _REVOKED = State.RESCINDED, State.CANCELLED, State.REVOKED
_OUT, _OTHER = State.TRANSFERRED_OUT, State.OTHER

TRANSITIONS: tuple[Transition, ...] = (
    _line(Operation.ISSUE, {None}, {_V}, Actor.ISSUER),
    _line(Operation.SUSPEND, {_V}, {_S}, Actor.ISSUER),
    _line(Operation.RETURN, {_S}, {_V}, Actor.ISSUER, Actor.SCHEDULER),
    _line(Operation.EXPIRE, {_V, _S}, {_E}, Actor.ISSUER, Actor.SCHEDULER),
    _line(Operation.CANCEL, {_V, _S}, {_RESCINDED, _CANCELLED, _OUT, _REVOKED}, Actor.ISSUER),
    _line(Operation.CANCEL, {_OTHER}, {_RESCINDED, _CANCELLED, _REVOKED}, Actor.ISSUER),
    # What has lapsed is struck from the books (办理注销), and may turn out never to have been due.
    _line(Operation.CANCEL, {_E}, {_RESCINDED, _CANCELLED}, Actor.ISSUER),
    _line(Operation.CANCEL, {_RESCINDED, _REVOKED}, {_CANCELLED}, Actor.ISSUER),
    # A person gives up what is theirs.
    _line(Operation.CANCEL, {_V}, {_CANCELLED}, Actor.HOLDER),
    _line(Operation.OTHER, {_V, _S}, {_OTHER}, Actor.ISSUER, Actor.OPERATOR),
    _line(Operation.OTHER, {_OTHER}, {_V}, Actor.ISSUER, Actor.OPERATOR),
    _line(Operation.UNDO_TRANSFER_OUT, {_OUT}, {_V}, Actor.ISSUER),
    # The next three are told of the old version; the new one is issued, valid.
    _line(Operation.TRANSFER_IN, {_OUT}, {_OUT}, Actor.RECEIVER),
    _line(Operation.CHANGE, {_V}, {_E}, Actor.ISSUER),
    _line(Operation.RENEW, {_V, _E}, {_E}, Actor.ISSUER),
)


def next_state(
    state: State | None,
    operation: Operation,
    target: State | None,
    actor: Actor = Actor.ISSUER,
    *,
    operations: Collection[Operation] = frozenset(Operation),
    states: Collection[State] = frozenset(State),
) -> State:
    """Return the state after an operation.

    Args:
        state: None: the licence is not there yet.
        target: needed where an operation may end in several states: cancelling says rescinded (should never have
            been granted), cancelled (ended), transferred out, or revoked (a penalty), which differ in law.
        operations: and `states`: what the licence type allows.

    Raises:
        OperationNotAllowed: not by the type, not from this state, or not to this target.
        ActorNotEntitled: others may do that, this actor may not.
    """
    lines = [line for line in TRANSITIONS if line.operation is operation and state in line.starts]
    if operation not in operations:
        raise OperationNotAllowed(
            _("the licence type does not know operation {operation}"), operation=operation
        )
    if not lines:
        raise OperationNotAllowed(
            _("operation {operation} does not start from state {state}"), operation=operation, state=state
        )
    entitled = [line for line in lines if actor in line.actors]
    if not entitled:
        raise ActorNotEntitled(
            _("{actor} may not do operation {operation} in state {state}"),
            actor=actor,
            operation=operation,
            state=state,
        )
    ends = frozenset(end for line in entitled for end in line.ends)
    if (
        operation not in VERSIONING
    ):  # the end of a version is not that of the licence, so the type need not know it
        ends &= frozenset(states)
    if target is None and len(ends) == 1:
        return next(iter(ends))
    if target not in ends:
        raise OperationNotAllowed(
            _("operation {operation} ends in one of {states}"),
            pointer="/target",
            operation=operation,
            states=", ".join(sorted(ends)),
        )
    return target


def require_description(state: State, description: str | None) -> None:
    """Raise DescriptionMissing if the state says nothing by itself (`99`) and nothing describes it."""
    if state is State.OTHER and description is None:
        raise DescriptionMissing(_("state 99 needs a description"), pointer="/description")
