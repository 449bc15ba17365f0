"""Why a credential does not hold."""

from __future__ import annotations

from foundation.errors import DomainError


class CredentialInvalid(DomainError):
    """The credential does not hold; the message says which check failed."""

    code = "credential-invalid"
