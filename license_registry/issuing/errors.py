"""Why a licence is not issued."""

from __future__ import annotations

from foundation.errors import DomainError


class IssuerMismatch(DomainError):
    code = "issuer-mismatch"


class IssuerNotEntitled(DomainError):
    code = "issuer-not-entitled"


class HolderInvalid(DomainError):
    code = "holder-invalid"


class HolderUnknown(DomainError):
    """The city's registers know nobody of this code."""

    code = "holder-unknown"


class HolderDiffers(DomainError):
    """The registers have another name for this code."""

    code = "holder-differs"


class HolderEnded(DomainError):
    """The holder is dead, or its register no longer names it."""

    code = "holder-ended"


class LicenceInForce(DomainError):
    code = "licence-in-force"


class KeyInvalid(DomainError):
    """The `Idempotency-Key` is missing where one is needed, or is none."""

    code = "issuing-key-invalid"


class KeyReused(DomainError):
    """The same `Idempotency-Key` came with another request before."""

    code = "issuing-key-reused"
