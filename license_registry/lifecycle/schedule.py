"""What a day brings: licences lapse, suspensions end, somebody is reminded. In batches, and again without harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from foundation.civil import civil_date
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.lifecycle import tables as life_tables
from license_registry.lifecycle.change import SCHEDULER, Wanted, apply
from license_registry.lifecycle.rules import rules_of
from license_registry.lifecycle.states import Operation
from license_registry.notices.tables import add_notice
from license_registry.ports import Registry

BATCH = 200
REMINDER_DAYS = (60, 30, 7)

EXPIRED_REASON = "有效期届满 · the last day of validity has passed"
RETURNED_REASON = "暂扣期满 · the suspension has run out"


async def expire(registry: Registry, now: datetime) -> int:
    """Let every licence in force whose last day has passed lapse (04); return how many did.

    A batch is one transaction: dying leaves whole batches done, and the next run goes on. Of a type that does not know
    the operation nothing lapses by itself; a verifier sees that the day has passed, whatever the state says.
    """
    wanted = Wanted(Operation.EXPIRE, EXPIRED_REASON)
    return await _each(registry, life_tables.over, wanted, now)


async def return_suspended(registry: Registry, now: datetime) -> int:
    """Return (06) every suspended licence whose suspension was to end by today; return how many came back.

    One whose last day has passed meanwhile lapses instead, if `expire` goes first.
    """
    wanted = Wanted(Operation.RETURN, RETURNED_REASON)
    return await _each(registry, life_tables.suspended_long_enough, wanted, now)


async def remind(registry: Registry, now: datetime) -> dict[int, int]:
    """Remind of licences that end in 60, 30 and 7 days; return days → how many.

    Each licence is reminded once for each of these, and only of the nearest where several days have come at once.
    """
    today = civil_date(now)
    done = {}
    for days in sorted(REMINDER_DAYS):
        done[days] = 0
        while True:
            async with registry.pool.acquire() as connection, connection.transaction():
                found = await life_tables.ending_unreminded(
                    connection, today, today + timedelta(days=days), days, BATCH
                )
                for identifier, type_code, issuer, last_day in found:
                    await life_tables.add_reminder(connection, identifier, days, now)
                    facts = {"days": days, "type_code": type_code, "valid_until": last_day.isoformat()}
                    await tables.add_event(
                        connection, happened("expiry-reminder", identifier, SCHEDULER, now, **facts)
                    )
                    await add_notice(
                        connection, issuer, "expiry-reminder", {"licence": identifier, **facts}, now
                    )
            done[days] += len(found)
            if len(found) < BATCH:
                break
    return done


async def _each(
    registry: Registry,
    find: Callable[[Any, date, int, Sequence[str]], Awaitable[list[str]]],
    wanted: Wanted,
    now: datetime,
) -> int:
    refusing = [
        code
        for type_ in registry.types.values()
        for code in type_.type_codes
        if wanted.operation not in rules_of(registry.types, code).operations
    ]
    done = 0
    while True:
        async with registry.pool.acquire() as connection, connection.transaction():
            found = await find(connection, civil_date(now), BATCH, refusing)
            for identifier in found:
                licence = await tables.find(connection, identifier, for_change=True)
                assert licence is not None
                life = await life_tables.life_of(connection, identifier)
                await apply(registry, connection, SCHEDULER, licence, life, wanted, now)
        done += len(found)
        if len(found) < BATCH:
            return done
