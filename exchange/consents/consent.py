"""One consent, step by step, as the once-only system of the EU does it: request, preview, release, or withdrawal.

Nothing is asked before the person asks for it, and nothing reaches the department before the person has seen it and
released it. Each step is recorded under the person, with the plan that it belongs to.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.consents.tables import unsettle
from exchange.outcomes.tables import of_case
from exchange.plans import offer_states, tables
from exchange.plans.asking import Answer, payload, verdict
from exchange.plans.errors import OfferNotOpen
from exchange.plans.judging import State
from exchange.plans.offer_states import Offer
from exchange.plans.offers import place
from exchange.plans.plan import ask_one
from exchange.plans.questions import Bundle, Leaf
from exchange.ports import Exchange
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _

KIND = "consent"


class EvidenceUnavailable(DomainError):
    """What the person asked for cannot be fetched now; the offer stays open."""

    code = "evidence-unavailable"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed answer that waits for its release, and what it was asked for."""

    resource: str
    record: str
    jws: str

    def shown(self) -> dict[str, Any]:
        """Return all that the department would learn by it."""
        return {
            "resource": self.resource,
            "record": self.record,
            "says": payload(self.jws),
            "answer": self.jws,
        }


async def request(exchange: Exchange, caller: Principal, offer_id: uuid.UUID, now: datetime) -> Offer:
    """Fetch the evidence, since the person asks for it.

    1. The offer is this person's and open. Asked before: nothing more happens.
    2. Record that the person asked, durably: everything after it has this reason.
    3. Ask, as the department and by its grants; each question has its own record. Dying here, records stand of
       answers that nobody got, and the person may ask again.
    4. Keep the answers sealed with the offer. Of two requests at once the first counts.

    Raises:
        NotFound, OfferNotOpen: as they say.
        EvidenceUnavailable: a grant ended meanwhile, or the source does not answer.
    """
    offer = await _own(exchange, exchange.pool, caller, offer_id)
    if offer.state != "offered":
        _require(offer, now, "requested", "previewed")
        return offer
    _require(offer, now, "offered")
    await fetch(exchange, caller, offer, now)
    return await _own(exchange, exchange.pool, caller, offer_id)


async def fetch(exchange: Exchange, caller: Principal, offer: Offer, now: datetime, **facts: str) -> None:
    """Record that the person asked, ask, and keep the answers sealed with the offer: steps 2 to 4 of `request`.

    Args:
        caller: the person, or the counter that they showed a code to.
        facts: further members of the record.
    """
    await exchange.recorder.record(step("consent-requested", "requested", caller, offer, now, **facts))
    assert offer.questions is not None
    questions = orjson.loads(exchange.vault.open(offer.questions, place(offer.id, "questions")))
    asking = Principal(offer.client_id, offer.department, frozenset({Role.DEPARTMENT_SYSTEM}))
    try:
        async with asyncio.timeout(exchange.settings.plan_deadline_seconds):
            found = await asyncio.gather(
                *(_ask(exchange, asking, offer, number, each, now) for number, each in enumerate(questions))
            )
    except TimeoutError as error:
        raise EvidenceUnavailable(_("the source has not answered; ask again later")) from error
    except DomainError as refusal:
        raise EvidenceUnavailable(
            _("the evidence cannot be fetched: {reason}"), reason=refusal.code
        ) from refusal
    kept = [
        {"resource": each["resource"], "record": answer.record, "jws": answer.jws}
        for each, (answer, _settles) in zip(questions, found, strict=True)
    ]
    async with exchange.pool.acquire() as connection:
        await offer_states.fetched(
            connection,
            offer.id,
            exchange.vault.seal(orjson.dumps(kept), place(offer.id, "evidence")),
            [uuid.UUID(answer.record) for answer, _settles in found],
            now,
            settles=all(settles for _answer, settles in found),
        )


async def preview(
    exchange: Exchange, caller: Principal, offer_id: uuid.UUID, now: datetime
) -> tuple[Offer, list[Evidence]]:
    """Show the person exactly what would go to the department; recorded first."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        offer = await _own(exchange, connection, caller, offer_id, lock=True)
        _require(offer, now, "requested", "previewed")
        await record_within(connection, step("consent-previewed", "answered", caller, offer, now))
        await offer_states.move(connection, offer.id, "previewed", now)
        offer = await _own(exchange, connection, caller, offer_id)
    return offer, evidence_of(exchange, offer)


async def release(exchange: Exchange, caller: Principal, offer_id: uuid.UUID, now: datetime) -> Offer:
    """Attach to the case what the person has seen; once. Record and release stand or fall together."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        offer = await _own(exchange, connection, caller, offer_id, lock=True)
        if offer.state == "released":
            return offer
        _require(offer, now, "previewed")
        await let_go(connection, caller, offer, now)
        return await _own(exchange, connection, caller, offer_id)


