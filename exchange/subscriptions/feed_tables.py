"""SQL of feeds (schema `exchange`): changes that wait to be told, the events that came of them, and how far each is."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP, UUID

from exchange.grants.grant import Grant
from exchange.grants.tables import as_grant
from exchange.registers.aliases import followed
from exchange.registers.tables import metadata
from exchange.subscriptions.kinds import Kinds
from exchange.subscriptions.tables import subscription

feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

change = Table(
    "change",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("subject", BYTEA, nullable=False),
    Column("kinds", JSONB, nullable=False),
    Column("division", Text),
    Column("sealed", BYTEA),
    Column("happened_at", TIMESTAMP(timezone=True), nullable=False),
)

feed_event = Table(
    "feed_event",
    metadata,
    Column("subscription", UUID, ForeignKey(subscription.c.id, ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("id", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", BYTEA, nullable=False),
    Column("reference", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("sealed", BYTEA),
    Column("happened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("record", UUID),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", TIMESTAMP(timezone=True)),
    Column("delivered_at", TIMESTAMP(timezone=True)),
    Column("dead_at", TIMESTAMP(timezone=True)),
    Column("last_failure", Text),
)
Index(
    "feed_event_due",
    feed_event.c.subscription,
    feed_event.c.next_attempt_at,
    postgresql_where=text("next_attempt_at IS NOT NULL"),
)
Index(
    "feed_event_before",
    feed_event.c.subscription,
    feed_event.c.subject,
    feed_event.c.sequence,
    postgresql_where=text("next_attempt_at IS NOT NULL OR dead_at IS NOT NULL"),
)
Index(
    "feed_event_dead",
    feed_event.c.subscription,
    feed_event.c.sequence,
    postgresql_where=text("dead_at IS NOT NULL"),
)
Index("feed_event_created", feed_event.c.created_at)

_SPREADING = int.from_bytes(b"ztspread")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed of a subject, not yet told to anybody.

    Args:
        topic: a register, or a type of licence (`kinds.kinds_of`).
        subject: blind index.
        division: where the subject is (6 digits), for grants that are limited to some.
        sealed: the identifier, sealed (`spread.place_of`), where somebody is told of all in scope; else None.
    """

    topic: str
    subject: bytes
    kinds: Kinds
    division: str | None
    sealed: bytes | None
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """A change, by its id, and a subscription that it concerns; `reference` is the subscriber's, None for all.

    Args:
        subject: as the subscriber named it.
    """

    change: int
    subscription: uuid.UUID
    client_id: str
    kinds: frozenset[str]
    grant: uuid.UUID
    reference: str | None
    delivered: bool
    subject: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """An event in a feed.

    Args:
        reference: which subject it is about: the subscriber's own reference, or its pseudonym for this subscriber.
        record: access record of its disclosure by webhook; None before the first.
        attempts: that failed.
        next_attempt_at: None: it is not (any more) to be delivered.
    """

    subscription: uuid.UUID
    sequence: int
    id: uuid.UUID
    kind: str
    subject: bytes
    reference: str
    fields: tuple[str, ...]
    sealed: bytes | None
    happened_at: datetime
    created_at: datetime
    record: uuid.UUID | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    dead_at: datetime | None = None
    last_failure: str | None = None


_CHANGE = "topic, subject, kinds, division, sealed, happened_at"
_NEW = (
    "subscription, sequence, id, kind, subject, reference, fields, sealed, happened_at, created_at, attempts,"
    " next_attempt_at"
)
_EVENT = f"{_NEW}, record, delivered_at, dead_at, last_failure"

_NEXT = f"""
SELECT {_EVENT} FROM exchange.feed_event e
WHERE e.subscription = $1 AND e.next_attempt_at <= $2 AND NOT EXISTS (
    SELECT FROM exchange.feed_event b
    WHERE b.subscription = e.subscription AND b.subject = e.subject AND b.sequence < e.sequence
      AND (b.dead_at IS NOT NULL OR b.next_attempt_at > $2))
ORDER BY e.sequence LIMIT $3
"""  # noqa: S608 -- constant column names

