"""Why there is no package, or not yet."""

from __future__ import annotations

from foundation.errors import DomainError


class ArchiveNotPacked(DomainError):
    """The package of the case is not made yet, or could not be made."""

    code = "archive-not-packed"


class ArchiveDamaged(DomainError):
    """What is kept is missing, or is not what was put there."""

    code = "archive-damaged"


class ArchiveUnavailable(DomainError):
    """The store of packages cannot be reached or is full; later it may be."""

    code = "archive-unavailable"
