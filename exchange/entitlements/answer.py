"""What a person answers to a benefit that they were told of, and when a benefit is to be given.

Where the rule needs no answer, a benefit is due as soon as the person is told; else only once they accept. That it is
due goes to the department by the outbox, by reference: whom it is for is asked for by name of the finding, recorded.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.entitlements import tables
from exchange.entitlements.tables import Found, Run
from exchange.outbox.deliver import tell
from exchange.ports import Exchange
from exchange.registers.aliases import decided_identities
from exchange.registers.schemas import load_registers, opened
from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

PERSONS = "persons"
DUE = "benefit-due"
"""Kind of the message that a department is to give a benefit."""


class EntitlementNotOpen(DomainError):
    """There is nothing to answer: no answer is needed, its last day has passed, or it was another one."""

    code = "entitlement-not-open"


class BenefitNotDue(DomainError):
    """The person was not told, or has not accepted."""

    code = "benefit-not-due"


async def answer(
    exchange: Exchange, caller: Principal, found_id: uuid.UUID, now: datetime, *, accepted: bool
) -> None:
    """Accept or refuse a benefit that the caller was told of; the same answer again changes nothing.

    Record, answer and, if accepted, the message to the department that gives the benefit stand or fall together.

    Raises:
        NotFound, EntitlementNotOpen: recorded, then raised.
    """
    today = civil_date(now)
    said = "accepted" if accepted else "refused"
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.find(connection, found_id, today)
            assert caller.subject is not None
            theirs = await decided_identities(connection, caller.subject)
            if found is None or found.subject not in theirs or found.told_at is None:
                raise NotFound(_("you were told of no such benefit"))
            if found.state == said:
                return
            _require_open(found)
            run = await tables.find_run(connection, found.run)
            assert run is not None
            await record_within(
                connection,
                prepare(
                    "entitlement-answer",
                    said,
                    caller,
                    now,
                    subject=found.subject,
                    run=str(run.id),
                    rule=run.rule,
                    found=str(found.id),
                    to=run.department,
                ),
            )
            await tables.answered(connection, found.id, now, accepted=accepted)
            if accepted:
                await tell_due(exchange, connection, run, found, now)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "entitlement-answer",
                "not-taken",
                caller,
                now,
                subject=caller.subject,
                found=str(found_id),
                reason=refusal.code,
            )
        )
        raise


async def tell_due(exchange: Exchange, connection: Any, run: Run, found: Found, now: datetime) -> None:
    """Tell a department that a benefit is to be given, in the transaction of what makes it due; once for each found."""
    facts = {"found": str(found.id), "run": str(run.id), "rule": run.rule, "rule_version": run.rule_version}
    await tell(exchange, connection, found.id, run.department, DUE, facts, now)


async def beneficiary(
    exchange: Exchange, caller: Principal, run: Run, found_id: uuid.UUID, now: datetime
) -> str:
    """Return the citizen ID of whom a benefit is to be given to; recorded first.

    The benefit itself is what discloses it: nobody can be paid who is not named. Before it is due, the department sees
    of them only what its grant discloses.

    Args:
        run: of the caller's department.

    Raises:
        NotFound, BenefitNotDue: recorded, then raised.
    """
    subject: bytes | None = None
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await tables.find(connection, found_id, civil_date(now))
            if found is None or found.run != run.id:
                raise NotFound(_("the run found nobody of that name"))
            subject = found.subject
            if found.due_at is None:
                raise BenefitNotDue(_("the benefit is not to be given: {state}"), state=found.state)
            row = await tables.person_of(connection, found.subject)
            if row is None:
                raise NotFound(_("the register knows this person no longer"))
            await record_within(connection, _beneficiary("answered", caller, run, found_id, subject, now))
    except DomainError as refusal:
        await exchange.recorder.record(
            _beneficiary("refused", caller, run, found_id, subject, now, reason=refusal.code)
        )
        raise
    values = opened(exchange.vault, load_registers()[PERSONS], found.subject, *row)
    return str(values["citizen_id"])


def _require_open(found: Found) -> None:
    if found.state == "lapsed":
        assert found.answer_until is not None
        raise EntitlementNotOpen(_("the last day to answer was {day}"), day=found.answer_until.isoformat())
    if found.state != "told":
        raise EntitlementNotOpen(_("you have answered: {state}"), state=found.state)
    if found.answer_until is None:
        raise EntitlementNotOpen(_("the benefit is given without an answer"))


def _beneficiary(
    outcome: str,
    caller: Principal,
    run: Run,
    found_id: uuid.UUID,
    subject: bytes | None,
    now: datetime,
    **facts: Any,
) -> AccessRecord:
    return prepare(
        "entitlement-beneficiary",
        outcome,
        caller,
        now,
        subject=subject,
        run=str(run.id),
        rule=run.rule,
        found=str(found_id),
        **facts,
    )
