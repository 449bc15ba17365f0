"""Drawing documents of new licences beside the service, told in order.

1. Issuing writes with the licence that its document is due (`due`). Dying before leaves neither.
2. Whoever is free claims a few, for as long as a lease; dying after this leaves them to the next once it is over.
3. Each is drawn, sealed and kept as `keep` tells; with its row it ceases to be due, in one transaction. If somebody
   asked for it meanwhile, that one's document counts.
4. What fails for a while is tried again, each time later. What will fail again, and what has failed too often, waits:
   for the authority's seal, or for an operator. Both are counted and listed, nothing is given up unseen.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from prometheus_client import Counter, Gauge

from foundation.errors import DomainError
from foundation.identity.principals import Principal, Role
from foundation.telemetry import METRICS
from foundation.unavailable import UNAVAILABLE
from license_registry import tables as licences
from license_registry.documents import due
from license_registry.documents.drawing import Drawing, Format
from license_registry.documents.due import Due
from license_registry.documents.keep import keep
from license_registry.documents.tables import DUE_FORM
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking

FORM: Final = Format(DUE_FORM)
"""What is drawn at issue: the form that bears the seals. A PDF of the same is drawn when it is asked for."""
LEASE: Final = timedelta(minutes=5)
AT_ONCE: Final = 20
BULK_AT_ONCE: Final = 5
TRIES: Final = 5
FIRST_PAUSE: Final = timedelta(seconds=30)
LOOKS_EVERY_SECONDS: Final = 1.0
COUNTS_EVERY_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 60.0
"""After so long with nothing to draw the process that draws is ended: it holds 170 MB."""
NICENESS: Final = 10

SEAL_PAUSE: Final = timedelta(days=1)
"""A seal that is put into use says so at once; that one is missed only where both happen in the same moment."""

_WAITS_FOR_SOMEBODY: Final = frozenset(
    {
        "document-template-lacking",
        "document-character-lacking",
        "credential-invalid",
        "object-missing",
        "object-altered",
    }
)
"""Trying again changes nothing; a font, a restored object does."""

DRAWER: Final = Principal("zhengtong-document", "", frozenset({Role.OPERATOR}))

WAITING = Gauge(
    "zhengtong_documents_due",
    "Documents of new licences that are still to be drawn; more than 100,000 are not counted",
    registry=METRICS,
    multiprocess_mode="livemax",
)
BEHIND = Gauge(
    "zhengtong_documents_seconds_behind",
    "How long the longest of them has been waiting for its turn",
    registry=METRICS,
    multiprocess_mode="livemax",
)
TROUBLED = Gauge(
    "zhengtong_documents_troubled",
    "Documents of new licences that something kept from being drawn, by what it was",
    ["problem"],
    registry=METRICS,
    multiprocess_mode="livemax",
)
DRAWN = Counter(
    "zhengtong_documents_tried_total",
    "Documents of new licences by what came of a try: kept, or what kept it",
    ["outcome"],
    registry=METRICS,
)

logger = logging.getLogger(__name__)


async def draw_due(registry: Registry, now: Callable[[], datetime]) -> int:
    """Draw some of the documents that are due; return how many were tried.

    Single licences go first; but however many of them come, some of those issued in bulk are drawn too. After each of
    the latter as long a pause is made as it took: nobody waits for them, and requests need the processor.

    Raises:
        UNAVAILABLE: the database is away; what was claimed is tried again after the lease.
    """
    tried = 0
    for bulk, most in ((False, AT_ONCE), (True, BULK_AT_ONCE)):
        for each in await due.claim(registry.pool, now(), LEASE, most, bulk=bulk):
            begun = time.monotonic()
            await _draw(registry, each, now())
            tried += 1
            if bulk:
                await asyncio.sleep(time.monotonic() - begun)
    return tried


async def work_forever(registry: Registry) -> NoReturn:
    """Draw what is due, until cancelled, in a process of its own beside the one for those who wait."""
    drawing = Drawing(registry.settings.fonts_folder, NICENESS)
    own = replace(registry, drawing=drawing)
    idle = counts = 0.0
    try:
        while True:
            try:
                idle = 0.0 if await draw_due(own, _now) else idle + LOOKS_EVERY_SECONDS
                if idle >= IDLE_SECONDS:
                    await asyncio.to_thread(drawing.close)
                if time.monotonic() >= counts:
                    await count(own, _now())
                    counts = time.monotonic() + COUNTS_EVERY_SECONDS
            except UNAVAILABLE as error:
                logger.error("documents wait", extra={"error": type(error).__name__})
            if idle:
                await asyncio.sleep(LOOKS_EVERY_SECONDS)
    finally:
        await asyncio.to_thread(drawing.close)


async def count(registry: Registry, now: datetime) -> None:
    """Set the metrics that tell how far drawing is."""
    stands = await due.standing(registry.pool)
    WAITING.set(stands.waiting)
    BEHIND.set(0 if stands.since is None else max(0.0, (now - stands.since).total_seconds()))
    for problem in _counted - set(stands.troubled):
        TROUBLED.labels(problem).set(0)
    for problem, number in stands.troubled.items():
        TROUBLED.labels(problem).set(number)
        _counted.add(problem)


_counted: set[str] = set()


async def _draw(registry: Registry, wanted: Due, now: datetime) -> None:
    if wanted.tries > TRIES:
        # Each try before was begun and never ended: whoever draws it dies of it.
        logger.error("a document could not be drawn", extra={"licence": wanted.identifier, "again": None})
        await _put_off(registry, wanted, wanted.problem or "document-not-drawn", None)
        return
    try:
        licence = await licences.find(registry.pool, wanted.identifier)
        assert licence is not None  # licences are never deleted
        await keep(registry, DRAWER, licence, FORM, now, with_seals=True)
        await due.settle(registry.pool, wanted.identifier)
        DRAWN.labels("kept").inc()
    except UNAVAILABLE:
        raise
    except SealLacking as error:
        await _put_off(registry, wanted, error.code, now + SEAL_PAUSE)
    except DomainError as error:
        later = None if error.code in _WAITS_FOR_SOMEBODY else _again(wanted, now)
        logger.error(
            "a document could not be drawn",
            extra={"licence": wanted.identifier, "problem": error.code, "again": later},
        )
        await _put_off(registry, wanted, error.code, later)
    except Exception:  # one document must not hold up the others, and somebody must see it
        logger.exception("a document could not be drawn", extra={"licence": wanted.identifier})
        await _put_off(registry, wanted, "internal-error", _again(wanted, now))


def _again(wanted: Due, now: datetime) -> datetime | None:
    return None if wanted.tries >= TRIES else now + FIRST_PAUSE * 2 ** (wanted.tries - 1)


async def _put_off(registry: Registry, wanted: Due, problem: str, later: datetime | None) -> None:
    DRAWN.labels(problem).inc()
    await due.put_off(registry.pool, wanted.identifier, problem, later)


def _now() -> datetime:
    return datetime.now(UTC)
