"""Following the registers and the registry of licences: what changed since it was last seen, exactly once.

Each source is followed by a number that comes in the order of the commits: of a register, that of the versions that
ended (`history.sequence`), of who came back and of who is new; of the licences, the place of their events in the log.
The number moves in the transaction that notes the changes: dying leaves whole batches done, and the next goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from exchange.catalog.document import LICENCE_PREFIX
from exchange.grants.scope import division_of
from exchange.ports import Exchange, LicenceChanges
from exchange.registers.schemas import RegisterSchema, load_registers, opened
from exchange.subscriptions import feed_tables, history_query, tables
from exchange.subscriptions.feed_tables import Change
from exchange.subscriptions.history_query import Addition, Step
from exchange.subscriptions.kinds import ADDED, kinds_of_change
from exchange.subscriptions.spread import place_of
from exchange.subscriptions.subscription import Scope
from foundation.sensitive import Vault

RANGE = 2_000
"""Numbers of one transaction: versions that ended, opened where somebody watches their subjects."""
ADDED_AT_ONCE = 5_000
"""Subjects new in a register of about one transaction, where somebody wants to be told of them."""
LICENCES_SOURCE = "licences"


async def append_change(
    connection: Any, kind: str, subject: bytes, facts: Mapping[str, Any], now: datetime
) -> None:
    """Let subscribers be told that something changed of a subject; in the transaction of what it tells.

    Args:
        subject: blind index.
        facts: `topic` (a register by its name, or the resource of a licence type) and, where they are known, `fields`
            (names of what changed) and `division` (6 digits).
    """
    told = {kind: sorted(facts.get("fields", ()))}
    await feed_tables.add_changes(
        connection, [Change(facts["topic"], subject, told, facts.get("division"), None, now)]
    )


async def follow(exchange: Exchange, licences: LicenceChanges) -> int:
    """Follow all sources up to where they are now; return how many changes somebody may be told of.

    Where nobody subscribes to a source, it is passed over.
    """
    found = 0
    registers = load_registers()
    for name in sorted(await history_query.behind(exchange.pool, registers.values())):
        found += await _follow_register(exchange, registers[name])
    return found + await _follow_licences(exchange, licences)


async def _follow_register(exchange: Exchange, register: RegisterSchema) -> int:
    found = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            position = await feed_tables.read_cursor(connection, register.name)
            if position is None:
                return found
            # In this order: who subscribes after the head was read is not passed over by it.
            head = await history_query.head(connection, register.table)
            if head <= position:
                return found
            wanted = (await tables.wanted_topics(connection)).get(register.name, frozenset())
            upto = min(head, position + RANGE) if wanted else head
            if wanted:
                everybody = Scope.ALL in wanted
                new = (await tables.wanted_topics(connection, ADDED)).get(register.name, frozenset())
                if new:
                    upto = await history_query.additions_upto(
                        connection, register.table, position, upto, ADDED_AT_ONCE
                    )
                    changes = await _additions(exchange, connection, register, position, upto, new)
                    await feed_tables.add_changes(connection, changes)
                    found += len(changes)
                steps = await history_query.steps(
                    connection, register.table, position, upto, everybody=everybody
                )
                changes = await asyncio.to_thread(
                    _changes, exchange.vault, register, steps, identified=everybody
                )
                await feed_tables.add_changes(connection, changes)
                found += len(changes)
            await history_query.forget_followed(connection, register.table, upto)
            await feed_tables.move_cursor(connection, register.name, upto)
        if upto == head:
            return found


async def _additions(
    exchange: Exchange,
    connection: Any,
    register: RegisterSchema,
    position: int,
    upto: int,
    scopes: frozenset[Scope],
) -> list[Change]:
    # Before the changes of the same numbers: who is new was not there to change.
    everybody = Scope.ALL in scopes
    added = await history_query.additions(connection, register.table, position, upto, everybody=everybody)
    return await asyncio.to_thread(_added, exchange.vault, register, added, identified=everybody)


def _added(
    vault: Vault, register: RegisterSchema, added: Sequence[Addition], *, identified: bool
) -> list[Change]:
    found = []
    for each in added:
        name = None
        if identified:
            record = opened(vault, register, each.subject, each.content, each.sealed)
            name = identifier_of(register, record)
        found.append(
            Change(
                register.name,
                each.subject,
                {ADDED: []},
                division_of(register.name, each.content),
                None if name is None else vault.seal(name.encode(), place_of(each.subject)),
                each.happened_at,
            )
        )
    return found


def _changes(
    vault: Vault, register: RegisterSchema, steps: Sequence[Step], *, identified: bool
) -> list[Change]:
    found = []
    for each in steps:
        before = opened(vault, register, each.subject, each.content, each.sealed)
        after = None
        if each.next_content is not None:
            after = opened(vault, register, each.subject, each.next_content, each.next_sealed)
        kinds = kinds_of_change(register, before, after, returned=each.returned)
        if not kinds:
            continue
        name = identifier_of(register, after or before) if identified else None
        found.append(
            Change(
                register.name,
                each.subject,
                kinds,
                division_of(register.name, each.content if each.next_content is None else each.next_content),
                None if name is None else vault.seal(name.encode(), place_of(each.subject)),
                each.happened_at,
            )
        )
    return found


def identifier_of(register: RegisterSchema, record: Mapping[str, Any]) -> str | None:
    """Return the identifier of a record as one asks by it (`queries.authorise.canonical_subject`)."""
    for _kind, fields in register.keys:
        values = [record.get(name) for name in fields]
        if all(values):
            return ":".join(str(value) for value in values)
    return None


async def _follow_licences(exchange: Exchange, licences: LicenceChanges) -> int:
    found = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            position = await feed_tables.read_cursor(connection, LICENCES_SOURCE)
            if position is None:
                return found
            head = await licences.head()
            if head <= position:
                return found
            topics = {
                topic: scopes
                for topic, scopes in (await tables.wanted_topics(connection)).items()
                if topic.startswith(LICENCE_PREFIX)
            }
            upto = min(head, position + RANGE) if topics else head
            if topics:
                new = [
                    Change(
                        each.resource,
                        subject,
                        {each.kind: []},
                        each.division,
                        None
                        if identifier is None
                        else exchange.vault.seal(identifier.encode(), place_of(subject)),
                        each.happened_at,
                    )
                    for each in await licences.between(
                        position,
                        upto,
                        frozenset(topics),
                        identified=any(Scope.ALL in scopes for scopes in topics.values()),
                    )
                    for subject, identifier in each.holders.items()
                ]
                await feed_tables.add_changes(connection, new)
                found += len(new)
            await feed_tables.move_cursor(connection, LICENCES_SOURCE, upto)
        if upto == head:
            return found
