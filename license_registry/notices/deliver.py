"""Delivering notices: POST, signed by HTTP Message Signatures (RFC 9421), again after a while, dead in the end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageSigner, algorithms

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import Signer
from license_registry.notices import tables
from license_registry.ports import Registry

logger = logging.getLogger(__name__)

PURPOSE = "notice"
"""Keys that sign notices are ES256 always: RFC 9421 knows no SM2."""

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""After each failure; a notice that fails once more than this lies dead."""
BATCH = 50
TIMEOUT_SECONDS = 10.0
_CLAIMED = timedelta(minutes=15)
"""How long a batch belongs to who took it: longer than all of it may take."""

KINDS = frozenset(
    {
        "state-changed",
        "transferred-to-you",
        "expiry-reminder",
        "annual-report-due",
        "annual-report-overdue",
        "task-raised",
    }
)
COVERED = ("@method", "@target-uri", "content-digest", "content-type")
LABEL = "zhengtong"


class WebhookRefused(DomainError):
    code = "webhook-refused"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round of deliveries did. `dead`: lie dead now, from this round and all before."""

    delivered: int
    failed: int
    dead: int


def require_address(url: str) -> str:
    """Return a webhook's address, or raise WebhookRefused: https, and http only to this machine itself."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise WebhookRefused(_("this is no web address")) from error
    local = host in {"127.0.0.1", "::1", "localhost"}
    if not host or port == 0 or parts.username or parts.fragment or not url.isascii():
        raise WebhookRefused(_("this is no web address"))
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise WebhookRefused(_("notices go to https addresses only"))
    return url


def require_kinds(kinds: frozenset[str]) -> frozenset[str]:
    """Return kinds of notices, or raise WebhookRefused if there is none of that name."""
    if not kinds or not kinds <= KINDS:
        raise WebhookRefused(_("kinds of notices are {kinds}"), kinds=", ".join(sorted(KINDS)))
    return kinds


def signed(request: httpx.Request, signer: Signer, now: datetime) -> httpx.Request:
    """Sign a request: Content-Digest (RFC 9530) and Signature (RFC 9421) over method, address, digest and type."""
    hand = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256)
    prepared = hand.prepare(
        request,
        key_id=signer.kid,
        label=LABEL,
        created=now,
        covered_component_ids=COVERED,
        body=request.read(),  # makes the digest
    )
    hand.apply(request, prepared, signer.sign(prepared.signature_base))
    return request


async def deliver(registry: Registry, http: httpx.AsyncClient, now: datetime) -> Delivered:
    """Send every notice that is due, each once.

    A notice may arrive twice, where the answer to it was lost; its `id` stays the same. Anything but 2xx is a
    failure. Redirects are not followed: they would carry the notice to where nobody registered it.
    """
    done = {True: 0, False: 0}
    signer = registry.keys.signer(PURPOSE)
    while True:
        async with registry.pool.acquire() as connection, connection.transaction():
            due = await tables.take_due(connection, now, now + _CLAIMED, BATCH)
        for each in due:
            failure = await _send(http, each, signer, now)
            async with registry.pool.acquire() as connection:
                if failure is None:
                    await tables.delivered(connection, each.id, now)
                else:
                    again = now + WAITS[each.attempts] if each.attempts < len(WAITS) else None
                    await tables.failed(connection, each.id, failure, again, now)
                    # Logged here, counted below, and shown by `GET /v1/notices?dead=true` and to the operator.
                    logger.log(
                        logging.ERROR if again is None else logging.WARNING,
                        "notice not delivered: id=%s failure=%s dead=%s",
                        each.id,
                        failure,
                        again is None,
                    )
            done[failure is None] += 1
        if len(due) < BATCH:
            break
    return Delivered(done[True], done[False], await tables.count_dead(registry.pool))


async def _send(http: httpx.AsyncClient, due: tables.Due, signer: Signer, now: datetime) -> str | None:
    request = http.build_request(
        "POST",
        due.url,
        content=due.body,
        headers={"Content-Type": "application/json", "Zhengtong-Notice": due.kind},
        timeout=TIMEOUT_SECONDS,
    )
    try:
        reply = await http.send(signed(request, signer, now), follow_redirects=False)
    except (httpx.HTTPError, HTTPMessageSignaturesException) as error:
        return type(error).__name__
    return None if reply.is_success else f"HTTP {reply.status_code}"
