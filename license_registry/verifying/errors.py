"""Why something cannot be verified at all."""

from __future__ import annotations

from foundation.errors import DomainError


class FileUnreadable(DomainError):
    """The file is nothing that is verified here."""

    code = "file-unreadable"