async def let_go(connection: Any, caller: Principal, offer: Offer, now: datetime, **facts: str) -> None:
    """Release a previewed offer within a transaction that holds it.

    Args:
        caller, facts: as of `fetch`.
    """
    await record_within(connection, step("consent-released", "released", caller, offer, now, **facts))
    await offer_states.move(connection, offer.id, "released", now)
    if not offer.settles:
        await tables.left_to_bring(connection, offer.plan, offer.material, "mismatch")
    await tables.settle_if_done(connection, offer.plan, offer.material, now)


async def refuse(exchange: Exchange, caller: Principal, offer_id: uuid.UUID, now: datetime) -> Offer:
    """Close an offer; what was fetched is thrown away. The department sees that the material is to be brought."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        offer = await _own(exchange, connection, caller, offer_id, lock=True)
        if offer.state == "refused":
            return offer
        _require(offer, now, "offered", "requested", "previewed")
        await record_within(connection, step("consent-refused", "refused", caller, offer, now))
        await offer_states.move(connection, offer.id, "refused", now)
        await tables.left_to_bring(connection, offer.plan, offer.material, "consent-refused")
        return await _own(exchange, connection, caller, offer_id)


async def withdraw(exchange: Exchange, caller: Principal, offer_id: uuid.UUID, now: datetime) -> Offer:
    """Take a release back: from now on the department gets nothing of it, and the material is to be brought.

    What was decided before stands, and so does what the department has filed by then.

    Raises:
        NotFound: as it says.
        OfferNotOpen: it is not released, or the case is decided.
    """
    async with exchange.pool.acquire() as connection, connection.transaction():
        offer = await _own(exchange, connection, caller, offer_id, lock=True)
        if offer.state == "withdrawn":
            return offer
        if offer.state != "released":
            raise OfferNotOpen(_("it is {state}"), state=offer.standing(now))
        if await of_case(connection, offer.department, offer.matter, offer.case_ref) is not None:
            raise OfferNotOpen(_("the case is decided"))
        await record_within(connection, step("consent-withdrawn", "withdrawn", caller, offer, now))
        await offer_states.move(connection, offer.id, "withdrawn", now)
        await unsettle(
            connection, offer.department, offer.matter, offer.case_ref, offer.material, offer.records
        )
        return await _own(exchange, connection, caller, offer_id)


def evidence_of(exchange: Exchange, offer: Offer) -> list[Evidence]:
    """Return the fetched answers of an offer."""
    if offer.evidence is None:
        return []
    kept = orjson.loads(exchange.vault.open(offer.evidence, place(offer.id, "evidence")))
    return [Evidence(**each) for each in kept]


def asked_for(exchange: Exchange, offer: Offer) -> list[dict[str, Any]]:
    """Return what an offer would ask, without the identifiers: resources, and fields or claims by name.

    Nothing of an offer so old that what its plan kept was deleted; its records stay.
    """
    if offer.questions is None:
        return []
    questions: Sequence[dict[str, Any]] = orjson.loads(
        exchange.vault.open(offer.questions, place(offer.id, "questions"))
    )
    return [
        {
            "resource": each["resource"],
            "mode": each["mode"],
            "fields": sorted({*each["claims"], *each["fields"]}),
        }
        for each in questions
    ]


async def _own(
    exchange: Exchange, connection: Any, caller: Principal, offer_id: uuid.UUID, *, lock: bool = False
) -> Offer:
    assert caller.subject is not None
    offer = await offer_states.find(connection, offer_id, caller.subject, KIND, lock=lock)
    if offer is None:
        raise NotFound(_("nothing of that name was asked of you"))
    return offer


def _require(offer: Offer, now: datetime, *states: str) -> None:
    if offer.state not in states or not offer.is_open(now):
        raise OfferNotOpen(_("it is {state}"), state=offer.standing(now))


async def _ask(
    exchange: Exchange, asking: Principal, offer: Offer, number: int, each: dict[str, Any], now: datetime
) -> tuple[Answer, bool]:
    leaf = Leaf(number, each["mode"], each["resource"], "", each["claims"], tuple(each["fields"]))
    answer = await ask_one(
        exchange, asking, Bundle((leaf,)), each["subject"], offer.matter, offer.case_ref, now
    )
    return answer, verdict(leaf, answer).state is State.SETTLED


def step(
    event: str, outcome: str, caller: Principal, offer: Offer, now: datetime, **facts: str
) -> AccessRecord:
    """Make the record of a step, under the person whom it is about."""
    return prepare(
        event,
        outcome,
        caller,
        now,
        subject=offer.person,
        consent=str(offer.id),
        plan=str(offer.plan),
        matter=offer.matter,
        material=offer.material,
        case=offer.case_ref,
        to_department=offer.department,
        records=[str(each) for each in offer.records],
        **facts,
    )
