"""Sources that are asked live, as one process knows them, and the asking itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from prometheus_client import Counter

from exchange.catalog.resource import ReadsFrom, Resource
from exchange.relaying.asked import Asked, Relayed, check_answer, question_jws
from exchange.relaying.breaker import Breaker, Circuit
from exchange.relaying.errors import (
    SourceAnswerInvalid,
    SourceLate,
    SourceRefused,
    SourceResting,
    SourceUnavailable,
)
from exchange.relaying.source import Kind, LiveSource
from exchange.relaying.tables import all_sources
from exchange.relaying.upper import check_upper_answer, question
from foundation.calling.concurrent import ConcurrentCaller
from foundation.calling.conversation import Party
from foundation.calling.errors import ProblemError, ReplyUnreadable, Unreachable
from foundation.calling.retrying import Patience
from foundation.calling.tokens import Identity
from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import KeyStore
from foundation.telemetry import METRICS
from foundation.unavailable import UNAVAILABLE

logger = logging.getLogger(__name__)

QUESTION_PURPOSE: Final = "question"
"""Key that questions to departments are signed with."""
CASCADE_PURPOSE: Final = "cascade"
"""Key by which this exchange authenticates at a higher-level one."""
LOOK_SECONDS: Final = 1.0
MOST_ALIKE: Final = 4
"""Equal questions that one process passes on at the same time. Two exchanges that each take the other as the source of
a resource would else ask each other without end."""
LONGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read."""

RELAYED = Counter(
    "zhengtong_relayed_total", "Questions passed on, by outcome", ["resource", "outcome"], registry=METRICS
)

_PASSING: Final = frozenset({429, 500, 502, 503, 504})


