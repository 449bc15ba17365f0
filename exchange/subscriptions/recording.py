"""The access records of subscriptions: of each event that leaves, before it does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exchange.audit.record import AccessRecord, prepare
from exchange.grants.grant import Grant
from exchange.subscriptions.feed_tables import Event
from exchange.subscriptions.subscription import Subscription
from foundation.identity.principals import Principal


def client_of(subscription: Subscription) -> Principal:
    """Return the client that a subscription's events go to, for records of what nobody asked for just now."""
    return Principal(subscription.client_id, subscription.department, frozenset())


def granted(event: Event, grant: Grant) -> list[str]:
    """Return the fields that an event may still name: the grant may have become narrower since."""
    return [name for name in event.fields if name in grant.fields]


def record_of(
    subscription: Subscription, grant: Grant, event: Event, way: str, now: datetime
) -> AccessRecord:
    """Make the record of an event's disclosure.

    Args:
        way: `webhook` or `polled`.
    """
    return prepare(
        "notified",
        "answered",
        client_of(subscription),
        now,
        subject=event.subject,
        subscription=str(subscription.id),
        event_id=str(event.id),
        sequence=event.sequence,
        kind=event.kind,
        way=way,
        fields=granted(event, grant),
        **under(subscription, grant),
    )


def under(subscription: Subscription, grant: Grant) -> dict[str, Any]:
    """Return under what a subscription stands, for its records."""
    return {
        "resource": subscription.resource,
        "grant": str(grant.id),
        "purpose": grant.purpose,
        "matter": subscription.matter,
    }
