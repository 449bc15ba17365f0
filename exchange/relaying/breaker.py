"""A circuit breaker: who fails again and again is left alone for a while (closed → open → half-open).

One per source and process; used from one event loop. Time comes in as seconds of a clock that does not jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FAILURES: Final = 5
"""Failures one after another that open the circuit."""
OPEN_SECONDS: Final = 15.0
"""How long it stays open before one question is let through to see."""


class Circuit(StrEnum):
    """Whether questions go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(slots=True)
class Breaker:
    """State of one circuit. Each question that `admits` lets through ends in one of the other three."""

    failures: int = 0
    opened_at: float | None = None
    probing: bool = False

    def state(self, now: float) -> Circuit:
        """Return whether questions go through; half-open: one does, to see."""
        if self.opened_at is None:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if now - self.opened_at >= OPEN_SECONDS else Circuit.OPEN

    def admits(self, now: float) -> bool:
        """Return whether a question may go through now."""
        match self.state(now):
            case Circuit.CLOSED:
                return True
            case Circuit.OPEN:
                return False
            case Circuit.HALF_OPEN:
                if self.probing:
                    return False
                self.probing = True
                return True

    def succeeded(self) -> None:
        """Close the circuit."""
        self.failures, self.opened_at, self.probing = 0, None, False

    def failed(self, now: float) -> None:
        """Count a failure; the circuit opens when there are too many, or when the one that was to see failed."""
        self.failures += 1
        if self.failures >= FAILURES or self.opened_at is not None:
            self.opened_at = now
        self.probing = False

    def abandoned(self) -> None:
        """Note that a question ended without telling anything, as when its asker went away."""
        self.probing = False
