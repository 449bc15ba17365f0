"""What can come of a call besides its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROBLEM_PREFIX: Final = "urn:zhengtong:problem:"


class CallFailed(Exception):
    """Base of all that a call raises."""


class Unreachable(CallFailed):
    """No reply came: no connection, or it broke off.

    Args:
        sent: whether the request may have arrived and been acted on.
    """

    def __init__(self, message: str, *, sent: bool, late: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.late = late


class ReplyUnreadable(CallFailed):
    """A reply came that is not of the form that the interface promises."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One member of a request that does not fit: JSON Pointer and reason."""

    pointer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What a problem reply says (RFC 9457).

    Args:
        code: stable; the last part of the `type`. `http-<status>` where the reply is no problem document.
        pointer: JSON Pointer of the member of the request that is at fault.
        values: further members of the document.
        retry_after: seconds after which another attempt makes sense; None: not told.
    """

    code: str
    status: int
    title: str
    detail: str | None = None
    pointer: str | None = None
    instance: str | None = None
    errors: tuple[FieldError, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None


class ProblemError(CallFailed):
    """The service refused, or could not do it; `problem` says why in a form that programs can read."""

    def __init__(self, problem: Problem) -> None:
        told = problem.title if problem.detail is None else f"{problem.title}: {problem.detail}"
        super().__init__(f"{problem.code} ({problem.status}): {told}")
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code, such as `not-granted`."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def pointer(self) -> str | None:
        """JSON Pointer of the member at fault."""
        return self.problem.pointer

    @property
    def values(self) -> Mapping[str, Any]:
        """Further members of the problem document."""
        return self.problem.values
