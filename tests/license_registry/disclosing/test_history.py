"""Ended licences and earlier versions are shown to departments only where their grant covers history."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.signing import Algorithm, verify_compact
from tests.conftest import Service
from tests.license_registry.conftest import HOLDER, issued, operate, problem, published_keys
from tests.license_registry.disclosing.test_disclosing import ROOT, grant, see

MATTER, CASE = "tax-registration", "2025-79"
FIELDS = ["holder_name", "address"]


@pytest.fixture(scope="module")
def sharing(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


@pytest.fixture(scope="module")
def of_now(service: Service, sharing: System) -> System:
    system = service.system("of-now", Role.DEPARTMENT_SYSTEM)
    given = grant(service, sharing, system, fields=FIELDS)
    assert (given.status_code, given.json()["history"]) == (201, False)
    return system


@pytest.fixture(scope="module")
def of_before(service: Service, sharing: System) -> System:
    system = service.system("of-before", Role.DEPARTMENT_SYSTEM)
    given = grant(service, sharing, system, fields=FIELDS, history=True)
    assert (given.status_code, given.json()["history"]) == (201, True)
    # What has more fields, but no history, does not stand in its way.
    more = [*FIELDS, "representative_name"]
    assert grant(service, sharing, system, fields=more).status_code == 201
    return system


@pytest.fixture(scope="module")
def chain(service: Service, authority: System) -> dict[str, str]:
    """A licence that was changed, one that was suspended, and one that was cancelled."""
    first = issued(service, authority)["identifier"]
    wanted = {"operation": "09", "reason": "依申请办理", "fields": {"holder_name": "示范市东湖茶业集团"}}
    changed = authority.call(service.http, "POST", f"{ROOT}/licences/{first}/versions", wanted)
    assert changed.status_code == 201, changed.text
    suspended, cancelled = (issued(service, authority)["identifier"] for _ in range(2))
    assert operate(service, authority, suspended, "03").is_success
    assert operate(service, authority, cancelled, "05", "04").is_success
    return {
        "first": first,
        "second": changed.json()["identifier"],
        "suspended": suspended,
        "cancelled": cancelled,
    }


def dossier(service: Service, system: System) -> set[str]:
    wanted = {"holder_code": HOLDER, "matter": MATTER, "case": CASE}
    reply = system.call(service.http, "POST", f"{ROOT}/department/dossiers", wanted)
    assert reply.status_code == 200, reply.text
    return {each["identifier"] for each in reply.json()["licences"]}


def by_short_names(service: Service, system: System) -> set[str]:
    wanted = {"CZZTDM": HOLDER, "matter": MATTER, "case": CASE, "use_cause": "办理税务登记"}
    reply = system.call(service.http, "POST", f"{ROOT}/sharing/data-by-holder", wanted)
    assert reply.status_code == 200, reply.text
    return {each["ZZBS"] for each in reply.json()["licences"]}


def look_back(service: Service, system: System, identifier: str, matter: str = MATTER) -> httpx.Response:
    wanted = {"identifier": identifier, "matter": matter, "case": CASE}
    return system.call(service.http, "POST", f"{ROOT}/department/histories", wanted)


def records(service: Service, identifier: str) -> list[dict[str, Any]]:
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier = %s AND kind = 'history-seen'"
        " ORDER BY recorded_at",
        identifier,
    )
    return [orjson.loads(content) for (content,) in rows]


def test_a_dossier_holds_what_ended_only_where_the_grant_covers_history(
    service: Service, of_now: System, of_before: System, chain: dict[str, str]
) -> None:
    now, all_ = {chain["second"], chain["suspended"]}, set(chain.values())
    assert dossier(service, of_now) == by_short_names(service, of_now) == now
    assert dossier(service, of_before) == by_short_names(service, of_before) == all_
    # What somebody has in hand is told to be void, with or without history.
    assert see(service, of_now, chain["cancelled"]).json()["result"] == 3


def test_the_history_of_a_licence_is_told_by_any_of_its_versions_and_recorded(
    service: Service, of_before: System, chain: dict[str, str]
) -> None:
    keys = published_keys(service)
    told = [look_back(service, of_before, chain[which]).json() for which in ("first", "second")]
    assert told[0] == told[1]
    assert [each["identifier"] for each in told[0]["versions"]] == [chain["first"], chain["second"]]
    assert [each["state"] for each in told[0]["versions"]] == ["05", "01"]
    assert told[0]["versions"][0]["replaced_by"] == chain["second"]
    (change,) = told[0]["changes"]
    assert (change["operation"], change["state_before"], change["state_after"]) == ("09", "01", "05")
    said = orjson.loads(
        verify_compact(change["statement"], keys, "licence-change+jwt", frozenset({Algorithm.ES256})).payload
    )
    assert said["licence_identifier"] == chain["first"]
    assert told[0]["purpose"] == "税务登记核验"
    (record,) = records(service, chain["first"])
    assert record["licences"] == [chain["first"], chain["second"]]
    assert (record["grant"], record["matter"], record["case"]) == (told[0]["grant"], MATTER, CASE)
    # What an earlier version said is seen by its identifier.
    assert see(service, of_before, chain["first"]).json()["fields"]["holder_name"] == "示范市东湖茶业有限公司"


def test_without_a_grant_for_history_nothing_is_told(
    service: Service, sharing: System, of_now: System, of_before: System, chain: dict[str, str]
) -> None:
    for system, matter in ((of_now, MATTER), (of_before, "another-matter")):
        for identifier in (chain["second"], chain["second"][:-1] + "?"):
            wrong = identifier.replace("?", "0" if chain["second"][-1] != "0" else "1")
            assert problem(look_back(service, system, wrong, matter)) == (403, "disclosure-not-granted")
    # A grant that covers history of another type: there is no such licence.
    other = service.system("of-food", Role.DEPARTMENT_SYSTEM)
    given = grant(service, sharing, other, licence_type="food-permit", fields=[], history=True)
    assert problem(look_back(service, other, chain["second"])) == (404, "not-found")
    missing = look_back(service, of_before, "1.2.156.3005.2.NONE.NONE.1.001.0")
    assert problem(missing) == (404, "not-found")
    assert missing.json()["title"] == look_back(service, other, chain["second"]).json()["title"]
    path = f"{ROOT}/disclosure-grants/{given.json()['id']}"
    assert sharing.call(service.http, "DELETE", path).status_code == 204
    assert problem(look_back(service, other, chain["second"])) == (403, "disclosure-not-granted")
