"""Two numbers are decided to be one person's: what is theirs in the registry of licences is theirs under either.

Each test looks before the decision, too, and after it was taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, STRANGER, issued, problem
from tests.license_registry.issuing.test_checks import DRIVER
from tests.license_registry.lifecycle.test_own_reminders import ending, remind, seen
from tests.linking import FORMER, decide_on_people

DELEGATIONS = "/registry/v1/delegations"
OCCASION = {"purpose": "代为办理食品经营许可", "matter": "food-permit"}


@contextmanager
def one_person(service: Service, one: str = PERSON, other: str = FORMER) -> Iterator[None]:
    decide_on_people(service, one, other, "same")
    yield
    decide_on_people(service, one, other, "different")


@pytest.fixture(scope="module")
def authority(service: Service) -> System:
    return service.system("market-regulator", Role.ISSUING_AUTHORITY)


def test_reminders(service: Service, authority: System) -> None:
    identifier = ending(service, authority, 20)
    remind(service)
    assert (list(seen(service, PERSON)), seen(service, FORMER)) == ([identifier], {})
    with one_person(service):
        assert list(seen(service, FORMER)) == list(seen(service, PERSON)) == [identifier]
        assert seen(service, STRANGER) == {}
    assert seen(service, FORMER) == {}


def give(service: Service, holder: str, agent: str, identifier: str) -> httpx.Response:
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    body = {"agent": agent, "identifiers": [identifier], "matter": "food-permit", "valid_until": until}
    return service.http.post(DELEGATIONS, json=body, headers=service.person(holder))


def present(service: Service, agent: str, identifier: str, delegation: str) -> httpx.Response:
    body = {**OCCASION, "identifier": identifier, "delegation": delegation}
    return service.http.post("/registry/v1/presentations", json=body, headers=service.person(agent))


def given(service: Service, person: str) -> dict[str, bool]:
    """Delegations that somebody sees, and whether they gave them."""
    reply = service.http.get(DELEGATIONS, headers=service.person(person))
    return {each["id"]: each["given"] for each in reply.json()["delegations"]}


def withdraw(service: Service, holder: str, delegation: str) -> httpx.Response:
    return service.http.delete(f"{DELEGATIONS}/{delegation}", headers=service.person(holder))


def test_delegations_that_were_given(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    delegation = give(service, PERSON, STRANGER, identifier).json()["id"]
    code = present(service, STRANGER, identifier, delegation).json()["code"]
    assert delegation not in given(service, FORMER)
    assert problem(withdraw(service, FORMER, delegation)) == (404, "not-found")
    assert problem(give(service, FORMER, STRANGER, identifier)) == (404, "not-found")
    with one_person(service):
        assert given(service, FORMER)[delegation] is True
        # Nobody is their own agent, by whichever number.
        assert problem(give(service, PERSON, FORMER, identifier)) == (403, "delegation-invalid")
        by_former = give(service, FORMER, STRANGER, identifier)
        assert by_former.status_code == 201, by_former.text
        assert given(service, PERSON)[by_former.json()["id"]] is True
        assert withdraw(service, FORMER, delegation).status_code == 204
        assert problem(withdraw(service, PERSON, delegation)) == (404, "not-found")
    counter = service.system("counter", Role.COUNTER)
    told = counter.call(
        service.http, "POST", "/registry/v1/presentations/verify", {"code": code, "case": "2025-9"}
    )
    assert problem(told) == (403, "delegation-invalid")
    assert delegation not in given(service, FORMER)
    # What was given by the number that is another's now is good for nothing.
    assert problem(present(service, STRANGER, identifier, by_former.json()["id"])) == (404, "not-found")


def test_delegations_that_were_got(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    delegation = give(service, PERSON, STRANGER, identifier).json()["id"]
    assert problem(present(service, FORMER, identifier, delegation)) == (404, "not-found")
    with one_person(service, STRANGER, FORMER):
        assert given(service, FORMER)[delegation] is False
        made = present(service, FORMER, identifier, delegation)
        assert made.status_code == 201, made.text
        # To have got one is not to have given it.
        assert problem(withdraw(service, FORMER, delegation)) == (404, "not-found")
    assert problem(present(service, FORMER, identifier, delegation)) == (404, "not-found")


def test_offers_to_a_wallet(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]

    def offer(person: str) -> httpx.Response:
        path = f"/registry/v1/me/licences/{identifier}/offers"
        return service.http.post(path, json={}, headers=service.person(person))

    assert problem(offer(FORMER)) == (404, "not-found")
    with one_person(service):
        assert offer(FORMER).status_code == 201
        assert problem(offer(STRANGER)) == (404, "not-found")
    assert problem(offer(FORMER)) == (404, "not-found")


def test_giving_a_licence_up(service: Service, authority: System) -> None:
    until = f"{datetime.now(UTC).year + 6}-01-01"
    start = f"{datetime.now(UTC).year}-01-02"
    changes: dict[str, Any] = {**DRIVER, "valid_from": start, "valid_until": until}
    identifier = issued(service, authority, **changes)["identifier"]

    def give_up(person: str) -> httpx.Response:
        body = {"operation": "05", "target": "04", "reason": "不再驾驶"}
        path = f"/registry/v1/licences/{identifier}/operations"
        return service.http.post(path, json=body, headers=service.person(person))

    assert problem(give_up(FORMER)) == (404, "not-found")
    with one_person(service):
        assert problem(give_up(STRANGER)) == (404, "not-found")
        assert give_up(FORMER).json()["state"] == "04"


def test_annual_reports(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{identifier}/annual-reports"

    def asked(person: str) -> int:
        return service.http.get(path, headers=service.person(person)).status_code

    assert (asked(PERSON), asked(FORMER)) == (200, 404)
    with one_person(service):
        assert (asked(PERSON), asked(FORMER), asked(STRANGER)) == (200, 200, 404)
    assert asked(FORMER) == 404


def test_documents_and_history(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]

    def asked(person: str) -> list[int]:
        paths = (f"me/licences/{identifier}/credential", f"licences/{identifier}/history")
        return [
            service.http.get(f"/registry/v1/{path}", headers=service.person(person)).status_code
            for path in paths
        ]

    assert asked(FORMER) == [404, 404]
    with one_person(service):
        assert (asked(FORMER), asked(STRANGER)) == ([200, 200], [404, 404])


def test_guesses_of_numbers_are_counted_of_the_person(service: Service) -> None:
    def guess(person: str, number: str) -> int:
        body = {"licence_type": "business-licence", "number": number, "holder_name": "示范公司"}
        path = "/registry/v1/number-checks"
        return service.http.post(path, json=body, headers=service.person(person)).status_code

    allowed = service.settings.wrong_numbers_per_hour
    with one_person(service):
        replies = [guess((PERSON, FORMER)[turn % 2], f"GUESS{turn:06d}") for turn in range(allowed + 2)]
        assert replies == [200] * allowed + [429] * 2
        assert guess(STRANGER, "GUESS000001") == 200
