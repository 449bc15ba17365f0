"""What can go wrong at the other end. None of these tells anything of the subject."""

from __future__ import annotations

from foundation.errors import DomainError


class SourceLate(DomainError):
    """No answer within the time that the source has."""

    code = "source-late"


class SourceUnavailable(DomainError):
    """No connection, a failure at the other end, or one too many of them a moment ago."""

    code = "source-unavailable"


class SourceResting(SourceUnavailable):
    """It failed again and again, and was not asked this time."""


class SourceAnswerInvalid(DomainError):
    """An answer came that is not signed by the right key, not of this question, not fresh, or says too much."""

    code = "source-answer-invalid"


class SourceRefused(DomainError):
    """The other end will not answer this question."""

    code = "source-refused"


SOURCE_FAILURES = (SourceLate, SourceUnavailable, SourceAnswerInvalid, SourceRefused)
"""What a question that was passed on can end in, other than a good answer."""


class LiveSourceInvalid(DomainError):
    """A source that cannot be registered as it is described."""

    code = "live-source-invalid"
