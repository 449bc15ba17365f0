"""One commitment: read, signed by the person's own session, and verified later under the department's grant."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare, record_within
from exchange.commitments import tables
from exchange.commitments.tables import Commitment
from exchange.commitments.text import Shown, masked_name, shown
from exchange.matters import tables as matters
from exchange.matters.commitments import Template, load_templates
from exchange.matters.matter import Matter, read_matter
from exchange.outbox.deliver import CREDIT, tell
from exchange.plans import offer_states
from exchange.plans import tables as plans
from exchange.plans.asking import verdict
from exchange.plans.errors import OfferNotOpen
from exchange.plans.judging import Reason, State
from exchange.plans.offer_states import Offer
from exchange.plans.plan import Planning, ask_one, opened
from exchange.plans.questions import Bundle, Leaf, read_case
from exchange.plans.questions import question as asked_by
from exchange.plans.statement import subject_digest
from exchange.plans.tables import Plan
from exchange.ports import Exchange
from exchange.queries.attest import PURPOSE
from exchange.registers.schemas import load_registers
from exchange.registers.schemas import opened as opened_row
from foundation.civil import civil_date, day_begins
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.signing import canonical_json, sign_compact
from foundation.workdays import Calendar

KIND = "commitment"
TYPE = "zhengtong-commitment+jwt"
MOST_ATTEMPTS = 3
"""So often a commitment is verified before it stays unknown."""
_CLAIMED = timedelta(minutes=15)
_BATCH = 20


class CommitmentTextDiffers(DomainError):
    """The person agreed to another text than the one that is offered."""

    code = "commitment-text-differs"


@dataclass(frozen=True, slots=True)
class Offered:
    """A commitment that a person may sign, with the text that they read."""

    offer: Offer
    template: Template
    text: Shown


async def offers(exchange: Exchange, caller: Principal) -> list[Offered]:
    """Return what the caller was offered to sign, the latest first."""
    assert caller.subject is not None
    found = await offer_states.of_person(exchange.pool, caller.subject, KIND)
    shown_all = [await _offered(exchange.pool, each) for each in found]
    return [each for each in shown_all if each is not None]


async def sign(
    planning: Planning, caller: Principal, offer_id: uuid.UUID, text_sha256: str, now: datetime
) -> Commitment:
    """Sign a commitment for the person, whose session says that they agree to the text of this digest.

    1. The offer is this person's and open, and the text is the one they saw. Signed before: that commitment.
    2. Make the statement: who, to which text, when, for which plan.
    3. Store record, commitment and the settled material in one transaction; whoever dies before it signed nothing.

    The exchange signs that the person agreed: it vouches for their session, as the record does.

    Raises:
        NotFound, OfferNotOpen, CommitmentTextDiffers: as they say.
    """
    exchange = planning.exchange
    assert caller.subject is not None
    async with exchange.pool.acquire() as connection, connection.transaction():
        offer = await offer_states.find(connection, offer_id, caller.subject, KIND, lock=True)
        if offer is None:
            raise NotFound(_("nothing of that name was asked of you"))
        signed = await tables.find(connection, offer_id)
        if signed is not None:
            return signed
        if offer.state != "offered" or not offer.is_open(now):
            raise OfferNotOpen(_("it is {state}"), state=offer.standing(now))
        offered = await _offered(connection, offer)
        if offered is None:
            raise OfferNotOpen(_("it is {state}"), state="withdrawn")
        if offered.text.sha256 != text_sha256:
            raise CommitmentTextDiffers(_("this is not the digest of the text"), pointer="/text_sha256")
        plan = await plans.find(connection, offer.plan)
        assert plan is not None
        matter = await _matter(connection, plan)
        # Who signs may have come by another identifier of theirs: the statement is of the one that applied.
        said = _said(exchange, plan, matter, offered, offer.person, now)
        record = prepare(
            "commitment-signed",
            "signed",
            caller,
            now,
            subject=offer.person,
            commitment=str(offer.id),
            plan=str(offer.plan),
            template=offered.template.id,
            template_version=offered.template.version,
            text_sha256=text_sha256,
            matter=offer.matter,
            material=offer.material,
            case=offer.case_ref,
            to_department=offer.department,
            answer_sha256=answer_digest(said),
        )
        promise = receipt(record, exchange.settings.ledger_origin)
        statement = sign_compact(
            exchange.keys.signer(PURPOSE), canonical_json(said | {"receipt": promise}), TYPE
        )
        public = offered.template.public
        new = Commitment(
            id=offer.id,
            plan=offer.plan,
            material=offer.material,
            template=offered.template.id,
            template_version=offered.template.version,
            person=offer.person,
            signed_at=now,
            statement=statement,
            public=public,
            name_masked=await _masked(exchange, connection, offer.person) if public else None,
            state="signed",
            verify_at=_due(planning.calendar, now, offered.template.verify_after_days),
            attempts=0,
            verified_at=None,
            records=(),
            client_id=offer.client_id,
            department=offer.department,
            matter=offer.matter,
            case_ref=offer.case_ref,
        )
        await record_within(connection, record)
        await tables.add(connection, new)
        await offer_states.sign(connection, offer.id, record.id, now)
        await plans.settle_if_done(connection, offer.plan, offer.material, now)
        stored = await tables.find(connection, offer.id)
        assert stored is not None
        return stored


async def verify_due(planning: Planning, now: datetime) -> int:
    """Verify every commitment whose day has come; return how many were looked at.

    Each is asked as its department, under that department's grants, and recorded as any question. What the source does
    not know, or does not answer, is asked again after as many working days, and stays unknown in the end. Dying between
    question and note, it is asked once more.
    """
    exchange = planning.exchange
    looked = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            due = await tables.take_due(connection, now, now + _CLAIMED, _BATCH)
        for each in due:
            await _verify(planning, each, now)
        looked += len(due)
        if len(due) < _BATCH:
            return looked


async def _verify(planning: Planning, each: Commitment, now: datetime) -> None:
    exchange = planning.exchange
    template = load_templates().get(each.template)
    state, records, subject = "unknown", [], None
    plan = await plans.find(exchange.pool, each.plan)
    assert plan is not None
    if template is not None and template.verified_by is not None:
        matter = await _matter(exchange.pool, plan)
        kept = opened(exchange, plan)
        case = read_case(matter, exchange.vault, plan.case_ref, kept["subjects"], kept["inputs"], ())
        leaf = asked_by(0, template.verified_by, case)
        if isinstance(leaf, Leaf):
            subject = case.subjects[leaf.role]
            asking = Principal(each.client_id, each.department, frozenset({Role.DEPARTMENT_SYSTEM}))
            try:
                answer = await ask_one(
                    exchange, asking, Bundle((leaf,)), subject, plan.matter, plan.case_ref, now
                )
            except DomainError:
                # Recorded as refused; it stays unknown for now.
                pass
            else:
                records.append(uuid.UUID(answer.record))
                found = verdict(leaf, answer)
                if found.state is State.SETTLED:
                    state = "held"
                elif found.reason is Reason.MISMATCH:
                    state = "breached"
    again = None
    if state == "unknown" and template is not None and each.attempts + 1 < MOST_ATTEMPTS:
        state, again = "signed", _due(planning.calendar, now, template.verify_after_days)
    async with exchange.pool.acquire() as connection, connection.transaction():
        if not await tables.verified(connection, each.id, state, records, again, now):
            return
        if state == "breached":
            assert subject is not None
            await _report(exchange, connection, each, subject, records, now)


async def _report(
    exchange: Exchange,
    connection: Any,
    breached: Commitment,
    subject: str,
    records: list[uuid.UUID],
    now: datetime,
) -> None:
    asking = Principal(breached.client_id, breached.department, frozenset({Role.DEPARTMENT_SYSTEM}))
    await record_within(
        connection,
        prepare(
            "commitment-breached",
            "reported",
            asking,
            now,
            subject=breached.person,
            commitment=str(breached.id),
            plan=str(breached.plan),
            template=breached.template,
            matter=breached.matter,
            case=breached.case_ref,
            records=[str(each) for each in records],
        ),
    )
    facts = {
        "commitment": str(breached.id),
        "statement": breached.statement,
        "subject": subject,
        "template": breached.template,
        "department": breached.department,
        "matter": breached.matter,
        "case": breached.case_ref,
        "signed_at": breached.signed_at.isoformat(),
        "records": [str(each) for each in records],
    }
    # The id of the commitment is that of the message: a breach is reported once.
    await tell(exchange, connection, breached.id, CREDIT, "commitment-breached", facts, now)


async def _offered(connection: Any, offer: Offer) -> Offered | None:
    """Return an offer with its text; None where its template is gone."""
    plan = await plans.find(connection, offer.plan)
    assert plan is not None
    assert offer.template is not None
    template = load_templates().get(offer.template)
    if template is None:
        return None
    matter = await _matter(connection, plan)
    return Offered(offer, template, shown(template, matter, offer.material, offer.case_ref, offer.made_at))


async def _matter(connection: Any, plan: Plan) -> Matter:
    document = await matters.version(connection, plan.matter, plan.matter_version)
    assert document is not None, "versions of matters are never deleted"
    return read_matter(document)


def _said(
    exchange: Exchange, plan: Plan, matter: Matter, offered: Offered, person: bytes, now: datetime
) -> dict[str, Any]:
    kept = opened(exchange, plan)
    case = read_case(matter, exchange.vault, plan.case_ref, kept["subjects"], kept["inputs"], ())
    role = next(role for role, (_kind, blind) in case.blinded.items() if blind == person)
    return {
        "iss": exchange.settings.base_url,
        "iat": int(now.timestamp()),
        "commitment": str(offered.offer.id),
        "template": offered.template.id,
        "template_version": offered.template.version,
        "legal_basis": offered.template.legal_basis,
        "text_sha256": offered.text.sha256,
        "signed_by": "session",
        "role": role,
        "subject": subject_digest("citizen-id", case.subjects[role]),
        "plan": str(plan.id),
        "department": plan.department,
        "purpose": matter.purpose,
        "matter": plan.matter,
        "material": offered.offer.material,
        "case": plan.case_ref,
    }


async def _masked(exchange: Exchange, connection: Any, person: bytes) -> str | None:
    row = await tables.person_row(connection, person)
    if row is None:
        return None
    found = opened_row(exchange.vault, load_registers()["persons"], person, *row)
    return masked_name(found["name"]) if found.get("name") else None


def _due(calendar: Calendar, now: datetime, days: int | None) -> datetime | None:
    if days is None:
        return None
    return day_begins(calendar.add_working_days(civil_date(now), days) + timedelta(days=1))
