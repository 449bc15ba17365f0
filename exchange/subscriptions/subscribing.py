"""Subscribing: what a department may ask to be told, whom it names, and how it ends; each act with its record."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.catalog.resources import require_resource
from exchange.grants import tables as grant_tables
from exchange.grants.grant import Grant
from exchange.ports import Exchange
from exchange.queries.authorise import SubjectMalformed, canonical_subject
from exchange.subscriptions import feed_tables, tables
from exchange.subscriptions.reading import own, require_kept
from exchange.subscriptions.recording import under
from exchange.subscriptions.subscription import (
    MOST_SUBJECTS,
    NoSubjectsNamed,
    NothingDelivered,
    Scope,
    State,
    Subscription,
    SubscriptionDiffers,
    TooManySubjects,
    require_active,
    require_grant,
    require_kinds,
    topic_of,
)
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.webhooks.addresses import reach_of, require_reachable


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription as asked for. `url` None: the feed is only read."""

    id: uuid.UUID
    grant: uuid.UUID
    matter: str
    kinds: tuple[str, ...]
    scope: Scope
    url: str | None


async def subscribe(exchange: Exchange, caller: Principal, wanted: Wanted, now: datetime) -> Subscription:
    """Make a subscription, or return the one that is equal under its id.

    1. See that the grant is the caller's and allows it, that there are such kinds, and where the address leads.
    2. Store it with its record in one transaction.

    A refusal is recorded, and raised only when its record is durable.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, OutsideHours, ResourceUnknown, KindUnknown,
        WebhookRefused: as they say.
        SubscriptionDiffers: another subscription has this id.
    """
    try:
        found = await grant_tables.find(exchange.engine, wanted.grant)
        grant = require_grant(found, caller.id, wanted.matter, now)
        topic = topic_of(require_resource(exchange.catalogue, grant.resource))
        kinds = require_kinds(topic, wanted.kinds)
        if wanted.url is not None:
            await require_reachable(wanted.url, reach_of(exchange.settings))
    except DomainError as refusal:
        await _refused(exchange, caller, "subscribe", wanted.id, refusal, now)
        raise
    new = Subscription(
        id=wanted.id,
        client_id=caller.id,
        department=caller.department,
        grant=grant.id,
        resource=grant.resource,
        topic=topic,
        matter=wanted.matter,
        kinds=kinds,
        scope=wanted.scope,
        url=wanted.url,
        created_at=now,
    )
    async with exchange.pool.acquire() as connection, connection.transaction():
        known = await tables.find(connection, new.id)
        if known is None:
            told = {"kinds": sorted(kinds), "scope": new.scope.value, **under(new, grant)}
            await record_within(connection, _act("subscribe", caller, now, new.id, **told))
            known = await tables.add(connection, new)
    if not known.same_as(new):
        raise SubscriptionDiffers(_("another subscription has this id"), pointer="/id")
    return known


async def name_subjects(
    exchange: Exchange,
    caller: Principal,
    subscription_id: uuid.UUID,
    added: Sequence[tuple[str, str]],
    removed: Sequence[str],
    now: datetime,
) -> int:
    """Name subjects of whom a subscription is to tell, and forget others; return how many it names now.

    Whether there is such a subject is not told. Each that is named gets an access record, so that people see who is
    told what becomes of them.

    Args:
        added: (identifier, reference by which events name the subject).
        removed: references.

    Raises:
        NotFound, SubscriptionEnded, NoSubjectsNamed, SubjectMalformed, TooManySubjects: nothing has changed.
        NotGranted and the like: the grant no longer holds.
    """
    try:
        found = require_active(await own(exchange, caller, subscription_id))
        if found.scope is Scope.ALL:
            raise NoSubjectsNamed(_("this subscription tells of all in scope; it names nobody"))
        async with exchange.pool.acquire() as connection:
            held = (await feed_tables.grants(connection, [found.grant])).get(found.grant)
        grant = require_grant(held, caller.id, found.matter, now)
        kind = require_resource(exchange.catalogue, found.resource).subject_kind
        named, records = await asyncio.to_thread(_named, exchange, caller, found, grant, kind, added, now)
        async with exchange.pool.acquire() as connection, connection.transaction():
            require_active(await _locked(connection, found.id))
            await tables.drop_subjects(connection, found.id, removed)
            await tables.name_subjects(connection, found.id, named)
            count = await tables.count_subjects(connection, found.id)
            if count > MOST_SUBJECTS:
                raise TooManySubjects(_("a subscription names at most {most} subjects"), most=MOST_SUBJECTS)
            await record_within(connection, *records)
            return count
    except DomainError as refusal:
        await _refused(exchange, caller, "watch", subscription_id, refusal, now)
        raise


