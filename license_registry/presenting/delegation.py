"""Delegation (代办): a holder lets an agent present named licences for one matter until a date."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from foundation.errors import NotFound
from foundation.identifiers import CitizenId, IdentifierError
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.signing import canonical_json, sign_compact
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.identities import may_present, of_caller
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting import tables
from license_registry.presenting.errors import DelegationInvalid
from license_registry.presenting.tables import Delegation
from license_registry.tables import Licence

TYPE = "licence-delegation+jwt"
LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class DelegationRequest:
    """What a holder wants: `agent` by citizen ID."""

    agent: str
    identifiers: tuple[str, ...]
    matter: str
    valid_until: datetime


async def delegate(
    registry: Registry, caller: Principal, wanted: DelegationRequest, now: datetime
) -> Delegation:
    """Let an agent present licences of the caller.

    1. Check that the caller may present each licence, that the agent is somebody else, and the date.
    2. Sign a statement of it, in which both stand as blind indexes.
    3. Store it with an event for each licence, in one transaction; from then on the agent may present.

    Raises:
        NotFound: a licence is not the caller's. DelegationInvalid: agent or date are refused.
    """
    assert caller.subject is not None
    for identifier in wanted.identifiers:
        found = await licences.find(registry.pool, identifier)
        if found is None or not await may_present(registry, found, caller.subject):
            raise NotFound(_("no such licence of yours"))
    try:
        agent = registry.vault.blind_index("citizen-id", CitizenId.parse(wanted.agent).reveal())
    except IdentifierError as error:
        raise DelegationInvalid(
            _("the citizen ID of the agent is not valid: {reason}"), pointer="/agent", reason=error.code
        ) from error
    if agent in await of_caller(registry, caller):
        raise DelegationInvalid(_("nobody is their own agent"), pointer="/agent")
    if not now < wanted.valid_until <= now + LONGEST:
        raise DelegationInvalid(
            _("a delegation ends within {days} days"), pointer="/valid_until", days=LONGEST.days
        )
    delegation_id = uuid.uuid4()
    facts = {
        "delegation": str(delegation_id),
        "holder": caller.subject.hex(),
        "agent": agent.hex(),
        "licences": list(wanted.identifiers),
        "matter": wanted.matter,
        "until": wanted.valid_until.isoformat(),
    }
    new = Delegation(
        delegation_id,
        caller.subject,
        agent,
        wanted.identifiers,
        wanted.matter,
        now,
        wanted.valid_until,
        _sign(registry, facts | {"act": "delegate"}, now),
    )
    events = [
        happened("delegated", identifier, caller, now, **{k: v for k, v in facts.items() if k != "licences"})
        for identifier in wanted.identifiers
    ]
    async with registry.pool.acquire() as connection:
        await tables.add_delegation(connection, new, events)
    return new


async def withdraw(registry: Registry, caller: Principal, delegation_id: uuid.UUID, now: datetime) -> None:
    """End a delegation at once: codes that the agent has made by it and that nobody verified are dead too.

    Raises:
        NotFound: the caller gave no such delegation, or has withdrawn it.
    """
    found = await tables.find_delegation(registry.pool, delegation_id)
    if found is None or found.holder not in await of_caller(registry, caller):
        raise NotFound(_("no such delegation of yours"))
    facts = {"delegation": str(delegation_id), "holder": found.holder.hex(), "agent": found.agent.hex()}
    statement = _sign(registry, facts | {"act": "withdraw"}, now)
    event = happened("delegation-withdrawn", None, caller, now, **facts)
    async with registry.pool.acquire() as connection:
        if not await tables.withdraw(connection, delegation_id, found.holder, now, statement, event):
            raise NotFound(_("no such delegation of yours"))


async def licences_by(
    registry: Registry,
    caller: Principal,
    delegation_id: uuid.UUID,
    identifiers: Collection[str],
    matter: str,
    now: datetime,
) -> tuple[bytes, list[Licence]]:
    """Return whose licences they are, and those that an agent may present by a delegation.

    Raises:
        NotFound: the caller got no such delegation. DelegationInvalid: it does not allow this.
    """
    found = await tables.find_delegation(registry.pool, delegation_id)
    if found is None or found.agent not in await of_caller(registry, caller):
        raise NotFound(_("no such delegation of yours"))
    if found.withdrawn_at is not None:
        raise DelegationInvalid(_("the holder has withdrawn the delegation"))
    if now >= found.valid_until:
        raise DelegationInvalid(_("the delegation is over"))
    if matter != found.matter:
        raise DelegationInvalid(_("the delegation is for another matter"), pointer="/matter")
    if not set(identifiers) <= set(found.identifiers):
        raise DelegationInvalid(_("the delegation is not for this licence"), pointer="/licences")
    named = []
    for identifier in identifiers:
        licence = await licences.find(registry.pool, identifier)
        # Whose licence it is may have changed since: nobody delegates what is not theirs.
        if licence is None or not await may_present(registry, licence, found.holder):
            raise NotFound(_("no such licence of yours"))
        named.append(licence)
    return found.holder, named


def _sign(registry: Registry, facts: Mapping[str, Any], now: datetime) -> str:
    claims = {"iss": registry.issuer, "iat": int(now.timestamp()), **facts}
    return sign_compact(registry.keys.signer(PURPOSE), canonical_json(claims), TYPE)
