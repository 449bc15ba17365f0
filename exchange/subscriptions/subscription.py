"""What a subscription is, and the rules that hold for it: without database, HTTP or clock."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exchange.catalog.resources import ReadsFrom, Resource
from exchange.grants.grant import Grant, Mode, NotGranted, covering_grant
from exchange.subscriptions.kinds import kinds_of
from foundation.errors import DomainError
from foundation.language import _

MOST_SUBJECTS = 100_000
"""Subjects that one subscription may name."""


class KindUnknown(DomainError):
    code = "event-kind-unknown"


class SubscriptionDiffers(DomainError):
    code = "subscription-differs"


class SubscriptionEnded(DomainError):
    code = "subscription-ended"


class TooManySubjects(DomainError):
    code = "too-many-subjects"


class NoSubjectsNamed(DomainError):
    """A subscription to all in scope names nobody."""

    code = "subscription-names-nobody"


class NothingDelivered(DomainError):
    """A subscription without an address is read, not delivered."""

    code = "subscription-not-delivered"


class FeedForgotten(DomainError):
    """The events asked for are older than what is kept."""

    code = "feed-forgotten"


class Scope(StrEnum):
    """Of whom a subscription tells."""

    NAMED = "named"
    ALL = "all"


class State(StrEnum):
    """Whether a subscription goes on. Stopped: its grant has ended; ended: by the department itself."""

    ACTIVE = "active"
    STOPPED = "stopped"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client wants to be told, and under which grant.

    Args:
        topic: whose changes make its events: a register, or a type of licence (`kinds.kinds_of`).
        url: where webhooks go; None: the feed is only read.
        reason: why it was stopped.
        head: sequence of the newest event in its feed; 0 before the first.
        forgotten: events up to this sequence are no longer kept.
        failures: requests that failed, one after the other.
    """

    id: uuid.UUID
    client_id: str
    department: str
    grant: uuid.UUID
    resource: str
    topic: str
    matter: str
    kinds: frozenset[str]
    scope: Scope
    url: str | None
    created_at: datetime
    state: State = State.ACTIVE
    reason: str | None = None
    state_since: datetime | None = None
    head: int = 0
    forgotten: int = 0
    failures: int = 0

    def same_as(self, other: Subscription) -> bool:
        """Tell whether two say the same, so that one is the other sent again."""

        def said(each: Subscription) -> tuple[object, ...]:
            return (each.client_id, each.grant, each.matter, each.kinds, each.scope, each.url)

        return said(self) == said(other)


def topic_of(resource: Resource) -> str:
    """Return whose changes are those of a resource."""
    return resource.register.name if resource.reads_from is ReadsFrom.REGISTER else resource.id


def require_kinds(topic: str, kinds: Collection[str]) -> frozenset[str]:
    """Return kinds of events, or raise KindUnknown if one is none of the topic's."""
    known = kinds_of(topic)
    if not set(kinds) <= set(known):
        raise KindUnknown(_("kinds of events here are {kinds}"), pointer="/kinds", kinds=", ".join(known))
    return frozenset(kinds)


def require_grant(grant: Grant | None, client_id: str, matter: str, now: datetime) -> Grant:
    """Return the grant that a subscription stands on, or raise why it does not hold now.

    Raises:
        NotGranted: none, or another client's. GrantNotInForce, ModeNotGranted, MatterNotGranted, OutsideHours: as they
            say.
    """
    if grant is None or grant.client_id != client_id:
        raise NotGranted(_("no grant for this resource"))
    return covering_grant([grant], Mode.SUBSCRIBE, frozenset(), matter, now)


def require_active(subscription: Subscription) -> Subscription:
    """Return a subscription that goes on, or raise SubscriptionEnded."""
    if subscription.state is not State.ACTIVE:
        raise SubscriptionEnded(_("the subscription has ended; make another"))
    return subscription
