"""Following the registers: what changed of holders since it was last seen, and the tasks that come of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from foundation.errors import DomainError
from foundation.language import _
from foundation.sensitive import Vault
from foundation.signing import canonical_json
from license_registry import tables as registry_tables
from license_registry.audit.event import happened
from license_registry.lifecycle.change import SCHEDULER
from license_registry.lifecycle.rules import Cause, Reaction, rules_of
from license_registry.linked_change import tables
from license_registry.linked_change.tables import Holding, Seen, Task
from license_registry.notices.tables import add_notice
from license_registry.ports import Registry

BATCH = 500
_LOCK = int.from_bytes(b"ztfollow")


class FollowingAlready(DomainError):
    code = "following-already"


@dataclass(frozen=True, slots=True)
class HolderFacts:
    """What a register says of somebody at a moment, in clear; it stays in memory.

    Args:
        version: of the register's row; it counts on, also when one comes back.
        since: when the row came to be as it is.
    """

    version: int
    since: datetime
    name: str | None
    address: str | None
    representative: str | None
    dead: bool


class HolderHistory(Protocol):
    """The city's registers with their history; the registry of licences does not know where they are."""

    async def versions(self, code_type: str, subjects: Sequence[bytes]) -> list[int | None]:
        """Return in step the version at which somebody stands now, None for who is not in the register."""

    async def facts(
        self, code_type: str, asked: Sequence[tuple[bytes, datetime | None]]
    ) -> list[HolderFacts | None]:
        """Return in step what the register held of somebody at a moment (None: holds now), None for nothing."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a walk over all holders found: how many there are, how many changed, how many tasks came of it."""

    holders: int
    changed: int
    tasks: int


def causes(code_type: str, before: Seen, after: Seen) -> frozenset[Cause]:
    """Return what changed of a holder. Death, or the end of an entity, leaves nothing else worth telling."""
    if after.standing == "ended":
        # A person whom the register no longer names has moved away; only an entity has ended with it.
        gone = code_type == "001" and before.standing != "ended"
        return frozenset({Cause.STRUCK_OFF}) if gone else frozenset()
    if after.standing == "dead":
        return frozenset({Cause.DEATH}) if before.standing != "dead" else frozenset()
    found = {
        Cause.NAME: (before.name, after.name),
        Cause.ADDRESS: (before.address, after.address),
        Cause.REPRESENTATIVE: (before.representative, after.representative),
    }
    return frozenset(cause for cause, (old, new) in found.items() if old != new)


async def follow(
    registry: Registry, register: HolderHistory, now: datetime, *, batch: int = BATCH
) -> Followed:
    """Walk over all holders whose licences stand, and raise tasks for what changed of them.

    1. Take the next holders in the order of their blind indexes, and ask at which version their register has them.
    2. Of those that stand at another version than was last seen, compare name, address, representative and standing.
       Who is seen for the first time is compared with what the register held when their first licence was issued.
    3. Raise a task for each licence whose type says change or review; note what was seen; note where the walk is.
       One transaction for each batch: dying leaves whole batches done, and the next walk goes on there.

    No clock of the registers is trusted for that: a run that ends late is not missed.

    Raises:
        FollowingAlready: another walk is under way.
    """
    holders = changed = raised = 0
    async with _alone(registry):
        position = await tables.read_position(registry.pool)
        while True:
            found = await tables.holders_after(registry.pool, position, batch)
            different = await _different(registry, register, found)
            position = found[-1].holder if len(found) == batch else b""
            async with registry.pool.acquire() as connection, connection.transaction():
                for each in different:
                    what = causes(each.code_type, each.before, each.after)
                    raised += await raise_tasks(
                        registry, connection, each.holder, what, each.after.version, each.since, now
                    )
                    await tables.put_seen(connection, each.holder, each.after, now)
                    changed += bool(what)
                await tables.put_position(connection, position)
            holders += len(found)
            if position == b"":
                return Followed(holders, changed, raised)


