"""Delegation: an agent presents what a holder named, for one matter, until a date; withdrawn at once; both named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.signing import Algorithm, verify_compact
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, STRANGER, issued, problem, published_keys

PATH = "/registry/v1/delegations"
OCCASION = {"purpose": "代为办理食品经营许可", "matter": "food-permit"}


@pytest.fixture(scope="module")
def holder(service: Service) -> dict[str, str]:
    return service.person(PERSON)


@pytest.fixture(scope="module")
def agent(service: Service) -> dict[str, str]:
    return service.person(STRANGER)


def give(service: Service, holder: dict[str, str], *identifiers: str, **changes: Any) -> httpx.Response:
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    wanted = {"agent": STRANGER, "identifiers": identifiers, "matter": "food-permit", "valid_until": until}
    return service.http.post(PATH, json={**wanted, **changes}, headers=holder)


def present(
    service: Service, agent: dict[str, str], identifier: str, delegation: str, **more: Any
) -> httpx.Response:
    wanted = {**OCCASION, "identifier": identifier, "delegation": delegation, **more}
    return service.http.post("/registry/v1/presentations", json=wanted, headers=agent)


def check(service: Service, counter: System, code: str) -> httpx.Response:
    path = "/registry/v1/presentations/verify"
    return counter.call(service.http, "POST", path, {"code": code, "case": "2025-9"})


def test_an_agent_presents_and_the_log_names_both(
    service: Service, authority: System, counter: System, holder: dict[str, str], agent: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    given = give(service, holder, identifier)
    assert given.status_code == 201, given.text
    made = present(service, agent, identifier, given.json()["id"])
    assert made.status_code == 201, made.text
    seen = check(service, counter, made.json()["code"]).json()
    assert (seen["result"], seen["by_agent"]) == (0, True)
    records = [
        orjson.loads(content)
        for (content,) in service.sql(
            "SELECT content FROM license_registry.event WHERE identifier = %s ORDER BY recorded_at",
            identifier,
        )
    ]
    _issued, delegated, presented, verified = records
    assert [one["event"] for one in records[1:]] == ["delegated", "presented", "presentation-verified"]
    assert delegated["holder"] == presented["holder"] == verified["holder"] == delegated["subject"]
    assert delegated["agent"] == presented["agent"] == verified["agent"] == presented["subject"]
    assert delegated["holder"] != delegated["agent"]


def test_a_delegation_is_signed_and_visible_to_both(
    service: Service, authority: System, holder: dict[str, str], agent: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    given = give(service, holder, identifier).json()
    for headers, is_given in ((holder, True), (agent, False)):
        (first, *_older) = service.http.get(PATH, headers=headers).json()["delegations"]
        assert (first["id"], first["given"], first["identifiers"]) == (given["id"], is_given, [identifier])
    keys, allowed = published_keys(service), frozenset(Algorithm)
    claims = orjson.loads(verify_compact(given["statement"], keys, "licence-delegation+jwt", allowed).payload)
    assert (claims["act"], claims["licences"], claims["matter"]) == ("delegate", [identifier], "food-permit")
    assert STRANGER not in given["statement"]


def test_withdrawn_it_ends_at_once_for_codes_that_were_made_too(
    service: Service, authority: System, counter: System, holder: dict[str, str], agent: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    delegation = give(service, holder, identifier).json()["id"]
    code = present(service, agent, identifier, delegation).json()["code"]
    wanted = {**OCCASION, "identifier": identifier, "delegation": delegation}
    signed = service.http.post("/registry/v1/presentations/offline", json=wanted, headers=agent).json()[
        "code"
    ]
    assert problem(service.http.delete(f"{PATH}/{delegation}", headers=agent)) == (404, "not-found")
    assert service.http.delete(f"{PATH}/{delegation}", headers=holder).status_code == 204
    assert problem(service.http.delete(f"{PATH}/{delegation}", headers=holder)) == (404, "not-found")
    for text in (code, signed):
        assert problem(check(service, counter, text)) == (403, "delegation-invalid")
    assert problem(present(service, agent, identifier, delegation)) == (403, "delegation-invalid")
    (first, *_older) = service.http.get(PATH, headers=agent).json()["delegations"]
    assert first["withdrawn_at"] is not None
    assert first["withdrawal"] is not None


def test_a_delegation_allows_what_it_names_and_nothing_else(
    service: Service, authority: System, holder: dict[str, str], agent: dict[str, str]
) -> None:
    identifier, other = (issued(service, authority)["identifier"] for _ in range(2))
    delegation = give(service, holder, identifier).json()["id"]
    assert problem(present(service, agent, other, delegation)) == (403, "delegation-invalid")
    assert problem(present(service, agent, identifier, delegation, matter="other")) == (
        403,
        "delegation-invalid",
    )
    assert problem(present(service, holder, identifier, delegation)) == (404, "not-found")
    service.sql("UPDATE license_registry.delegation SET valid_until = now() WHERE id = %s", delegation)
    assert problem(present(service, agent, identifier, delegation)) == (403, "delegation-invalid")


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"agent": PERSON}, "/agent"),
        ({"agent": STRANGER[:-1] + ("0" if STRANGER[-1] != "0" else "1")}, "/agent"),
        ({"valid_until": "2020-01-01T00:00:00+00:00"}, "/valid_until"),
        ({"valid_until": "2199-01-01T00:00:00+00:00"}, "/valid_until"),
    ],
)
def test_a_delegation_that_does_not_fit_is_refused(
    service: Service, authority: System, holder: dict[str, str], changes: dict[str, str], answer: str
) -> None:
    reply = give(service, holder, issued(service, authority)["identifier"], **changes)
    assert problem(reply) == (403, "delegation-invalid")
    assert reply.json()["pointer"] == answer
    assert PERSON not in reply.text


def test_nobody_delegates_what_is_not_theirs(
    service: Service, authority: System, agent: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    assert problem(give(service, agent, identifier, agent=PERSON)) == (404, "not-found")
