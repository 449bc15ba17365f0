"""Reporting a wrong value, and what the reporter and its department do next: told in order."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from exchange.audit.record import prepare, record_within
from exchange.catalog.resources import Resource, require_resource
from exchange.corrections import tables
from exchange.corrections.correction import (
    Correction,
    CorrectionIdTaken,
    CorrectionInvalid,
    State,
    added_to,
    answered,
    due_on,
    withdrawn,
)
from exchange.corrections.held import held
from exchange.corrections.said import Said, Told, open_reason, open_told, seal_reason, seal_told
from exchange.corrections.telling import tell_recipients
from exchange.grants.grant import FieldNotGranted, NotGranted
from exchange.grants.tables import of_client
from exchange.ports import Exchange
from exchange.queries.authorise import canonical_subject
from exchange.registers.aliases import decided_identities
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal, Role
from foundation.identity.tables import has_systems
from foundation.language import _

PERSON_KIND = "citizen-id"


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it comes in.

    Args:
        subject: identifier; None where a person reports, who reports of themselves only.
    """

    id: uuid.UUID
    resource: str
    subject: str | None
    field: str
    said: Said


async def report(exchange: Exchange, caller: Principal, wanted: Report, now: datetime) -> Correction:
    """Take in a report of a wrong value.

    1. Check resource, field and subject; blind the subject. A system reports of fields that it was granted at some
       time; a person of themselves. A refusal is recorded, then raised.
    2. Note what the register shows now, and since when, by a fingerprint. The reply does not depend on it: nobody
       learns by reporting whether a subject is known.
    3. In one transaction: the record, and the report with all that was said, sealed.

    Sent again with the same id by the same reporter, it gives the report as it stands by now.

    Raises:
        ResourceUnknown, FieldUnknown, SubjectMalformed, CorrectionInvalid, NotGranted, FieldNotGranted: as they say.
        CorrectionIdTaken: another report has this id.
    """
    subject: bytes | None = caller.subject
    try:
        resource, subject = _whose(exchange, caller, wanted)
        if caller.subject is None:
            await _require_granted(exchange, caller, wanted)
    except DomainError as refusal:
        await _record_refusal(exchange, caller, "reported", wanted.id, subject, refusal, now)
        raise
    shown = await held(exchange.pool, exchange.vault, resource.register, subject, wanted.field)
    told = Told(wanted.subject, (wanted.said,))
    new = Correction(
        id=wanted.id,
        client_id=caller.id,
        department=caller.department,
        reporter=caller.subject,
        owner=resource.department,
        resource=wanted.resource,
        register=resource.register.name,
        subject=subject,
        field=wanted.field,
        value=shown.value,
        value_since=shown.since,
        source=shown.source,
        sealed=seal_told(exchange.vault, wanted.id, told),
        state=State.OPEN,
        reported_at=now,
        due_on=due_on(resource.department, exchange.deadlines, now),
    )
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.add(connection, new):
            await record_within(
                connection, prepare("correction-reported", "reported", caller, now, **_facts(new))
            )
            return new
        known = await tables.find(connection, wanted.id)
        theirs = await identities_of(connection, caller)
    if known is None or not reported(known, caller, theirs) or not _same(exchange, known, new, told, theirs):
        raise CorrectionIdTaken(_("another report has this id"), pointer="/id")
    return known


async def answer(
    exchange: Exchange, caller: Principal, correction_id: uuid.UUID, state: State, reason: str, now: datetime
) -> Correction:
    """Answer a report.

    In one transaction: the answer and its record. Where the value was wrong, its source now has the task to put it
    right (open until the register shows another value, see `following.py`), and all who were given it are told, in
    the same transaction: dying in it, nothing was answered.

    The same answer again by the same system changes nothing.

    Raises:
        NotFound: no such report for this department.
        CorrectionStateWrong: it waits for no answer.
    """

    async def change(known: Correction) -> Correction:
        if not await answers(exchange, known, caller):
            raise NotFound(_("no such report"))
        said = known.answer_sealed
        if said is not None and (known.state, known.answered_by) == (state, caller.id):
            repeated = open_reason(exchange.vault, known.id, said) == reason
            if repeated:
                return known
        return answered(known, state, caller.id, seal_reason(exchange.vault, known.id, reason), now)

    return await _change(exchange, caller, correction_id, state.value, change, now)


async def add_to(
    exchange: Exchange, caller: Principal, correction_id: uuid.UUID, said: Said, now: datetime
) -> Correction:
    """Add to a report what its department asked for; the term to answer in begins again.

    Raises:
        NotFound, CorrectionStateWrong: as they say.
    """

    theirs = await identities_of(exchange.pool, caller)

    async def change(known: Correction) -> Correction:
        _require_reporter(known, caller, theirs)
        told = open_told(exchange.vault, known.id, known.sealed)
        if known.state is State.OPEN and len(told.said) > 1 and told.said[-1] == said:
            return known
        more = replace(told, said=(*told.said, said))
        return added_to(known, seal_told(exchange.vault, known.id, more), exchange.deadlines, now)

    return await _change(exchange, caller, correction_id, "added-to", change, now)


