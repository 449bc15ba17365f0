"""Changing the state of a licence."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import asyncpg

from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identifiers import IdentifierError, Uscc
from foundation.identity.principals import Principal, Role
from foundation.language import _
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.identities import of_caller
from license_registry.issuing.errors import IssuerMismatch, LicenceInForce
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.rules import rules_of
from license_registry.lifecycle.signing import digest, sign_change
from license_registry.lifecycle.states import (
    Actor,
    Operation,
    State,
    next_state,
    require_description,
)
from license_registry.lifecycle.tables import Change, Life
from license_registry.notices.tables import add_notice
from license_registry.ports import Registry
from license_registry.tables import Licence

SCHEDULER = Principal("registry-scheduler", "", frozenset())
"""As whom the registry acts when a day has come."""


class LicenceReplaced(DomainError):
    code = "licence-replaced"


class UntilInvalid(DomainError):
    code = "suspension-until-invalid"


class TransferInvalid(DomainError):
    code = "transfer-invalid"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An operation that somebody wants done.

    Args:
        target: state after it, where there are several.
        description: what state 99 means.
        until: first day on which a suspension is over by itself; None: until somebody returns it.
        transfer_to: unified code of the authority that the licence goes to, when it is transferred out.
        successor: identifier of the version that replaces this one.
    """

    operation: Operation
    reason: str
    target: State | None = None
    description: str | None = None
    until: date | None = None
    transfer_to: str | None = None
    successor: str | None = None


def actor_of(caller: Principal, theirs: Collection[bytes], licence: Licence, life: Life) -> Actor:
    """Return as whom a caller acts on a licence.

    Args:
        theirs: all identifiers that the caller stands under; of no account for a system.

    Raises:
        NotFound: a person whose licence it is not learns nothing of it.
        IssuerMismatch: an authority that has nothing to do with it.
    """
    if caller == SCHEDULER:
        return Actor.SCHEDULER
    if caller.subject is not None:
        if licence.holder not in theirs:
            raise NotFound(_("no such licence"))
        return Actor.HOLDER
    if Role.ISSUING_AUTHORITY in caller.roles:
        if caller.department == licence.issuer:
            return Actor.ISSUER
        if caller.department == life.transferred_to:
            return Actor.RECEIVER
    if Role.OPERATOR in caller.roles:
        return Actor.OPERATOR
    raise IssuerMismatch(_("only the authority that issued a licence changes it"))


async def change_state(
    registry: Registry, caller: Principal, identifier: str, wanted: Wanted, now: datetime
) -> tuple[Licence, Life]:
    """Suspend, return, cancel, revoke, transfer out or take back a licence.

    1. Lock the licence; see as whom the caller acts.
    2. Ask the state machine.
    3. Write state, signed change, event and notices in one transaction: dying before its end, nothing changed.

    Raises:
        NotFound, IssuerMismatch, ActorNotEntitled, OperationNotAllowed, DescriptionMissing, LicenceReplaced,
        UntilInvalid, TransferInvalid: as they say; nothing has changed.
        LicenceInForce: it cannot come back, since another licence of its number has been issued meanwhile.
    """
    theirs = await of_caller(registry, caller)
    async with registry.pool.acquire() as connection, connection.transaction():
        found, life = await locked(connection, identifier)
        return await apply(registry, connection, caller, found, life, wanted, now, theirs)


async def locked(connection: Any, identifier: str) -> tuple[Licence, Life]:
    """Return a licence, locked until the transaction ends, and what is known of it. Raises NotFound."""
    found = await tables.find(connection, identifier, for_change=True)
    if found is None:
        raise NotFound(_("no such licence"))
    return found, await life_tables.life_of(connection, identifier)


def require_unreplaced(life: Life) -> None:
    """Raise LicenceReplaced, naming the successor, if a newer version stands in the place of this one."""
    if life.replaced_by is not None:
        raise LicenceReplaced(_("{successor} has replaced this licence"), successor=life.replaced_by)