_MATCHES = f"""
SELECT c.id, s.id AS subscription, s.client_id, s.kinds, s.grant_id, w.reference, s.url IS NOT NULL AS delivered,
    c.subject
FROM exchange.change c
JOIN exchange.subscription_subject w ON w.subject = c.subject
JOIN exchange.subscription s ON s.id = w.subscription AND s.topic = c.topic AND s.state = 'active'
WHERE c.id = ANY($1)
UNION ALL
SELECT c.id, s.id, s.client_id, s.kinds, s.grant_id, w.reference, s.url IS NOT NULL, w.subject
FROM exchange.change c
JOIN LATERAL (
    SELECT a.alias FROM exchange.alias a WHERE a.subject = c.subject AND {followed("a")}
    UNION SELECT h.alias FROM exchange.alias_history h
    WHERE h.subject = c.subject AND h.valid_until = c.happened_at AND {followed("h")}
) AS l ON true
JOIN exchange.subscription_subject w ON w.subject = l.alias
JOIN exchange.subscription s ON s.id = w.subscription AND s.topic = c.topic AND s.state = 'active'
WHERE c.id = ANY($1)
UNION ALL
SELECT c.id, s.id, s.client_id, s.kinds, s.grant_id, NULL, s.url IS NOT NULL, c.subject
FROM exchange.change c
JOIN exchange.subscription s ON s.topic = c.topic AND s.state = 'active' AND s.scope = 'all'
WHERE c.id = ANY($1)
ORDER BY 1
"""  # noqa: S608 -- our own text
"""Who named a subject, who named another identifier of it, and who asked to be told of all.

What ends an identifier with the row that named it is still told under it.
"""


async def read_cursor(connection: Any, source: str) -> int | None:
    """Return how far a source has been followed, and keep others from following it until the transaction ends.

    None: somebody else follows it now.
    """
    found: int | None = await connection.fetchval(
        "SELECT position FROM exchange.feed_cursor WHERE source = $1 FOR UPDATE SKIP LOCKED", source
    )
    return found


async def move_cursor(connection: Any, source: str, position: int) -> None:
    """Note how far a source has been followed."""
    await connection.execute(
        "UPDATE exchange.feed_cursor SET position = $2 WHERE source = $1", source, position
    )


async def add_changes(connection: Any, new: Sequence[Change]) -> None:
    """Let changes wait to be told."""
    if new:
        await connection.executemany(
            f"INSERT INTO exchange.change ({_CHANGE}) VALUES ($1, $2, $3, $4, $5, $6)",  # noqa: S608
            [
                (
                    each.topic,
                    each.subject,
                    {kind: list(fields) for kind, fields in each.kinds.items()},
                    each.division,
                    each.sealed,
                    each.happened_at,
                )
                for each in new
            ],
        )


async def try_spreading(connection: Any) -> bool:
    """Become the one who tells changes to subscriptions until the transaction ends; False when another does.

    Two at once would tell of two changes of one subject in another order than they came in.
    """
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _SPREADING))


async def waiting_changes(connection: Any, limit: int) -> dict[int, Change]:
    """Return changes that nobody was told of, by their ids, in the order of their coming."""
    rows = await connection.fetch(
        f"SELECT id, {_CHANGE} FROM exchange.change ORDER BY id LIMIT $1",  # noqa: S608 -- constant names
        limit,
    )
    return {row["id"]: Change(**{name: row[name] for name in _CHANGE.split(", ")}) for row in rows}


async def drop_changes(connection: Any, ids: Collection[int]) -> None:
    """Forget changes that have been told."""
    await connection.execute("DELETE FROM exchange.change WHERE id = ANY($1)", list(ids))


async def matches(connection: Any, ids: Collection[int]) -> list[Match]:
    """Return whom changes concern, in the order of the changes."""
    rows = await connection.fetch(_MATCHES, list(ids))
    return [
        Match(
            row["id"],
            row["subscription"],
            row["client_id"],
            frozenset(row["kinds"]),
            row["grant_id"],
            row["reference"],
            row["delivered"],
            row["subject"],
        )
        for row in rows
    ]


async def grants(connection: Any, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Grant]:
    """Return grants as they stand now, whether or not they hold."""
    rows = await connection.fetch("SELECT * FROM exchange.share_grant WHERE id = ANY($1)", list(set(ids)))
    return {row["id"]: as_grant(row) for row in rows}