class Relays:
    """Which resources are live, and a circuit breaker for each. One per process.

    Args:
        issuer: address of this exchange, the `iss` of its questions.
        http: its connections to departments, without redirects.
    """

    def __init__(self, pool: Any, keys: KeyStore, issuer: str, http: httpx.AsyncClient) -> None:
        self._pool = pool
        self._keys = keys
        self._issuer = issuer
        self._http = http
        self._sources: Mapping[str, LiveSource] = {}
        self._breakers: dict[str, Breaker] = {}
        self._callers: dict[tuple[str, str | None, str], ConcurrentCaller] = {}
        self._on_way: dict[tuple[str, ...], int] = {}

    def source_of(self, resource: Resource) -> LiveSource | None:
        """Return where a resource is asked live, None if it is looked up here.

        Raises:
            SourceUnavailable: the catalogue says that it is live, and nobody has said where.
        """
        found = self._sources.get(resource.id)
        if found is None and resource.reads_from is ReadsFrom.LIVE:
            raise SourceUnavailable(_("it is live, but no source of it is registered"))
        return found

    def breaker(self, resource: str) -> Breaker:
        """Return the circuit breaker of a source."""
        return self._breakers.setdefault(resource, Breaker())

    def circuit(self, resource: str) -> Circuit:
        """Return whether questions to a source go through."""
        return self.breaker(resource).state(time.monotonic())

    async def load(self) -> None:
        """Look at the table now."""
        found = await all_sources(self._pool)
        for resource, source in found.items():
            if self._sources.get(resource) != source:
                self._breakers.pop(resource, None)  # another address deserves another try
        self._sources = found

    async def follow_forever(self) -> None:
        """Look at the table every second: a change takes effect in each process within two."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.load()
            except UNAVAILABLE as error:
                # What was known goes on to hold: without the database nothing is answered anyway.
                logger.warning("live sources not read", extra={"error": type(error).__name__})

    async def ask(self, source: LiveSource, asked: Asked) -> Relayed:
        """Pass a question on and return the answer, checked.

        1. The circuit must be closed, or half-open with nobody else trying.
        2. Ask, within the time that the source has, reading no more than LONGEST_ANSWER.
        3. Check the answer. Who answers wrongly has failed as well as who does not answer.

        Dying on the way, nothing was answered; the other end may have a question on file.

        Raises:
            SourceUnavailable, SourceLate, SourceAnswerInvalid, SourceRefused: as they say.
        """
        same = (asked.resource, asked.subject, asked.matter, asked.case)
        if self._on_way.get(same, 0) >= MOST_ALIKE:
            raise SourceUnavailable(_("this very question is on its way already, and may be going round"))
        self._on_way[same] = self._on_way.get(same, 0) + 1
        try:
            return await self._ask_once(source, asked)
        finally:
            self._on_way[same] -= 1
            if not self._on_way[same]:
                del self._on_way[same]

    async def _ask_once(self, source: LiveSource, asked: Asked) -> Relayed:
        breaker = self.breaker(source.resource)
        if not breaker.admits(time.monotonic()):
            RELAYED.labels(source.resource, "not-asked").inc()
            raise SourceResting(_("the source failed again and again; it is tried anew in a while"))
        try:
            async with asyncio.timeout(source.timeout):
                if source.kind is Kind.CASCADE:
                    answered = await self._ask_upper(source, asked)
                else:
                    answered = await self._ask_department(source, asked)
        except TimeoutError as error:
            breaker.failed(time.monotonic())
            RELAYED.labels(source.resource, SourceLate.code).inc()
            raise SourceLate(
                _("no answer within {milliseconds} ms"), milliseconds=source.timeout_ms
            ) from error
        except SourceRefused as refusal:
            breaker.succeeded()  # it works, and says no
            RELAYED.labels(source.resource, refusal.code).inc()
            raise
        except DomainError as failure:
            breaker.failed(time.monotonic())
            RELAYED.labels(source.resource, failure.code).inc()
            logger.warning("live source failed", extra={"resource": source.resource, "code": failure.code})
            raise
        except BaseException:
            breaker.abandoned()
            raise
        breaker.succeeded()
        RELAYED.labels(source.resource, "answered").inc()
        return answered

    async def _ask_department(self, source: LiveSource, asked: Asked) -> Relayed:
        signer = self._keys.signer(QUESTION_PURPOSE)
        sent = question_jws(asked, source, self._issuer, signer, datetime.now(UTC))
        try:
            async with self._http.stream(
                "POST",
                source.address,
                content=sent.encode("ascii"),
                headers={"Content-Type": "application/jose", "Accept": "application/jose"},
                timeout=source.timeout,
                follow_redirects=False,
            ) as reply:
                if reply.status_code != 200:
                    raise _refusal(reply.status_code)
                body = bytearray()
                async for chunk in reply.aiter_bytes():
                    body += chunk
                    if len(body) > LONGEST_ANSWER:
                        raise SourceAnswerInvalid(_("the answer is too large"))
        except httpx.TimeoutException as error:
            raise _late(source) from error
        except httpx.TransportError as error:
            raise SourceUnavailable(_("the source cannot be reached")) from error
        try:
            answer = body.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise SourceAnswerInvalid(_("the answer is not of the agreed form")) from error
        return check_answer(answer, sent, asked, source, self._issuer, datetime.now(UTC))

    async def _ask_upper(self, source: LiveSource, asked: Asked) -> Relayed:
        try:
            reply = await self._caller(source).call(question(asked, source))
        except ProblemError as error:
            raise _refusal(error.status, error.code) from error
        except Unreachable as error:
            if error.late:
                raise _late(source) from error
            raise SourceUnavailable(_("the source cannot be reached")) from error
        except ReplyUnreadable as error:
            raise SourceAnswerInvalid(_("the answer is not of the agreed form")) from error
        return check_upper_answer(reply, asked, source, datetime.now(UTC))

    def _caller(self, source: LiveSource) -> ConcurrentCaller:
        signer = self._keys.signer(CASCADE_PURPOSE)
        key = (source.address, source.client_id, signer.kid)
        if key not in self._callers:
            assert source.client_id is not None
            party = Party(
                source.address,
                Identity(source.client_id, signer),
                source.address,
                source.timeout,
                patience=Patience(attempts=2, first_wait=0.05, longest_wait=1.0),
            )
            self._callers[key] = ConcurrentCaller(party, self._http)
        return self._callers[key]


def _late(source: LiveSource) -> SourceLate:
    return SourceLate(_("no answer within {milliseconds} ms"), milliseconds=source.timeout_ms)


def _refusal(status: int, code: str | None = None) -> DomainError:
    if status in _PASSING:
        return SourceUnavailable(_("the source says that it cannot answer now"))
    return SourceRefused(_("the source refuses the question: {reason}"), reason=code or f"HTTP {status}")
