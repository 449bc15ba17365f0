"""Why something cannot be presented or verified."""

from __future__ import annotations

from foundation.errors import DomainError


class CodeUsed(DomainError):
    code = "code-used"


class CodeExpired(DomainError):
    code = "code-expired"


class MatterDiffers(DomainError):
    """A code was presented for another matter than the verifier states."""

    code = "matter-differs"


class DelegationInvalid(DomainError):
    """The delegation does not allow this: withdrawn, over, of another matter, or of other licences."""

    code = "delegation-invalid"


class LicenceLacking(DomainError):
    """The matter asks for a licence that the caller does not have in force."""

    code = "licence-lacking"


class CodeTooLarge(DomainError):
    """More is to be shown than a QR code holds."""

    code = "code-too-large"
