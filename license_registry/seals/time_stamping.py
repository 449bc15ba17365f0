"""Having a stamp time-stamped by the authority that the house is set to ask (RFC 3161 §3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from cryptography import x509

from foundation.errors import DomainError
from foundation.language import _
from foundation.settings import Settings
from foundation.signing.chain import ChainBroken, load_roots
from license_registry.seals.structures import Stamp, read_stamp, stamp_der
from license_registry.seals.time_stamps import (
    QUERY_TYPE,
    TimeStampBroken,
    check_time_stamp,
    question,
    token_of,
)

SECONDS = 10


class TimeStampUnavailable(DomainError):
    """The authority of time stamps cannot be reached, or what it gives does not hold."""

    code = "time-stamp-unavailable"


@dataclass(frozen=True, slots=True)
class TimeStamping:
    """Whom to ask for time stamps, and who certified them."""

    url: str
    roots: tuple[x509.Certificate, ...]


def time_stamping(settings: Settings) -> TimeStamping | None:
    """Return whom the house asks; None: its stamps have no time stamp.

    Raises:
        TimeStampUnavailable: the roots cannot be read.
    """
    if settings.time_stamp_url is None:
        return None
    assert settings.time_stamp_root_file is not None  # the settings see to it
    try:
        roots = load_roots(settings.time_stamp_root_file.read_bytes())
    except (OSError, ChainBroken) as error:
        raise TimeStampUnavailable(_("the roots of time stamps cannot be read")) from error
    return TimeStamping(settings.time_stamp_url, roots)


async def time_stamped(stamp: Stamp, asked: TimeStamping) -> Stamp:
    """Return the stamp with a time stamp over its signature, checked as anybody would.

    Raises:
        TimeStampUnavailable: there is none that holds; nothing is to leave.
    """
    query, nonce = question(stamp.signature)
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            reply = await http.post(asked.url, content=query, headers={"Content-Type": QUERY_TYPE})
            reply.raise_for_status()
        token = token_of(reply.content, nonce)
        check_time_stamp(token, stamp.signature, asked.roots)
    except httpx.HTTPError as error:
        raise TimeStampUnavailable(
            _("the authority of time stamps gave none: {reason}"), reason=type(error).__name__
        ) from error
    except TimeStampBroken as error:
        raise TimeStampUnavailable(
            _("the authority of time stamps gave none: {reason}"), reason=error.code
        ) from error
    return read_stamp(stamp_der(stamp.covered, stamp.certificate, stamp.algorithm, stamp.signature, token))
