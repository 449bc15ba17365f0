"""Acting on a share request, told in order."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from exchange.audit.record import prepare, record_within
from exchange.catalog.resources import Resource, require_resource
from exchange.grants.grant import Grant
from exchange.grants.tables import add as add_grant
from exchange.grants.tables import end as end_grant
from exchange.ports import Exchange
from exchange.requests import tables
from exchange.requests.request import Act, Asked, ShareRequest, applied, followed_by, granted_scope, submitted
from exchange.requests.states import WITH_GRANT, Action, Actor, State
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal, Role
from foundation.identity.tables import has_systems
from foundation.language import _

ITSELF = Principal("zhengtong-exchange", "", frozenset())
"""Who acts where rules or the calendar leave no choice."""


class RequestIdTaken(DomainError):
    code = "request-id-taken"


async def submit(
    exchange: Exchange, caller: Principal, request_id: uuid.UUID, asked: Asked, now: datetime
) -> ShareRequest:
    """Take a request in.

    1. Check it against the catalogue. What makes no sense is refused, recorded, and nothing is stored.
    2. In one transaction: the request, its history, the record of both. What is not shared is refused in the same
       breath, with its legal basis.

    Sent again with the same id and content, it gives the request as it stands by now.

    Raises:
        FieldUnknown, RequestInvalid: as they say.
        RequestIdTaken: another request has this id.
    """
    resource = exchange.catalogue.get(asked.resource)
    try:
        fresh = submitted(request_id, caller.id, caller.department, asked, resource, exchange.deadlines, now)
    except DomainError as refusal:
        await _record_refusal(exchange, caller, request_id, Action.SUBMIT, refusal, now)
        raise
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.add(connection, fresh):
            return await _carry_out(
                exchange, connection, caller, Actor.REQUESTER, fresh, Act(Action.SUBMIT, asked=asked), now
            )
        known = await tables.find(connection, request_id)
    if known is None or known.client_id != caller.id or known.asked != asked:
        raise RequestIdTaken(_("another request has this id"), pointer="/id")
    return known


async def act(
    exchange: Exchange, caller: Principal, request_id: uuid.UUID, wanted: Act, now: datetime
) -> ShareRequest:
    """Do something to a request.

    1. Find it, locked. To whoever it is no business of, it is not there.
    2. The last thing that was done, sent again by the same system, changes nothing.
    3. Apply the rules. A refusal is recorded, then raised.
    4. In one transaction: what the request is now, its history, the record of the act.
    5. Only then give the grant that it now has, or end the one that it has no more. Dying before this, the request
       says what is to be, and the next round of `overdue.rounds` does it.

    Raises:
        NotFound: no such request for this caller.
        RequestStateWrong, RequestActorWrong, RequestInvalid, ScopeTooWide, DisputeNotOpen: by the rules.
        ResourceUnknown, FieldUnknown: what is to be provided is not in the catalogue, or no more.
    """
    try:
        async with exchange.pool.acquire() as connection, connection.transaction():
            request = await tables.find(connection, request_id, lock=True)
            if request is None:
                raise NotFound(_("no such request"))
            actor = _actor(await actors(exchange, request, caller), wanted.action)
            after = request
            if not await _said_already(connection, request, caller, wanted):
                resource = exchange.catalogue.get(request.asked.resource)
                after = _apply(exchange, request, wanted, actor, resource, now)
                after = await _carry_out(exchange, connection, caller, actor, after, wanted, now)
    except DomainError as refusal:
        await _record_refusal(exchange, caller, request_id, wanted.action, refusal, now)
        raise
    await settle_grants(exchange, after, request.grant_id, caller.id, now)
    return after


async def act_itself(
    exchange: Exchange, connection: Any, request: ShareRequest, wanted: Act, now: datetime
) -> ShareRequest:
    """Do what the calendar asks for to a request that the caller has locked, in the caller's transaction."""
    resource = exchange.catalogue.get(request.asked.resource)
    after = _apply(exchange, request, wanted, Actor.EXCHANGE, resource, now)
    return await _carry_out(exchange, connection, ITSELF, Actor.EXCHANGE, after, wanted, now)


async def settle_grants(
    exchange: Exchange, request: ShareRequest, former: uuid.UUID | None, granted_by: str, now: datetime
) -> None:
    """Make the grants what a request says; again without harm.

    Args:
        former: the grant that the request had before.
    """
    if request.grant_id is not None and request.state in {State.PROVIDED, State.DISPUTED}:
        resource = require_resource(exchange.catalogue, request.asked.resource)
        await add_grant(exchange.engine, grant_of(request, resource, granted_by, now))
        # Somebody may have ended the request before its grant was there to be ended with it.
        by_now = await tables.find(exchange.pool, request.id)
        if by_now is None or by_now.grant_id != request.grant_id or by_now.state not in WITH_GRANT:
            await end_grant(exchange.engine, request.grant_id, now)
    if former is not None and (former != request.grant_id or request.state not in WITH_GRANT):
        await end_grant(exchange.engine, former, now)
    await exchange.grants.look()