@asynccontextmanager
async def _alone(registry: Registry) -> AsyncIterator[None]:
    async with registry.pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise FollowingAlready(_("the registers are being followed by another process"))
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def raise_tasks(
    registry: Registry,
    connection: Any,
    holder: bytes,
    what: frozenset[Cause],
    version: int,
    since: datetime | None,
    now: datetime,
) -> int:
    """Raise tasks for all licences of a holder by the rules of their types; return how many are new.

    Args:
        version: of the register's row, so that the same change raises the same task once.
        since: when the register came to say so: what was issued later was issued by it. None: for all licences.
    """
    if not what:
        return 0
    raised = 0
    for identifier, type_code, issuer in await tables.licences_standing(connection, holder, since):
        rules = rules_of(registry.types, type_code).on_change
        for cause in sorted(what):
            if rules[cause] is Reaction.LEAVE:
                continue
            task = Task(uuid.uuid4(), identifier, issuer, cause, rules[cause], version, now)
            if not await tables.add_task(connection, task):
                continue
            facts = {"task": str(task.id), "cause": cause.value, "reaction": task.reaction.value}
            event = happened("task-raised", identifier, SCHEDULER, now, **facts)
            await registry_tables.add_event(connection, event)
            await add_notice(connection, issuer, "task-raised", {"licence": identifier, **facts}, now)
            raised += 1
    return raised


@dataclass(frozen=True, slots=True)
class _Different:
    """A holder who is not as was seen last; `since` None: there is no row that could say since when."""

    holder: bytes
    code_type: str
    before: Seen
    after: Seen
    since: datetime | None


async def _different(
    registry: Registry, register: HolderHistory, found: Sequence[Holding]
) -> list[_Different]:
    known = await tables.seen(registry.pool, [holding.holder for holding in found])
    by_kind: dict[str, list[Holding]] = {}
    kinds = {code: type_.holder_code_type for type_ in registry.types.values() for code in type_.type_codes}
    for holding in found:
        if holding.type_code in kinds:  # a type that the city took away: nobody knows where its holders stand
            by_kind.setdefault(kinds[holding.type_code], []).append(holding)
    different = []
    for code_type, holdings in by_kind.items():
        at = await register.versions(code_type, [holding.holder for holding in holdings])
        moved = [
            (holding, version)
            for holding, version in zip(holdings, at, strict=True)
            if not _as_seen(known.get(holding.holder), version)
        ]
        current = await register.facts(code_type, [(holding.holder, None) for holding, _version in moved])
        earlier = await _earlier(registry.vault, register, code_type, known, moved)
        for (holding, _version), facts in zip(moved, current, strict=True):
            before = known.get(holding.holder) or earlier.get(holding.holder)
            after = _seen(registry.vault, facts, before)
            if after is not None:
                since = None if facts is None else facts.since
                different.append(_Different(holding.holder, code_type, before or after, after, since))
    return different


def _as_seen(known: Seen | None, version: int | None) -> bool:
    if known is None:
        return False
    if version is None:
        return known.standing == "ended"
    return known.standing != "ended" and known.version == version


async def _earlier(
    vault: Vault,
    register: HolderHistory,
    code_type: str,
    known: Mapping[bytes, Seen],
    moved: Sequence[tuple[Holding, int | None]],
) -> dict[bytes, Seen]:
    new = [holding for holding, _version in moved if holding.holder not in known]
    then = await register.facts(code_type, [(holding.holder, holding.since) for holding in new])
    found = {holding.holder: _seen(vault, facts, None) for holding, facts in zip(new, then, strict=True)}
    return {holder: seen for holder, seen in found.items() if seen is not None}


def _seen(vault: Vault, facts: HolderFacts | None, before: Seen | None) -> Seen | None:
    """Return what is seen of a holder; None of one that is not in the register and never was."""
    if facts is None:
        if before is None:
            return None
        return Seen(before.version, _ENDED, before.name, before.address, before.representative)

    def mark(name: str, value: str | None) -> bytes | None:
        return None if value is None else vault.fingerprint(canonical_json(["holder", name, value]))

    return Seen(
        facts.version,
        "dead" if facts.dead else "living",
        mark("name", facts.name),
        mark("address", facts.address),
        mark("representative", facts.representative),
    )


_ENDED: Literal["ended"] = "ended"
