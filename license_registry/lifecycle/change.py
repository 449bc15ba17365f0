"""Changing the state of a licence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import asyncpg

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.issuing.errors import IssuerMismatch, LicenceInForce
from license_registry.lifecycle.states import Operation, State, next_state
from license_registry.ports import Registry
from license_registry.tables import Licence


async def change_state(
    registry: Registry,
    caller: Principal,
    identifier: str,
    operation: Operation,
    target: State | None,
    reason: str,
    now: datetime,
) -> Licence:
    """Suspend, return, cancel or revoke a licence.

    1. Lock the licence; only its issuer goes on.
    2. Ask the state machine.
    3. Write state and event in one transaction: dying before its end, nothing changed.

    Raises:
        NotFound, IssuerMismatch, OperationNotAllowed: as they say; nothing has changed.
        LicenceInForce: it cannot come back, since another licence of its number has been issued meanwhile.
    """
    async with registry.pool.acquire() as connection, connection.transaction():
        found = await tables.find(connection, identifier, for_change=True)
        if found is None:
            raise NotFound(_("no such licence"))
        if found.issuer != caller.department:
            raise IssuerMismatch(_("only the authority that issued a licence changes it"))
        state = next_state(found.state, operation, target)
        try:
            await tables.set_state(connection, identifier, state, reason, now)
        except asyncpg.UniqueViolationError as error:
            raise LicenceInForce(_("another licence of this number is in force")) from error
        await tables.add_event(
            connection,
            happened(
                "state-changed",
                identifier,
                caller,
                now,
                operation=operation.value,
                state_before=found.state.value,
                state_after=state.value,
                reason=reason,
            ),
        )
    return replace(found, state=state, state_reason=reason, state_since=now)