def grant_of(request: ShareRequest, resource: Resource, granted_by: str, now: datetime) -> Grant:
    """Return the grant of a request that is provided: what was granted, never more.

    Raises:
        FieldUnknown, ScopeTooWide, RequestInvalid: it would be more than was asked for, or than there is.
    """
    assert request.grant_id is not None
    scope = granted_scope(request, resource)
    return Grant(
        id=request.grant_id,
        client_id=request.client_id,
        resource=resource.id,
        fields=scope.fields,
        matters=scope.matters,
        purpose=request.asked.purpose,
        legal_basis=request.asked.legal_basis,
        valid_from=request.step_since,
        valid_until=scope.until,
        granted_by=granted_by,
        granted_at=now,
        modes=scope.modes,
        clear_fields=scope.clear_fields,
        quota_per_day=scope.per_day,
        divisions=scope.divisions,
        quota_per_minute=scope.per_minute,
        hours=scope.hours,
        request=request.id,
    )


async def actors(exchange: Exchange, request: ShareRequest, caller: Principal) -> frozenset[Actor]:
    """Return as whom a caller may act on a request; empty: it is no business of theirs.

    For a department that has no system here, such as a ministry, the sharing authority answers.
    """
    found = set()
    of_department = not caller.roles.isdisjoint({Role.DEPARTMENT_SYSTEM, Role.DATA_SOURCE})
    if of_department and caller.department == request.department:
        found.add(Actor.REQUESTER)
    if of_department and caller.department == request.owner:
        found.add(Actor.OWNER)
    if Role.SHARING_AUTHORITY in caller.roles:
        found.add(Actor.AUTHORITY)
        if not (request.owner and await has_systems(exchange.engine, request.owner)):
            found.add(Actor.OWNER)
    return frozenset(found)


_AS = {
    Action.RETURN: (Actor.AUTHORITY,),
    Action.RESUBMIT: (Actor.REQUESTER,),
    Action.CHECK: (Actor.AUTHORITY,),
    Action.GRANT: (Actor.OWNER,),
    Action.GRANT_IN_PART: (Actor.OWNER,),
    Action.REFUSE: (Actor.OWNER,),
    Action.PROVIDE: (Actor.OWNER, Actor.AUTHORITY),
    Action.DISPUTE: (Actor.REQUESTER,),
    Action.DECIDE_FOR_REQUESTER: (Actor.AUTHORITY,),
    Action.DECIDE_FOR_OWNER: (Actor.AUTHORITY,),
    Action.WITHDRAW: (Actor.REQUESTER,),
    Action.END: (Actor.AUTHORITY,),
}
"""As whom somebody who may act as several does it."""


def _actor(found: frozenset[Actor], action: Action) -> Actor:
    if not found:
        raise NotFound(_("no such request"))
    fitting = [actor for actor in _AS[action] if actor in found]
    return fitting[0] if fitting else min(found)


def _apply(
    exchange: Exchange,
    request: ShareRequest,
    wanted: Act,
    actor: Actor,
    resource: Resource | None,
    now: datetime,
) -> ShareRequest:
    after = applied(request, wanted, actor, resource, exchange.deadlines, now)
    if wanted.action is Action.PROVIDE:
        # Refused here, while nothing has happened yet, what could not be granted afterwards.
        grant_of(after, require_resource(exchange.catalogue, request.asked.resource), "", now)
    return after


async def _carry_out(
    exchange: Exchange,
    connection: Any,
    caller: Principal,
    actor: Actor,
    after: ShareRequest,
    done: Act,
    now: datetime,
) -> ShareRequest:
    for doer, as_whom, request, what in _all(exchange, caller, actor, after, done, now):
        facts: dict[str, Any] = {
            "request": str(request.id),
            "resource": request.asked.resource,
            "of": request.department,
            "owner": request.owner,
            "as": as_whom.value,
            "state": request.state.value,
            "said": what.document(),
        }
        if request.grant_id is not None:
            facts["grant"] = str(request.grant_id)
        await record_within(connection, prepare(f"request-{what.action}", request.state, doer, now, **facts))
        await tables.add_step(connection, request, as_whom, what, doer.id, doer.department, now)
        after = request
    await tables.put(connection, after)
    return after


def _all(
    exchange: Exchange, caller: Principal, actor: Actor, after: ShareRequest, done: Act, now: datetime
) -> Iterator[tuple[Principal, Actor, ShareRequest, Act]]:
    """Yield what was done and what follows on it by itself, with the request after each."""
    resource = exchange.catalogue.get(after.asked.resource)
    yield caller, actor, after, done
    following = followed_by(after, done.action, resource)
    while following is not None:
        after = _apply(exchange, after, following, Actor.EXCHANGE, resource, now)
        yield ITSELF, Actor.EXCHANGE, after, following
        following = followed_by(after, following.action, resource)


async def _said_already(connection: Any, request: ShareRequest, caller: Principal, wanted: Act) -> bool:
    steps = [step for step in await tables.history(connection, request.id) if step.client_id != ITSELF.id]
    if not steps:
        return False
    last = steps[-1]
    return (last.client_id, last.action, last.said) == (caller.id, wanted.action, wanted.document())


async def _record_refusal(
    exchange: Exchange,
    caller: Principal,
    request_id: uuid.UUID,
    action: Action,
    refusal: DomainError,
    now: datetime,
) -> None:
    await exchange.recorder.record(
        prepare(f"request-{action}", "refused", caller, now, request=str(request_id), reason=refusal.code)
    )