async def apply(
    registry: Registry,
    connection: Any,
    caller: Principal,
    found: Licence,
    life: Life,
    wanted: Wanted,
    now: datetime,
    theirs: Collection[bytes] = (),
) -> tuple[Licence, Life]:
    """Do an operation on a locked licence, within the caller's transaction; see `change_state` and `actor_of`."""
    actor = actor_of(caller, theirs, found, life)
    require_unreplaced(life)
    rules = rules_of(registry.types, found.type_code)
    state = next_state(
        found.state,
        wanted.operation,
        wanted.target,
        actor,
        operations=rules.operations,
        states=rules.states,
    )
    require_description(state, wanted.description)
    _require_fitting(wanted, found, state, now)
    before = found.state
    change_id = uuid.uuid4()
    statement = sign_change(
        registry.keys,
        issuer=registry.issuer,
        change_id=change_id,
        identifier=found.identifier,
        sequence=life.changes + 1,
        previous=life.last_change,
        operation=wanted.operation,
        actor=actor,
        client=None if caller.subject is not None else caller.id,
        department=caller.department,
        before=before,
        after=state,
        reason=wanted.reason,
        now=now,
        description=wanted.description,
        until=wanted.until,
        successor=wanted.successor,
        transferred_to=wanted.transfer_to,
    )
    mark = digest(statement)
    kept = state is found.state  # of a version that had ended already: since when and why stays told
    if not kept:
        told = wanted.description or wanted.reason  # the state description of GB/T 36903
        try:
            # A savepoint: the refusal leaves the rest of the caller's transaction as it was.
            async with connection.transaction():
                await tables.set_state(connection, found.identifier, state, told, now)
        except asyncpg.UniqueViolationError as error:
            raise LicenceInForce(_("another licence of this number is in force")) from error
        found = replace(found, state=state, state_reason=told, state_since=now)
    after = Life(
        changes=life.changes + 1,
        last_change=mark,
        state_description=life.state_description if kept else wanted.description,
        suspended_until=wanted.until if state is State.SUSPENDED else None,
        transferred_to=life.transferred_to if kept else wanted.transfer_to,
        replaces=life.replaces,
        replaced_by=wanted.successor,
    )
    await life_tables.put_life(connection, found.identifier, after)
    await life_tables.add_change(
        connection,
        Change(
            identifier=found.identifier,
            sequence=after.changes,
            id=change_id,
            operation=wanted.operation,
            actor=actor,
            department=caller.department,
            state_before=before,
            state_after=state,
            reason=wanted.reason,
            changed_at=now,
            statement=statement,
        ),
    )
    facts = {
        "operation": wanted.operation.value,
        "state_before": before.value,
        "state_after": state.value,
    }
    await tables.add_event(
        connection,
        happened(
            "state-changed",
            found.identifier,
            caller,
            now,
            **facts,
            actor=actor.value,
            reason=wanted.reason,
            change=str(change_id),
            change_sha256=mark.hex(),
        ),
    )
    notice = {"licence": found.identifier, "successor": wanted.successor, **facts}
    await add_notice(connection, found.issuer, "state-changed", notice, now)
    if wanted.transfer_to is not None:
        await add_notice(connection, wanted.transfer_to, "transferred-to-you", notice, now)
    return found, after


def _require_fitting(wanted: Wanted, found: Licence, state: State, now: datetime) -> None:
    if wanted.until is not None and (state is not State.SUSPENDED or wanted.until <= civil_date(now)):
        raise UntilInvalid(_("only a suspension ends by itself, on a day to come"), pointer="/until")
    leaves = state is State.TRANSFERRED_OUT and found.state is not state
    if wanted.transfer_to is not None and (not leaves or wanted.transfer_to == found.issuer):
        raise TransferInvalid(_("only a transfer out names another authority"), pointer="/transfer_to")
    if wanted.transfer_to is not None:
        try:
            Uscc.parse(wanted.transfer_to)
        except IdentifierError as error:
            raise TransferInvalid(
                _("this is no unified code of an authority"), pointer="/transfer_to"
            ) from error
