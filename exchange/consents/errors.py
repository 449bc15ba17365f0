"""Why a code that somebody presented brings no consent."""

from __future__ import annotations

from foundation.errors import DomainError


class ConsentCodeUnknown(DomainError):
    """There is no such code, or it is of a kind that names nobody."""

    code = "consent-code-unknown"


class ConsentCodeUsed(DomainError):
    code = "consent-code-used"


class ConsentCodeOver(DomainError):
    """The code came late, or the person has withdrawn it."""

    code = "consent-code-over"


class ConsentCodeDiffers(DomainError):
    """The code was made for something else, or by somebody who is asked nothing in this case."""

    code = "consent-code-differs"


class ConsentCodeByAgent(DomainError):
    """An agent has made the code: a delegation lets licences be shown, and nobody consent for somebody else."""

    code = "consent-code-by-agent"


class ConsentCodeNotAllowed(DomainError):
    """The matter does not let a code stand for the consent."""

    code = "consent-code-not-allowed"


class ConsentIdTaken(DomainError):
    """The id came with something else before."""

    code = "consent-id-taken"
