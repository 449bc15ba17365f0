"""Opening annual reports when their season begins, and telling of those that were not filed in it."""

from __future__ import annotations

from datetime import datetime

from foundation.civil import civil_date
from license_registry import tables
from license_registry.annual_reports.tables import open_reports, tell_overdue
from license_registry.audit.event import happened
from license_registry.lifecycle.change import SCHEDULER
from license_registry.lifecycle.rules import rules_of
from license_registry.notices.tables import add_notice
from license_registry.ports import Registry

BATCH = 200


async def open_due(registry: Registry, now: datetime) -> int:
    """Open this year's report of every licence in force whose type asks for one; return how many were opened.

    Licences first issued in this very year report next year. In batches, each one transaction; again without harm.
    """
    today = civil_date(now)
    done = 0
    for type_ in registry.types.values():
        season = rules_of(registry.types, type_.type_code).annual_report
        if season is None:
            continue
        begins, ends = season.of(today.year)
        if not begins <= today <= ends:
            continue
        while True:
            async with registry.pool.acquire() as connection, connection.transaction():
                found = await open_reports(connection, type_.type_codes, today.year, ends, now, BATCH)
                for identifier, issuer in found:
                    facts = {"year": today.year, "due_until": ends.isoformat()}
                    event = happened("annual-report-due", identifier, SCHEDULER, now, **facts)
                    await tables.add_event(connection, event)
                    notice = {"licence": identifier, **facts}
                    await add_notice(connection, issuer, "annual-report-due", notice, now)
            done += len(found)
            if len(found) < BATCH:
                break
    return done


async def overdue(registry: Registry, now: datetime) -> int:
    """Tell, once each, of reports whose last day has passed; what follows from that the issuing authority decides."""
    done = 0
    while True:
        async with registry.pool.acquire() as connection, connection.transaction():
            found = await tell_overdue(connection, civil_date(now), now, BATCH)
            for identifier, year, issuer in found:
                event = happened("annual-report-overdue", identifier, SCHEDULER, now, year=year)
                await tables.add_event(connection, event)
                notice = {"licence": identifier, "year": year}
                await add_notice(connection, issuer, "annual-report-overdue", notice, now)
        done += len(found)
        if len(found) < BATCH:
            return done
