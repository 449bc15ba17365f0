"""Consent at the counter: a person shows a code, and the counter's system presents it.

A code of the registry of licences says who stands there: the person then sees on their own device what is asked, and
decides there. A code made for the very consent, after its preview, releases exactly what was previewed. In no way does
a counter consent for somebody.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from exchange.audit.record import prepare, record_within
from exchange.consents import tables
from exchange.consents.codes import PREFIX, code_digest, evidence_digest
from exchange.consents.consent import KIND, fetch, let_go
from exchange.consents.errors import (
    ConsentCodeDiffers,
    ConsentCodeOver,
    ConsentCodeUnknown,
    ConsentCodeUsed,
    ConsentIdTaken,
)
from exchange.consents.tables import ConsentCode, Presentation
from exchange.plans import offer_states
from exchange.plans.errors import OfferNotOpen
from exchange.plans.offer_states import Offer
from exchange.ports import Exchange
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

IDENTIFIED = "identified"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Presented:
    """A code as a counter's system presents it, for which matter and case; `id` is new for each."""

    id: uuid.UUID
    matter: str
    case: str
    code: str

    def fingerprint(self) -> bytes:
        """Return what tells this request from another; the vault keys it."""
        return orjson.dumps(["presented-code", self.matter, self.case, self.code])


@dataclass(frozen=True, slots=True)
class Result:
    """What a code brought (`identified` or `released`), and how the consents that it is about stand now."""

    kind: str
    offers: tuple[Offer, ...]


async def present(exchange: Exchange, caller: Principal, presented: Presented, now: datetime) -> Result:
    """Take a code that somebody shows at a counter.

    1. The same id with the same request again gets how its consents stand now.
    2. Use the code up, bound to department, matter, case and person. A refusal is recorded, then raised.
    3. Keep what was presented, with the record of it. A code that releases does 2 and 3 in one transaction. Dying in
       between, a code of the registry is used: the person shows a new one.
    4. Where it identified somebody, fetch what they have not seen yet, as by their own request; it waits for them,
       sealed. Dying here, or where a source does not answer, the same request goes on with what is missing.

    Raises:
        ConsentCodeUnknown, ConsentCodeUsed, ConsentCodeOver, ConsentCodeDiffers, ConsentCodeByAgent: as they say.
        NotFound: nothing waits for a consent in such a case of the department.
        OfferNotOpen: what the code is for is not open any more.
        EvidenceUnavailable: a source does not answer. ConsentIdTaken: the id came with something else.
    """
    digest = exchange.vault.fingerprint(presented.fingerprint())
    known = await tables.find_presentation(exchange.pool, presented.id)
    if known is None:
        try:
            known = await _take(exchange, caller, presented, digest, now)
        except asyncpg.UniqueViolationError:
            known = await tables.find_presentation(exchange.pool, presented.id)
            assert known is not None
    if (known.client_id, known.request) != (caller.id, digest):
        raise ConsentIdTaken(_("take a new id for each request"), pointer="/id")
    if known.made_at != now:
        await exchange.recorder.record(
            prepare("consent-presented", "repeated", caller, now, subject=known.person, **_about(presented))
        )
    if known.kind == IDENTIFIED:
        for each in await offer_states.several(exchange.pool, known.offers):
            if each.state == "offered" and each.is_open(now):
                await fetch(exchange, caller, each, now, presentation=str(presented.id))
    return Result(known.kind, tuple(await offer_states.several(exchange.pool, known.offers)))


async def _take(
    exchange: Exchange, caller: Principal, presented: Presented, digest: bytes, now: datetime
) -> Presentation:
    about: bytes | None = None
    try:
        if presented.code.startswith(PREFIX):
            code = await tables.find_code(exchange.pool, code_digest(presented.code))
            if code is None:
                raise ConsentCodeUnknown(_("no such code"), pointer="/code")
            about = code.person
            return await _release(exchange, caller, presented, code, digest, now)
        return await _identify(exchange, caller, presented, digest, now)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "consent-presented",
                "refused",
                caller,
                now,
                subject=about,
                reason=refusal.code,
                **_about(presented),
            )
        )
        raise


async def _identify(
    exchange: Exchange, caller: Principal, presented: Presented, digest: bytes, now: datetime
) -> Presentation:
    waiting = await offer_states.open_in_case(
        exchange.pool, caller.department, presented.matter, presented.case, KIND, now
    )
    if not waiting:
        raise NotFound(_("nothing waits for a consent in such a case of yours"))
    person = await exchange.codes.identify(
        caller,
        presented.code,
        matter=presented.matter,
        case=presented.case,
        among={each.person for each in waiting},
        now=now,
    )
    own = tuple(each.id for each in waiting if each.person == person)
    made = Presentation(presented.id, caller.id, digest, IDENTIFIED, person, own, now)
    async with exchange.pool.acquire() as connection, connection.transaction():
        await _keep(connection, caller, presented, made)
        await offer_states.present(connection, own, now)
    return made


async def _release(
    exchange: Exchange,
    caller: Principal,
    presented: Presented,
    code: ConsentCode,
    digest: bytes,
    now: datetime,
) -> Presentation:
    made_for = (code.department, code.matter, code.case_ref)
    if made_for != (caller.department, presented.matter, presented.case):
        raise ConsentCodeDiffers(_("it was made for another case"), pointer="/code")
    made = Presentation(presented.id, caller.id, digest, RELEASED, code.person, code.offers, now)
    async with exchange.pool.acquire() as connection, connection.transaction():
        locked = await tables.find_code(connection, code.digest, lock=True)
        assert locked is not None
        _require_good(locked, now)
        offers = await offer_states.several(connection, code.offers, lock=True)
        for each in offers:
            if each.state != "previewed" or not each.is_open(now):
                raise OfferNotOpen(_("it is {state}"), state=each.standing(now))
        if evidence_digest(offers) != code.evidence:
            raise ConsentCodeDiffers(_("what was previewed is not there any more"), pointer="/code")
        await tables.use(connection, code.id, now)
        await _keep(connection, caller, presented, made)
        await offer_states.present(connection, code.offers, now)
        for each in offers:
            await let_go(connection, caller, each, now, code=str(code.id), presentation=str(presented.id))
    return made


def _require_good(code: ConsentCode, now: datetime) -> None:
    if code.used_at is not None:
        raise ConsentCodeUsed(_("a code works once; ask the holder for a new one"), pointer="/code")
    if code.withdrawn_at is not None:
        raise ConsentCodeOver(_("the person has withdrawn it"), pointer="/code")
    if now >= code.expires_at:
        raise ConsentCodeOver(_("ask the holder for a new code"), pointer="/code")


async def _keep(connection: Any, caller: Principal, presented: Presented, made: Presentation) -> None:
    await tables.add_presentation(connection, made)
    await record_within(
        connection,
        prepare(
            "consent-presented",
            made.kind,
            caller,
            made.made_at,
            subject=made.person,
            consents=[str(each) for each in made.offers],
            **_about(presented),
        ),
    )


def _about(presented: Presented) -> dict[str, str]:
    return {"presentation": str(presented.id), "matter": presented.matter, "case": presented.case}
