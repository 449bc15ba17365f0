"""Why nothing is shown."""

from __future__ import annotations

from foundation.errors import DomainError


class NotGranted(DomainError):
    """No grant of the department covers licence type, matter and moment."""

    code = "disclosure-not-granted"


class TooManyTries(DomainError):
    """So many guesses were wrong that no further ones are heard for a while."""

    code = "too-many-tries"


class LinkSpent(DomainError):
    """The link was used, or is over."""

    code = "link-spent"