async def withdraw(
    exchange: Exchange, caller: Principal, correction_id: uuid.UUID, now: datetime
) -> Correction:
    """Take a report back; again changes nothing. Raises NotFound, CorrectionStateWrong."""

    theirs = await identities_of(exchange.pool, caller)

    async def change(known: Correction) -> Correction:
        _require_reporter(known, caller, theirs)
        return known if known.state is State.WITHDRAWN else withdrawn(known)

    return await _change(exchange, caller, correction_id, "withdrawn", change, now)


async def identities_of(connection: Any, caller: Principal) -> list[bytes]:
    """Return all identifiers that the person stands under who calls; none for a system."""
    return [] if caller.subject is None else await decided_identities(connection, caller.subject)


def reported(known: Correction, caller: Principal, theirs: Collection[bytes]) -> bool:
    """True for who made a report: the person, by whichever of `theirs`, or any system of the department."""
    if caller.subject is not None:
        return known.reporter in theirs
    return known.reporter is None and bool(known.department) and known.department == caller.department


async def answers(exchange: Exchange, known: Correction, caller: Principal) -> bool:
    """True for who answers a report: the department that the resource is of.

    For a department that has no system here, such as a ministry, the sharing authority answers.
    """
    if caller.subject is not None:
        return False
    if known.owner and known.owner == caller.department:
        return True
    if Role.SHARING_AUTHORITY not in caller.roles:
        return False
    return not (known.owner and await has_systems(exchange.engine, known.owner))


def _whose(exchange: Exchange, caller: Principal, wanted: Report) -> tuple[Resource, bytes]:
    resource = require_resource(exchange.catalogue, wanted.resource)
    resource.require_fields(frozenset({wanted.field}), "/field")
    if not resource.register.table:
        raise CorrectionInvalid(
            _("its values stand in no register here: turn to its department"), pointer="/resource"
        )
    if caller.subject is not None:
        if resource.subject_kind != PERSON_KIND:
            raise CorrectionInvalid(_("this resource is not about people"), pointer="/resource")
        if wanted.subject is not None:
            raise CorrectionInvalid(_("people report of themselves, and name nobody"), pointer="/subject")
        return resource, caller.subject
    if wanted.subject is None:
        raise CorrectionInvalid(_("say whose value is wrong"), pointer="/subject")
    kind, canonical = canonical_subject(resource.subject_kind, wanted.subject)
    return resource, exchange.vault.blind_index(kind, canonical)


async def _require_granted(exchange: Exchange, caller: Principal, wanted: Report) -> None:
    # Also by a grant that has ended: what was seen then may be found wrong now.
    grants = [
        each for each in await of_client(exchange.engine, caller.id) if each.resource == wanted.resource
    ]
    if not grants:
        raise NotGranted(_("no grant for this resource"))
    if not any(wanted.field in grant.fields for grant in grants):
        raise FieldNotGranted(_("field {field} is not in the grant"), pointer="/field", field=wanted.field)


def _require_reporter(known: Correction, caller: Principal, theirs: Collection[bytes]) -> None:
    if not reported(known, caller, theirs):
        raise NotFound(_("no such report"))


async def _change(
    exchange: Exchange,
    caller: Principal,
    correction_id: uuid.UUID,
    outcome: str,
    change: Callable[[Correction], Awaitable[Correction]],
    now: datetime,
) -> Correction:
    known = None
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            known = await tables.find(connection, correction_id, lock=True)
            if known is None:
                raise NotFound(_("no such report"))
            after = await change(known)
            if after is not known:
                await record_within(
                    connection, prepare(f"correction-{outcome}", outcome, caller, now, **_facts(after))
                )
                await tables.put(connection, after)
                if after.state is State.CORRECTED:
                    await tell_recipients(exchange, connection, after, now, now)
    except DomainError as refusal:
        subject = None if known is None else known.subject
        await _record_refusal(exchange, caller, outcome, correction_id, subject, refusal, now)
        raise
    return after


def _facts(of: Correction) -> dict[str, Any]:
    return {
        "subject": of.subject,
        "correction": str(of.id),
        "resource": of.resource,
        "field": of.field,
        "by": "person" if of.reporter is not None else of.department,
        "reporter": of.client_id,
        "owner": of.owner,
    }


def _same(
    exchange: Exchange, known: Correction, new: Correction, told: Told, theirs: Collection[bytes]
) -> bool:
    if (known.resource, known.field) != (new.resource, new.field):
        return False
    # A person who reports again by another identifier of theirs still reports of themselves.
    if known.subject != new.subject and not {known.subject, new.subject} <= set(theirs):
        return False
    # What was said may be forgotten by now; then it cannot be another.
    return known.sealed is None or open_told(exchange.vault, known.id, known.sealed).said[:1] == told.said


async def _record_refusal(
    exchange: Exchange,
    caller: Principal,
    outcome: str,
    correction_id: uuid.UUID,
    subject: bytes | None,
    refusal: DomainError,
    now: datetime,
) -> None:
    await exchange.recorder.record(
        prepare(
            f"correction-{outcome}",
            "refused",
            caller,
            now,
            subject=subject,
            correction=str(correction_id),
            reason=refusal.code,
        )
    )
