"""When a request is sent again, and after how long: rules without clock or network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BUSY: Final = frozenset({429})
"""Refused before anything was done."""
_PASSING: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody is willing to try.

    Args:
        attempts: of one request, the first included.
        first_wait: seconds before the second attempt, at most; doubled each time.
        longest_wait: seconds that one wait may last. A service that asks for a longer one is not waited for: its
            problem is raised, with what it asked for.
    """

    attempts: int = 4
    first_wait: float = 0.2
    longest_wait: float = 20.0


def arrived(error: httpx.TransportError) -> bool:
    """Whether the request may have arrived before this went wrong."""
    return not isinstance(error, _NOT_SENT)


def may_repeat(repeatable: bool, outcome: httpx.Response | httpx.TransportError) -> bool:
    """Whether a request may be sent again after this.

    What may be repeated is, while there is hope. What may not is sent again only where it is certain that nothing was
    done: no connection came about, or the service turned it away unread (429).
    """
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in (_PASSING if repeatable else _BUSY)
    return repeatable or not arrived(outcome)


def retry_after(reply: httpx.Response, now: float) -> float | None:
    """Return the seconds that a reply asks to wait (RFC 9110 §10.2.3), or None when it does not say.

    Args:
        now: seconds since the epoch, for the form that names a date.
    """
    told = reply.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        when = parsedate_to_datetime(told)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.fromtimestamp(now, UTC)).total_seconds())


def wait_before(attempt: int, asked: float | None, patience: Patience, luck: float) -> float | None:
    """Return the seconds to wait before an attempt, or None when none should be made.

    Many callers that fail together must not come back together: the wait is drawn from the whole span (`full jitter`),
    and comes on top of what the service asked for.

    Args:
        attempt: number of the one to come; the first was 1.
        asked: seconds that the service asked for, if it did.
        luck: from 0 to 1.
    """
    if attempt > patience.attempts or (asked is not None and asked > patience.longest_wait):
        return None
    span = min(patience.longest_wait, patience.first_wait * 2.0 ** (attempt - 2))
    return luck * span + (0.0 if asked is None else asked)
