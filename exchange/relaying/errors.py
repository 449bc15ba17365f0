"""What can go wrong at the other end. None of these tells anything of the subject."""

from __future__ import annotations

from foundation.errors import DomainError


class SourceLate(DomainError):
    """No answer within the time that the source has."""

    code = "source-late"


class SourceUnavailable(DomainError):
    """No connection, a failure at the other end, or one too many of them a moment ago."""

    code = "source-unavailable"


class SourceAnswerInvalid(DomainError):
    """An answer came that is not signed by the right key, not of this question, not fresh, or says too much."""

    code = "source-answer-invalid"


class SourceRefused(DomainError):
    """The other end will not answer this question."""

    code = "source-refused"


class LiveSourceInvalid(DomainError):
    """A source that cannot be registered as it is described."""

    code = "live-source-invalid"
