"""The base of every refusal. It knows no HTTP, so that connectors may use it without a web framework."""

from __future__ import annotations

from typing import ClassVar

from foundation.language import english


class DomainError(Exception):
    """What a feature refuses, in words of the domain; subclasses carry a stable `code`.

    Args:
        message: gettext message id with `{names}`.
        pointer: JSON Pointer (RFC 6901) of the member of the request that is at fault, if one is.
        values: fill the names of the message; never secrets or citizen IDs.
    """

    code: ClassVar[str]

    def __init__(self, message: str, /, *, pointer: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.values = values

    def __str__(self) -> str:
        return english(self.message, **self.values)

    def members(self) -> dict[str, str]:
        """Return further members for the problem document (RFC 9457 §3.2)."""
        return {}

    def headers(self) -> dict[str, str]:
        """Return what is told beside the problem document, by the names of its header fields."""
        return {}


class NotFound(DomainError):
    """What was asked for by name does not exist, or not for this caller."""

    code = "not-found"