def _named(
    exchange: Exchange,
    caller: Principal,
    subscription: Subscription,
    grant: Grant,
    kind: str,
    added: Sequence[tuple[str, str]],
    now: datetime,
) -> tuple[Mapping[bytes, str], list[AccessRecord]]:
    named: dict[bytes, str] = {}
    for at, (text, reference) in enumerate(added):
        try:
            index, canonical = canonical_subject(kind, text)
        except SubjectMalformed as error:
            raise SubjectMalformed(error.message, pointer=f"/add/{at}/subject", **error.values) from error
        named[exchange.vault.blind_index(index, canonical)] = reference
    records = [
        prepare(
            "watch",
            "answered",
            caller,
            now,
            subject=subject,
            subscription=str(subscription.id),
            **under(subscription, grant),
        )
        for subject in named
    ]
    return named, records


async def _locked(connection: Any, subscription_id: uuid.UUID) -> Subscription:
    found = await tables.find(connection, subscription_id, for_change=True)
    assert found is not None, "subscriptions are not deleted"
    return found


async def send_elsewhere(
    exchange: Exchange, caller: Principal, subscription_id: uuid.UUID, url: str, now: datetime
) -> Subscription:
    """Send a subscription's events to another address from now on.

    Raises:
        NotFound, SubscriptionEnded, WebhookRefused: as they say.
        NothingDelivered: it was made to be read.
    """
    found = _delivered(await own(exchange, caller, subscription_id))
    await require_reachable(url, reach_of(exchange.settings))
    async with exchange.pool.acquire() as connection, connection.transaction():
        await record_within(connection, _act("subscription-moved", caller, now, found.id))
        await tables.set_url(connection, found.id, url)
    return replace(found, url=url)


async def replay(
    exchange: Exchange, caller: Principal, subscription_id: uuid.UUID, first: int, now: datetime
) -> int:
    """Deliver the events from a sequence on again, in their order; return how many.

    Raises:
        NotFound, SubscriptionEnded, FeedForgotten: as they say.
        NothingDelivered: the subscription is read, from wherever one likes.
    """
    found = _delivered(await own(exchange, caller, subscription_id))
    require_kept(found, first)
    async with exchange.pool.acquire() as connection, connection.transaction():
        await record_within(connection, _act("feed-replayed", caller, now, found.id, first=first))
        return await feed_tables.replay(connection, found.id, first, now)


def _delivered(subscription: Subscription) -> Subscription:
    require_active(subscription)
    if subscription.url is None:
        raise NothingDelivered(_("the subscription has no address; read its feed"))
    return subscription


async def end(exchange: Exchange, caller: Principal, subscription_id: uuid.UUID, now: datetime) -> None:
    """End a subscription; again without harm. Raises NotFound."""
    found = await own(exchange, caller, subscription_id)
    async with exchange.pool.acquire() as connection, connection.transaction():
        if await tables.set_state(connection, found.id, State.ENDED, None, now):
            await record_within(connection, _act("subscription-ended", caller, now, found.id))


async def retry(
    exchange: Exchange,
    caller: Principal,
    subscription_id: uuid.UUID,
    sequences: Sequence[int] | None,
    now: datetime,
) -> int:
    """Let dead events of a subscription, all or some, be tried again; return how many."""
    async with exchange.pool.acquire() as connection, connection.transaction():
        await record_within(connection, _act("events-revived", caller, now, subscription_id))
        return await feed_tables.revive(connection, subscription_id, sequences, now)


async def dismiss(
    exchange: Exchange,
    caller: Principal,
    subscription_id: uuid.UUID,
    sequences: Sequence[int],
    now: datetime,
) -> int:
    """Go on without dead events of a subscription; return how many."""
    told = {"sequences": list(sequences)}
    async with exchange.pool.acquire() as connection, connection.transaction():
        await record_within(connection, _act("events-dismissed", caller, now, subscription_id, **told))
        return await feed_tables.dismiss(connection, subscription_id, sequences)


def _act(
    event: str, caller: Principal, now: datetime, subscription_id: uuid.UUID, **facts: Any
) -> AccessRecord:
    return prepare(event, "accepted", caller, now, subscription=str(subscription_id), **facts)


async def _refused(
    exchange: Exchange,
    caller: Principal,
    event: str,
    subscription_id: uuid.UUID,
    refusal: DomainError,
    now: datetime,
) -> None:
    told = prepare(event, "refused", caller, now, subscription=str(subscription_id), reason=refusal.code)
    await exchange.recorder.record(told)
