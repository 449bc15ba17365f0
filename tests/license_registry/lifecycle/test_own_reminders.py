"""Reminders over HTTP: who holds or presents a licence sees in their own session that it ends soon."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from demonstration.parties import System
from foundation.civil import civil_date
from license_registry.lifecycle import schedule
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, STRANGER, issued, operate, problem, registry

PATH = "/registry/v1/me/reminders"
NOON = datetime.now(UTC)
TODAY = civil_date(NOON)


def remind(service: Service, ago: int = 0) -> None:
    """Let the daily job run as it did some days ago."""

    async def work() -> None:
        async with registry(service.settings, service.address) as ports:
            await schedule.remind(ports, NOON - timedelta(days=ago))

    asyncio.run(work())


def ending(service: Service, authority: System, days: int) -> str:
    until = (TODAY + timedelta(days=days)).isoformat()
    identifier: str = issued(service, authority, valid_until=until)["identifier"]
    return identifier


def seen(service: Service, person: str) -> dict[str, dict[str, Any]]:
    reply = service.http.get(PATH, headers=service.person(person))
    assert reply.status_code == 200, reply.text
    return {each["identifier"]: each for each in reply.json()["reminders"]}


def test_a_person_sees_which_of_their_licences_end_soon(service: Service, authority: System) -> None:
    last, soon, later = (ending(service, authority, days) for days in (0, 20, 61))
    # Nobody was reminded yet.
    assert seen(service, PERSON) == {}
    # As the job found it 25 days ago: 45 days left of one, 25 of the other.
    remind(service, ago=25)
    assert [(each["days"], each["days_left"]) for each in seen(service, PERSON).values()] == [
        (30, 0),
        (60, 20),
    ]
    remind(service)
    mine = seen(service, PERSON)
    assert list(mine) == [last, soon]
    assert later not in mine
    assert [(each["days"], each["days_left"]) for each in mine.values()] == [(7, 0), (30, 20)]
    assert mine[soon]["valid_until"] == (TODAY + timedelta(days=20)).isoformat()
    assert seen(service, STRANGER) == {}
    # What is not in force any more is nothing to be reminded of.
    assert operate(service, authority, soon, "05", "04").status_code == 200
    assert list(seen(service, PERSON)) == [last]


def test_only_people_have_reminders_of_their_own(service: Service, authority: System) -> None:
    assert problem(authority.call(service.http, "GET", PATH)) == (403, "role-missing")
    assert problem(service.http.get(PATH)) == (401, "token-missing")
