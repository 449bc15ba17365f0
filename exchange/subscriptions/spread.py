"""Telling changes to the subscriptions that they concern: each becomes events in their feeds, numbered without gaps."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from exchange.grants.grant import Grant, SubjectNotCovered, for_subject
from exchange.ports import Exchange
from exchange.subscriptions import feed_tables
from exchange.subscriptions.feed_tables import Change, Event, Match
from exchange.subscriptions.kinds import told
from foundation.sensitive import Vault
from foundation.signing import canonical_json, encode_base64url

BATCH = 500
"""Changes of one transaction."""


def place_of(subject: bytes) -> bytes:
    """Return where a sealed identifier stands, so that it opens for no other subject."""
    return b"feed\0" + subject


def pseudonym(vault: Vault, client_id: str, subject: bytes) -> str:
    """Return what stands for a subject to one client: always the same, and to every client another."""
    return encode_base64url(vault.fingerprint(canonical_json(["pseudonym", client_id, subject.hex()])))


async def spread(exchange: Exchange, now: datetime) -> int:
    """Tell waiting changes to subscriptions; return how many events came of them.

    1. Become the one who does so: another leaves it to this one.
    2. Take the next changes, whom they concern, and the grants as they stand now.
    3. Number the events in each feed, put them there, and forget the changes, in one transaction: dying leaves whole
       batches done.
    """
    count = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            if not await feed_tables.try_spreading(connection):
                return count
            changes = await feed_tables.waiting_changes(connection, BATCH)
            if not changes:
                return count
            matches = await feed_tables.matches(connection, changes)
            grants = await feed_tables.grants(connection, [match.grant for match in matches])
            by_feed = _events(exchange.vault, changes, matches, grants, now)
            # Always in the same order, so that nobody waits for somebody who waits for them.
            for subscription_id in sorted(by_feed):
                events = by_feed[subscription_id]
                before = await feed_tables.advance(connection, subscription_id, len(events))
                if before is None:
                    continue
                numbered = [replace(event, sequence=before + at) for at, event in enumerate(events, 1)]
                await feed_tables.add_events(connection, numbered)
                count += len(numbered)
            await feed_tables.drop_changes(connection, changes)


def _events(
    vault: Vault,
    changes: Mapping[int, Change],
    matches: list[Match],
    grants: Mapping[uuid.UUID, Grant],
    now: datetime,
) -> dict[uuid.UUID, list[Event]]:
    found: dict[uuid.UUID, list[Event]] = {}
    for match in matches:
        change, grant = changes[match.change], grants.get(match.grant)
        if grant is None or not _covers(grant, change.division):
            continue
        for kind, fields in told(change.kinds, match.kinds, grant.fields):
            event = Event(
                subscription=match.subscription,
                sequence=0,
                id=uuid.uuid4(),
                kind=kind,
                subject=match.subject,
                reference=match.reference or pseudonym(vault, match.client_id, change.subject),
                fields=tuple(fields),
                sealed=change.sealed if match.reference is None else None,
                happened_at=change.happened_at,
                created_at=now,
                next_attempt_at=now if match.delivered else None,
            )
            found.setdefault(match.subscription, []).append(event)
    return found


def _covers(grant: Grant, division: str | None) -> bool:
    try:
        for_subject([grant], division)
    except SubjectNotCovered:
        return False
    return True
