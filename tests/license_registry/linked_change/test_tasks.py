"""Tasks over HTTP: an authority sees its own, one system takes one, and how it came out is checked."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import HOLDER, PERSON, issued, operate, problem

PATH = "/registry/v1/tasks"


@pytest.fixture(scope="module")
def second(service: Service) -> System:
    return service.system("market-second", Role.ISSUING_AUTHORITY)


def raised(service: Service, identifier: str, cause: str = "address", department: str = MARKET) -> str:
    task = str(uuid.uuid4())
    service.sql(
        "INSERT INTO license_registry.task (id, identifier, issuer, cause, reaction, register_version, raised_at)"
        " VALUES (%s, %s, %s, %s, 'change', 2, now())",
        task,
        identifier,
        department,
        cause,
    )
    return task


def done(
    service: Service, system: System, task: str, outcome: str, note: str | None = None
) -> httpx.Response:
    return system.call(service.http, "POST", f"{PATH}/{task}/done", {"outcome": outcome, "note": note})


def listed(service: Service, system: System, state: str) -> list[str]:
    reply: dict[str, Any] = system.call(service.http, "GET", f"{PATH}?state={state}&limit=1000").json()
    return [each["id"] for each in reply["tasks"]]


def test_one_system_takes_a_task_and_only_of_its_authority(
    service: Service, authority: System, second: System
) -> None:
    task = raised(service, issued(service, authority)["identifier"])
    other = service.system("other", Role.ISSUING_AUTHORITY, department=str(Uscc.compute("11990100MB2A00003")))
    assert task in listed(service, authority, "open")
    assert listed(service, other, "open") == []
    assert problem(other.call(service.http, "POST", f"{PATH}/{task}/claim")) == (404, "not-found")
    claimed = authority.call(service.http, "POST", f"{PATH}/{task}/claim").json()
    assert claimed["claimed_by"] == authority.client_id
    assert authority.call(service.http, "POST", f"{PATH}/{task}/claim").json() == claimed
    assert problem(second.call(service.http, "POST", f"{PATH}/{task}/claim")) == (409, "task-claimed")
    assert problem(done(service, second, task, "unneeded", "无需变更")) == (409, "task-claimed")
    assert task in listed(service, authority, "claimed")
    assert task not in listed(service, authority, "open")
    counter = service.system("counter", Role.COUNTER)
    assert problem(counter.call(service.http, "GET", PATH)) == (403, "role-missing")


def test_an_outcome_that_is_not_so_is_refused(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    task, other = raised(service, made), raised(service, made, "name")
    for outcome in ("changed", "ended", "unneeded"):
        assert problem(done(service, authority, task, outcome)) == (409, "task-outcome-not-so")
    assert problem(done(service, authority, task, "unneeded", f"见 {PERSON}")) == (422, "invalid-request")
    change = {"operation": "09", "reason": "联动变更", "fields": {"address": "示范市新区一号"}}
    path = f"/registry/v1/licences/{made}/versions"
    assert authority.call(service.http, "POST", path, change).status_code == 201
    assert problem(done(service, authority, task, "ended")) == (409, "task-outcome-not-so")
    assert done(service, authority, task, "changed").json()["outcome"] == "changed"
    assert problem(done(service, authority, task, "changed")) == (409, "task-done")
    assert problem(authority.call(service.http, "POST", f"{PATH}/{task}/claim")) == (409, "task-done")
    # One change may settle several.
    assert done(service, authority, other, "changed").status_code == 200
    assert {task, other} <= set(listed(service, authority, "done"))


def test_a_licence_that_ended_settles_its_task_and_the_ledger_knows(
    service: Service, authority: System
) -> None:
    made = issued(service, authority)["identifier"]
    task = raised(service, made, "struck_off")
    assert operate(service, authority, made, "05", "04").status_code == 200
    told = done(service, authority, task, "ended", "主体已注销").json()
    assert (told["outcome"], told["note"], told["claimed_by"]) == (
        "ended",
        "主体已注销",
        authority.client_id,
    )
    ((kinds,),) = service.sql(
        "SELECT array_agg(kind ORDER BY recorded_at) FROM license_registry.event WHERE identifier = %s", made
    )
    assert kinds == ["issued", "state-changed", "task-done"]
    assert problem(done(service, authority, str(uuid.uuid4()), "ended")) == (404, "not-found")


def test_only_the_operator_tells_of_mergers(service: Service, authority: System) -> None:
    survivor = str(Uscc.compute("91990101MA0000077"))
    gone = str(Uscc.compute("91990101MA0000078"))
    body = {
        "holder_code_type": "001",
        "holder_code": gone,
        "survivor_code": survivor,
        "reason": "吸收合并",
    }
    path = "/registry/v1/holder-mergers"
    assert problem(authority.call(service.http, "POST", path, body)) == (403, "role-missing")
    operator = service.system("operator", Role.OPERATOR)
    for wrong in ({"holder_code": survivor}, {"holder_code": HOLDER[:-1] + "0"}):
        reply = operator.call(service.http, "POST", path, body | wrong)
        assert problem(reply) == (422, "holder-invalid")
    reply = operator.call(service.http, "POST", path, body)
    assert (reply.status_code, reply.json()) == (201, {"tasks": 0})
    assert problem(operator.call(service.http, "POST", path, body)) == (409, "holder-merged-already")
