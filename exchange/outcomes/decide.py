"""What a department decided in a case, and who is to watch over what it permits (审管联动)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from exchange.archives.tables import ask_for
from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.matters import tables as matters
from exchange.matters.drafting import MatterOfAnother
from exchange.matters.matter import Matter, read_matter
from exchange.outbox.deliver import tell
from exchange.outcomes import tables
from exchange.outcomes.tables import Outcome, Task
from exchange.ports import Exchange
from exchange.queries.authorise import canonical_subject
from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _

GRANTED = "granted"


class OutcomeInvalid(DomainError):
    """An outcome that cannot be: decided on a day to come."""

    code = "outcome-invalid"


class OutcomeStands(DomainError):
    """The case, or the id, has another outcome already."""

    code = "outcome-stands"


class ApplicantForgotten(DomainError):
    """The identifier of a supervised applicant was deleted when its time was over."""

    code = "applicant-forgotten"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, as told: `applicant` is the identifier of the matter's applicant."""

    id: uuid.UUID
    matter: str
    case: str
    result: str
    decided_on: date
    applicant: str


async def decide(exchange: Exchange, caller: Principal, told: Decision, now: datetime) -> Outcome:
    """Put an outcome on record; a granted one becomes the task of the department that supervises it.

    1. The matter is the caller's, the applicant well-formed. A refusal is recorded, then raised.
    2. Told before: that outcome.
    3. Record, outcome, the wish to archive the case, task and the message to the supervising department stand or fall
       together.

    Raises:
        NotFound, MatterOfAnother, SubjectMalformed, OutcomeInvalid, OutcomeStands: as they say.
    """
    applicant: bytes | None = None
    try:
        matter = await _own_matter(exchange, caller, told.matter)
        kind, canonical = _applicant(matter, told.applicant)
        applicant = exchange.vault.blind_index(kind, canonical)
        if told.decided_on > civil_date(now):
            raise OutcomeInvalid(_("it was decided on a day to come"), pointer="/decided_on")
        new = Outcome(
            id=told.id,
            department=caller.department,
            client_id=caller.id,
            matter=told.matter,
            case_ref=told.case,
            result=told.result,
            decided_on=told.decided_on,
            applicant=applicant,
            recorded_at=now,
        )
        stands = await tables.find(exchange.pool, told.id)
        if stands is None:
            stands = await tables.of_case(exchange.pool, caller.department, told.matter, told.case)
        if stands is not None:
            return _same(stands, new)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "case-outcome",
                "refused",
                caller,
                now,
                subject=applicant,
                reason=refusal.code,
                matter=told.matter,
                case=told.case,
            )
        )
        raise
    supervising: str | None = matter.document.get("supervised_by")
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            await record_within(connection, _recorded(caller, new, now))
            await tables.add(connection, new)
            await ask_for(connection, new.id, now)
            if supervising is not None and new.result == GRANTED:
                await _hand_over(exchange, connection, new, supervising, told.applicant, kind, now)
    except asyncpg.UniqueViolationError:
        stands = await tables.of_case(exchange.pool, caller.department, told.matter, told.case)
        if stands is None:
            stands = await tables.find(exchange.pool, told.id)
        assert stands is not None
        return _same(stands, new)
    return new


async def take_task(
    exchange: Exchange, caller: Principal, outcome_id: uuid.UUID, now: datetime
) -> tuple[Task, Outcome, str]:
    """Tell a supervising department whom a task is about; recorded first, under that subject.

    Raises:
        NotFound: it supervises nothing of that name.
        ApplicantForgotten: the identifier was deleted when its time was over; recorded, too.
    """
    async with exchange.pool.acquire() as connection, connection.transaction():
        found = await tables.find_task(connection, caller.department, outcome_id)
        if found is None:
            raise NotFound(_("you supervise nothing of that name"))
        task, outcome = found
        await record_within(
            connection,
            prepare(
                "supervision-task",
                "answered" if task.applicant is not None else "forgotten",
                caller,
                now,
                subject=outcome.applicant,
                outcome_id=str(outcome.id),
                matter=outcome.matter,
                case=outcome.case_ref,
                from_department=outcome.department,
            ),
        )
        await tables.seen(connection, outcome_id, now)
    if task.applicant is None:
        raise ApplicantForgotten(_("the identifier was deleted at the time that was set for it"))
    return task, outcome, exchange.vault.open(task.applicant, place(outcome_id)).decode()


def place(outcome_id: uuid.UUID) -> bytes:
    """Return where the identifier of a supervised applicant stands."""
    return b"supervision_task\0" + outcome_id.bytes


async def _own_matter(exchange: Exchange, caller: Principal, code: str) -> Matter:
    document = await matters.published(exchange.pool, code)
    if document is None:
        raise NotFound(_("no such matter is published"))
    matter = read_matter(document)
    if matter.department != caller.department:
        raise MatterOfAnother(_("another department decides on this matter"), pointer="/matter")
    return matter


def _applicant(matter: Matter, text: str) -> tuple[str, str]:
    try:
        return canonical_subject(matter.subjects["applicant"], text)
    except DomainError as refusal:
        refusal.pointer = "/applicant"
        raise


def _same(stands: Outcome, new: Outcome) -> Outcome:
    def said(each: Outcome) -> tuple[Any, ...]:
        return (
            each.id, each.department, each.matter, each.case_ref, each.result, each.decided_on, each.applicant
        )  # fmt: skip

    if said(stands) != said(new):
        raise OutcomeStands(_("the case, or the id, has another outcome"))
    return stands


def _recorded(caller: Principal, new: Outcome, now: datetime) -> AccessRecord:
    return prepare(
        "case-outcome",
        new.result,
        caller,
        now,
        subject=new.applicant,
        outcome_id=str(new.id),
        matter=new.matter,
        case=new.case_ref,
        decided_on=new.decided_on.isoformat(),
    )


async def _hand_over(
    exchange: Exchange,
    connection: Any,
    new: Outcome,
    supervising: str,
    applicant: str,
    kind: str,
    now: datetime,
) -> None:
    sealed = exchange.vault.seal(applicant.encode(), place(new.id))
    await tables.add_task(connection, Task(new.id, supervising, kind, sealed, now, None))
    # Whom it is about is asked for by name of the outcome, over a channel that knows who asks.
    facts = {
        "outcome": str(new.id),
        "matter": new.matter,
        "case": new.case_ref,
        "department": new.department,
        "decided_on": new.decided_on.isoformat(),
    }
    await tell(exchange, connection, new.id, supervising, "outcome-granted", facts, now)
