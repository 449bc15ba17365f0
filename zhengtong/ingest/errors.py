"""Why a batch that was sent is refused."""

from __future__ import annotations

from foundation.errors import DomainError


class SenderNotAllowed(DomainError):
    """The mapping of the source does not name this client among its senders."""

    code = "sender-not-allowed"


class MediaTypeUnknown(DomainError):
    """The body is in none of the forms that can be read."""

    code = "media-type-unknown"


class KeyMissing(DomainError):
    """No `Idempotency-Key`, or one that is none."""

    code = "idempotency-key-missing"


class KeyReused(DomainError):
    """The same `Idempotency-Key` came with another body or for another source before."""

    code = "idempotency-key-reused"


class UnderWay(DomainError):
    """A request with this very `Idempotency-Key` is being worked on."""

    code = "ingest-under-way"


class BodyEmpty(DomainError):
    """Nothing was sent."""

    code = "body-empty"


class BodyTooLarge(DomainError):
    """More was sent than this service takes at once."""

    code = "body-too-large"


class BodyCutShort(DomainError):
    """The sender went away before all was sent; nothing of it was read."""

    code = "malformed-body"
