"""The form of replies about subscriptions, for the OpenAPI document."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from foundation.openapi import Moment, Uuid


class SubscriptionReply(TypedDict):
    """A subscription; `head`: sequence of its newest event, `forgotten`: of the newest that is no longer kept."""

    id: Uuid
    client_id: str
    grant: Uuid
    resource: str
    matter: str
    kinds: list[str]
    scope: str
    url: str | None
    created_at: Moment
    state: str
    reason: str | None
    head: int
    forgotten: int


class OneSubscriptionReply(SubscriptionReply):
    """A subscription, and how many subjects it names."""

    subjects: int


class SubscriptionsReply(TypedDict):
    """Subscriptions, the newest first."""

    subscriptions: list[SubscriptionReply]


class NamedReply(TypedDict):
    """How many subjects are named now."""

    subjects: int


class EventReply(TypedDict):
    """A change of a subject: which fields, never their values.

    The subject stands as the subscriber's own `reference`, or as a `pseudonym` where the subscription is for all in
    scope; then `identifier` tells it to whom reads the feed.
    """

    id: Uuid
    sequence: int
    kind: str
    at: Moment
    resource: str
    reference: NotRequired[str]
    pseudonym: NotRequired[str]
    fields: list[str]
    identifier: NotRequired[str]


class EventsReply(TypedDict):
    """A page of a feed; `next`: after which to ask then, `head`: sequence of the newest event."""

    events: list[EventReply]
    next: int
    head: int


class EventCount(TypedDict):
    """How many events that touches."""

    events: int


class DeadEventReply(TypedDict):
    """An event that was given up."""

    subscription: Uuid
    sequence: int
    id: Uuid
    kind: str
    reference: str
    attempts: int
    last_failure: str | None
    dead_at: Moment | None


class DeadEventsReply(TypedDict):
    """Events that lie dead."""

    events: list[DeadEventReply]


REPLIES = {
    "subscriptions_subscribe": SubscriptionReply,
    "subscriptions_move": SubscriptionReply,
    "subscriptions_listed": SubscriptionsReply,
    "subscriptions_one": OneSubscriptionReply,
    "subscriptions_name": NamedReply,
    "subscriptions_events": EventsReply,
    "subscriptions_replay": EventCount,
    "subscriptions_retry": EventCount,
    "subscriptions_dismiss": EventCount,
    "subscriptions_dead": DeadEventsReply,
}
