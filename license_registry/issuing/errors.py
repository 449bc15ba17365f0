"""Why a licence is not issued."""

from __future__ import annotations

from foundation.errors import DomainError


class IssuerMismatch(DomainError):
    code = "issuer-mismatch"


class IssuerNotEntitled(DomainError):
    code = "issuer-not-entitled"


class HolderInvalid(DomainError):
    code = "holder-invalid"


class ValidityInvalid(DomainError):
    code = "validity-invalid"


class LicenceInForce(DomainError):
    code = "licence-in-force"
