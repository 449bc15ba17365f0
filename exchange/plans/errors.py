"""Why no plan is made."""

from __future__ import annotations

from foundation.errors import DomainError


class PlanMalformed(DomainError):
    """Subjects, inputs or materials that the matter does not know, or that are not what it says they are."""

    code = "plan-malformed"


class PlanKeyReused(DomainError):
    """The same `Idempotency-Key` came with another request before."""

    code = "plan-key-reused"


class PlanForgotten(DomainError):
    """What the plan kept sealed was deleted when its time was over."""

    code = "plan-forgotten"


class OfferNotOpen(DomainError):
    """A consent or a commitment that expired, was refused, was used, or gave way to a newer plan."""

    code = "offer-not-open"


class PlanKeyInvalid(DomainError):
    """The `Idempotency-Key` is missing, or is none."""

    code = "plan-key-invalid"
