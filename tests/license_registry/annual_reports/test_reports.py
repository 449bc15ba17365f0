"""Annual reports: due in their season of licences that are old enough, filed once, overdue once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.annual_reports.due import open_due, overdue
from license_registry.annual_reports.tables import file, of_licence
from license_registry.issuing.issue import issue
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.states import Operation, State
from license_registry.lifecycle.versions import VersionRequest, new_version
from tests.conftest import Service
from tests.license_registry.conftest import (
    AUTHORITY,
    NOW,
    PERSON,
    STRANGER,
    issued,
    problem,
    registry,
    request,
)

FIRST = datetime(2025, 12, 31, 16, 0, tzinfo=UTC)
"""1 January 2026 in China: the season of business licences begins."""
LAST = datetime(2026, 6, 30, 15, 59, tzinfo=UTC)
OVER = datetime(2026, 6, 30, 16, 0, tzinfo=UTC)


def test_a_report_is_due_in_its_season_and_overdue_after_it(settings: Settings, database_url: str) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports:
            filing, silent, ended = [
                (await issue(ports, AUTHORITY, request(), NOW)).licence.identifier for _turn in range(3)
            ]
            cancel = Wanted(Operation.CANCEL, "申请注销", State.CANCELLED)
            await change_state(ports, AUTHORITY, ended, cancel, NOW)
            assert await open_due(ports, NOW) == 0, "issued in this very year"
            assert await open_due(ports, datetime(2025, 12, 31, 15, 59, tzinfo=UTC)) == 0
            assert await open_due(ports, FIRST) == 2
            assert await open_due(ports, FIRST) == 0
            await issue(ports, AUTHORITY, request(), FIRST)
            assert await open_due(ports, LAST) == 0, "first issued in the year itself"
            assert await overdue(ports, LAST) == 0
            # The obligation goes over to the next version, and is not a second one there.
            changing = VersionRequest(Operation.CHANGE, "变更", {"address": "示范市新区一号"})
            new = (await new_version(ports, AUTHORITY, filing, changing, FIRST)).licence.identifier
            assert await open_due(ports, LAST) == 0
            assert await file(ports.pool, new, 2026, "年报2026-1", LAST)
            assert not await file(ports.pool, new, 2026, "年报2026-2", LAST)
            assert await of_licence(ports.pool, filing) == []
            (report,) = await of_licence(ports.pool, new)
            assert (report.reference, report.filed_at) == ("年报2026-1", LAST)
            assert await overdue(ports, OVER) == 1
            assert await overdue(ports, OVER) == 0
            (late,) = await of_licence(ports.pool, silent)
            assert (late.filed_at, late.overdue_told_at) == (None, OVER)
            kinds = await ports.pool.fetch(
                "SELECT kind, count(*) FROM license_registry.event WHERE kind LIKE 'annual%' GROUP BY 1 ORDER BY 1"
            )
            assert [tuple(row) for row in kinds] == [("annual-report-due", 2), ("annual-report-overdue", 1)]

    asyncio.run(story())


def test_who_may_files_a_report_that_is_due(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/annual-reports"
    body = {"reference": "年报2025-7"}
    person, stranger = service.person(PERSON), service.person(STRANGER)
    assert problem(service.http.post(f"{path}/2025", json=body, headers=person)) == (
        409,
        "annual-report-not-due",
    )
    service.sql(
        "INSERT INTO license_registry.annual_report (identifier, year, due_until, opened_at)"
        " VALUES (%s, 2025, '2025-06-30', now())",
        made,
    )
    assert problem(service.http.post(f"{path}/2025", json=body, headers=stranger)) == (404, "not-found")
    other = service.system("other", Role.ISSUING_AUTHORITY, department="11990100MB2A00003U")
    assert problem(other.call(service.http, "POST", f"{path}/2025", body)) == (404, "not-found")
    first = service.http.post(f"{path}/2025", json=body, headers=person)
    assert first.status_code == 200, first.text
    again = authority.call(service.http, "POST", f"{path}/2025", {"reference": "年报2025-8"})
    assert again.json() == first.json()
    (told,) = authority.call(service.http, "GET", path).json()["annual_reports"]
    assert (told["year"], told["reference"], told["overdue"]) == (2025, "年报2025-7", False)
    for year in ("x", "0"):
        assert problem(authority.call(service.http, "POST", f"{path}/{year}", body)) == (
            422,
            "invalid-request",
        )
