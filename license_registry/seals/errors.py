"""Why a seal is not made, changed or put on anything."""

from __future__ import annotations

from foundation.errors import DomainError


class SealIdTaken(DomainError):
    """Another seal has this id."""

    code = "seal-id-taken"


class SealNotYours(DomainError):
    """An authority makes and changes its own seals only."""

    code = "seal-not-yours"


class SealPictureUnreadable(DomainError):
    code = "seal-picture-unreadable"


class SealValidityInvalid(DomainError):
    code = "seal-validity-invalid"


class SealChangeNotAllowed(DomainError):
    """The state of the seal does not allow this."""

    code = "seal-change-not-allowed"


class SealNotInForce(DomainError):
    """The seal is not in use, not valid on the day, or its key was replaced."""

    code = "seal-not-in-force"


class SealLacking(DomainError):
    """The authority has no seal in force of a kind that the licence type asks for."""

    code = "seal-lacking"
