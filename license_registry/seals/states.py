"""Kinds and states of seals: who made one puts it into use, suspends it for a time, and ends it for good."""

from __future__ import annotations

from enum import StrEnum

from foundation.language import _
from license_registry.seals.errors import SealChangeNotAllowed


class SealKind(StrEnum):
    """Kinds by their usual codes; the code is the number in the seal's structure too."""

    LEGAL_NAME = "01"
    FINANCE = "02"
    INVOICE = "03"
    CONTRACT = "04"
    PERSONAL = "05"
    OTHER = "99"


class SealState(StrEnum):
    """Where a seal is in its life."""

    MADE = "made"
    IN_USE = "in-use"
    SUSPENDED = "suspended"
    ENDED = "ended"


class SealOperation(StrEnum):
    """What is done to a seal."""

    USE = "use"
    SUSPEND = "suspend"
    END = "end"


_AFTER = {
    (SealState.MADE, SealOperation.USE): SealState.IN_USE,
    (SealState.SUSPENDED, SealOperation.USE): SealState.IN_USE,
    (SealState.IN_USE, SealOperation.SUSPEND): SealState.SUSPENDED,
    (SealState.MADE, SealOperation.END): SealState.ENDED,
    (SealState.IN_USE, SealOperation.END): SealState.ENDED,
    (SealState.SUSPENDED, SealOperation.END): SealState.ENDED,
}


def state_after(state: SealState, operation: SealOperation) -> SealState:
    """Return the state after an operation.

    Raises:
        SealChangeNotAllowed: not from this state.
    """
    after = _AFTER.get((state, operation))
    if after is None:
        raise SealChangeNotAllowed(
            _("a seal that is `{state}` knows no `{operation}`"), state=state.value, operation=operation.value
        )
    return after