async def advance(connection: Any, subscription_id: uuid.UUID, count: int) -> int | None:
    """Make room for events in a feed; return the sequence before the first. None: the subscription has ended.

    The feed stays locked until the transaction ends: so sequences have no gaps, and who reads one has read all before.
    """
    found: int | None = await connection.fetchval(
        "UPDATE exchange.subscription SET head = head + $2 WHERE id = $1 AND state = 'active' RETURNING head - $2",
        subscription_id,
        count,
    )
    return found


async def add_events(connection: Any, new: Sequence[Event]) -> None:
    """Put events into their feeds."""
    columns = _NEW.split(", ")
    await connection.copy_records_to_table(
        "feed_event",
        schema_name="exchange",
        columns=columns,
        records=[tuple(_bare(getattr(each, name)) for name in columns) for each in new],
    )


def _bare(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


async def next_events(connection: Any, subscription_id: uuid.UUID, now: datetime, limit: int) -> list[Event]:
    """Return events that are due, in the order of the feed.

    None stands behind an earlier one of its subject that waits for its next attempt, or lies dead.
    """
    return [_event(row) for row in await connection.fetch(_NEXT, subscription_id, now, limit)]


async def recorded(connection: Any, subscription_id: uuid.UUID, records: Mapping[int, uuid.UUID]) -> None:
    """Note by which access record each event, by its sequence, is disclosed."""
    await connection.execute(
        "UPDATE exchange.feed_event e SET record = r.record"
        " FROM unnest($2::bigint[], $3::uuid[]) AS r (sequence, record)"
        " WHERE e.subscription = $1 AND e.sequence = r.sequence",
        subscription_id,
        list(records),
        list(records.values()),
    )


async def delivered(
    connection: Any, subscription_id: uuid.UUID, sent: Mapping[int, uuid.UUID], now: datetime
) -> None:
    """Note that events arrived.

    Args:
        sent: sequence → access record by which it left. An event that is to be replayed since has lost its record, and
            leaves again.
    """
    await connection.execute(
        "UPDATE exchange.feed_event e SET delivered_at = $4, next_attempt_at = NULL, last_failure = NULL"
        " FROM unnest($2::bigint[], $3::uuid[]) AS s (sequence, record)"
        " WHERE e.subscription = $1 AND e.sequence = s.sequence AND e.record = s.record",
        subscription_id,
        list(sent),
        list(sent.values()),
        now,
    )


async def failed(
    connection: Any,
    subscription_id: uuid.UUID,
    sent: Mapping[int, uuid.UUID],
    again: Mapping[int, datetime | None],
    failure: str,
    now: datetime,
) -> None:
    """Note that events did not arrive.

    Args:
        sent: as for `delivered`.
        again: sequence → when it is tried again; None: it lies dead until somebody sees to it.
    """
    await connection.execute(
        "UPDATE exchange.feed_event e SET attempts = e.attempts + 1, last_failure = $5, next_attempt_at = s.again,"
        " dead_at = CASE WHEN s.again IS NULL THEN $6::timestamptz END"
        " FROM unnest($2::bigint[], $3::uuid[], $4::timestamptz[]) AS s (sequence, record, again)"
        " WHERE e.subscription = $1 AND e.sequence = s.sequence AND e.record = s.record",
        subscription_id,
        list(sent),
        list(sent.values()),
        [again[sequence] for sequence in sent],
        failure,
        now,
    )


async def replay(connection: Any, subscription_id: uuid.UUID, first: int, now: datetime) -> int:
    """Let all events from a sequence on be delivered again; return how many."""
    done: str = await connection.execute(
        "UPDATE exchange.feed_event SET attempts = 0, next_attempt_at = $3, delivered_at = NULL, dead_at = NULL,"
        " last_failure = NULL, record = NULL WHERE subscription = $1 AND sequence >= $2",
        subscription_id,
        first,
        now,
    )
    return int(done.rsplit(" ", 1)[1])


async def dead(connection: Any, subscription_id: uuid.UUID | None, limit: int) -> list[Event]:
    """Return dead events of a subscription, or of all (None), in the order of their feeds."""
    rows = await connection.fetch(
        f"SELECT {_EVENT} FROM exchange.feed_event WHERE dead_at IS NOT NULL"  # noqa: S608 -- constant names
        " AND ($1::uuid IS NULL OR subscription = $1) ORDER BY subscription, sequence LIMIT $2",
        subscription_id,
        limit,
    )
    return [_event(row) for row in rows]


async def revive(
    connection: Any, subscription_id: uuid.UUID | None, sequences: Sequence[int] | None, now: datetime
) -> int:
    """Let dead events be tried again, counting from the beginning; return how many.

    Args:
        subscription_id: None: of all subscriptions.
        sequences: None: all that are dead.
    """
    done: str = await connection.execute(
        "UPDATE exchange.feed_event SET attempts = 0, next_attempt_at = $3, dead_at = NULL WHERE dead_at IS NOT NULL"
        " AND ($1::uuid IS NULL OR subscription = $1) AND ($2::bigint[] IS NULL OR sequence = ANY($2))",
        subscription_id,
        None if sequences is None else list(sequences),
        now,
    )
    return int(done.rsplit(" ", 1)[1])


async def dismiss(connection: Any, subscription_id: uuid.UUID, sequences: Sequence[int]) -> int:
    """Go on without dead events, so that later ones of their subjects are delivered; return how many."""
    done: str = await connection.execute(
        "UPDATE exchange.feed_event SET dead_at = NULL WHERE subscription = $1 AND sequence = ANY($2)"
        " AND dead_at IS NOT NULL",
        subscription_id,
        list(sequences),
    )
    return int(done.rsplit(" ", 1)[1])


async def dismiss_old(connection: Any, before: datetime, limit: int) -> int:
    """Go on without events that have been dead since before a moment; return how many. Then they are forgotten."""
    rows = await connection.fetch(
        "UPDATE exchange.feed_event SET dead_at = NULL WHERE (subscription, sequence) IN (SELECT subscription, sequence"
        " FROM exchange.feed_event WHERE dead_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1",
        before,
        limit,
    )
    return len(rows)


async def after(connection: Any, subscription_id: uuid.UUID, sequence: int, limit: int) -> list[Event]:
    """Return the events of a feed that come after a sequence, in order."""
    rows = await connection.fetch(
        f"SELECT {_EVENT} FROM exchange.feed_event WHERE subscription = $1 AND sequence > $2"  # noqa: S608
        " ORDER BY sequence LIMIT $3",
        subscription_id,
        sequence,
        limit,
    )
    return [_event(row) for row in rows]


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Forget events of before a moment that nobody waits for, and note in their feeds up to where; return how many.

    What waits or lies dead stays, as long as its subscription goes on.
    """
    rows = await connection.fetch(
        "DELETE FROM exchange.feed_event WHERE (subscription, sequence) IN (SELECT e.subscription, e.sequence"
        " FROM exchange.feed_event e JOIN exchange.subscription s ON s.id = e.subscription"
        " WHERE e.created_at < $1 AND (s.state <> 'active' OR (e.next_attempt_at IS NULL AND e.dead_at IS NULL))"
        " ORDER BY e.created_at LIMIT $2) RETURNING subscription, sequence",
        before,
        limit,
    )
    most: dict[uuid.UUID, int] = {}
    for row in rows:
        most[row["subscription"]] = max(row["sequence"], most.get(row["subscription"], 0))
    if most:
        await connection.execute(
            "UPDATE exchange.subscription s SET forgotten = greatest(s.forgotten, f.sequence)"
            " FROM unnest($1::uuid[], $2::bigint[]) AS f (id, sequence) WHERE s.id = f.id",
            list(most),
            list(most.values()),
        )
    return len(rows)


async def standing(connection: Any, now: datetime) -> tuple[int, float]:
    """Return how many events lie dead, and for how many seconds the longest has been due."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM exchange.feed_event WHERE dead_at IS NOT NULL),"
        " (SELECT min(e.next_attempt_at) FROM exchange.feed_event e JOIN exchange.subscription s"
        " ON s.id = e.subscription WHERE s.state = 'active' AND e.next_attempt_at <= $1)",
        now,
    )
    return row[0], 0.0 if row[1] is None else (now - row[1]).total_seconds()


def _event(row: Any) -> Event:
    return Event(**{**row, "fields": tuple(row["fields"])})
