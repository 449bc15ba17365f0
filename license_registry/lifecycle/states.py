"""States and operations of an e-licence as one explicit state machine: rules without database or clock."""

from __future__ import annotations

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
    """What may be done to a licence that stands (证照操作)."""

    SUSPEND = "03"
    EXPIRE = "04"
    CANCEL = "05"
    RETURN = "06"
    UNDO_TRANSFER_OUT = "10"


class OperationNotAllowed(DomainError):
    code = "operation-not-allowed"


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

_IN_FORCE = frozenset({State.VALID, State.SUSPENDED})
_ENDS = frozenset({State.RESCINDED, State.CANCELLED, State.TRANSFERRED_OUT, State.REVOKED})

# operation → states it starts from, states it may end in
_TRANSITIONS: dict[Operation, tuple[frozenset[State], frozenset[State]]] = {
    Operation.SUSPEND: (frozenset({State.VALID}), frozenset({State.SUSPENDED})),
    Operation.EXPIRE: (_IN_FORCE, frozenset({State.EXPIRED})),
    Operation.CANCEL: (_IN_FORCE, _ENDS),
    Operation.RETURN: (frozenset({State.SUSPENDED}), frozenset({State.VALID})),
    Operation.UNDO_TRANSFER_OUT: (frozenset({State.TRANSFERRED_OUT}), frozenset({State.VALID})),
}


def next_state(state: State, operation: Operation, target: State | None) -> State:
    """Return the state after an operation.

    Args:
        target: needed where an operation may end in several states: cancelling says rescinded (should never have
            been granted), cancelled (ended), transferred out, or revoked (a penalty), which differ in law.

    Raises:
        OperationNotAllowed: not from this state, or not to this target.
    """
    starts, ends = _TRANSITIONS[operation]
    if state not in starts:
        raise OperationNotAllowed(
            _("operation {operation} does not start from state {state}"), operation=operation, state=state
        )
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
