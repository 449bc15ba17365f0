"""How an interface ends: announced in its replies (RFC 9745, RFC 8594) long before it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any, Final, TypeVar

NOTICE_DAYS: Final = 180
"""Between the announcement and the end lie at least this many days."""

_MARK: Final = "__deprecation__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Deprecation:
    """When a route was deprecated, when it ends, and what stands in its place (a path)."""

    since: date
    sunset: date
    successor: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` to the successor (RFC 5829)."""
        since = int(_begin(self.since).timestamp())
        return [
            (b"deprecation", b"@%d" % since),
            (b"sunset", format_datetime(_begin(self.sunset), usegmt=True).encode("ascii")),
            (b"link", f'<{self.successor}>; rel="successor-version"'.encode("ascii")),
        ]


def deprecated(*, since: date, sunset: date, successor: str) -> Callable[[_Endpoint], _Endpoint]:
    """Mark the function of a route, below its `@router`: every reply of it tells when it ends, refusals too.

    Raises:
        ValueError: less than NOTICE_DAYS lie between the two days.
    """
    if (sunset - since).days < NOTICE_DAYS:
        raise ValueError(f"an interface is announced to end {NOTICE_DAYS} days before it does")

    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _MARK, Deprecation(since, sunset, successor))
        return endpoint

    return mark


def deprecation_of(endpoint: object) -> Deprecation | None:
    """Return what the function of a route was marked with, if it was."""
    found = getattr(endpoint, _MARK, None)
    return found if isinstance(found, Deprecation) else None


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
