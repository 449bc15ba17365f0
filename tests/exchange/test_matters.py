"""Matters over HTTP, against a running house: who sees and writes what, publishing, decisions, reports."""

from __future__ import annotations

import asyncio
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from exchange.matters import tables
from foundation import database
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.matters.test_applying import matter
from tests.exchange.test_verification import last_record

PATH = "/exchange/v1/matters"
NUMBER = CitizenId.compute("990101", date(1980, 2, 29), 5).reveal()


@pytest.fixture(scope="module")
def steward(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


@pytest.fixture(scope="module")
def market(service: Service) -> System:
    return service.system("market", Role.DEPARTMENT_SYSTEM)


def described(code: str, *materials: str, version: int = 1, **changes: Any) -> dict[str, Any]:
    return {**matter(*materials), "code": code, "version": version, "title": f"事项{code}", **changes}


def put(service: Service, system: System, document: dict[str, Any]) -> httpx.Response:
    return system.call(
        service.http, "PUT", f"{PATH}/{document['code']}/versions/{document['version']}", document
    )


def publish(service: Service, system: System, code: str, version: int = 1) -> httpx.Response:
    return system.call(service.http, "PUT", f"{PATH}/{code}/versions/{version}/publication")


def problem(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].rpartition(":")[2]


def test_a_draft_is_written_published_shown_and_retired(
    service: Service, steward: System, market: System
) -> None:
    document = described("w-1", "身份证")
    assert put(service, market, document).json()["state"] == "draft"
    assert put(service, market, document).status_code == 200
    assert service.http.get(f"{PATH}/w-1").status_code == 404
    assert problem(publish(service, market, "w-1")) == (403, "role-missing")
    assert publish(service, steward, "w-1").json()["state"] == "published"
    assert publish(service, steward, "w-1").json()["state"] == "published"
    assert last_record(service)["event"] == "matter-published"
    assert service.http.get(f"{PATH}/w-1").json() == document
    assert problem(put(service, market, document)) == (409, "matter-version-stands")
    assert problem(put(service, market, described("w-1", version=3))) == (409, "matter-version-stands")
    assert put(service, market, described("w-1", version=2, title="新")).status_code == 200
    assert publish(service, steward, "w-1", 2).status_code == 200
    versions = market.call(service.http, "GET", f"{PATH}/w-1/versions").json()["versions"]
    assert [(each["version"], each["state"]) for each in versions] == [(2, "published"), (1, "retired")]
    assert problem(publish(service, steward, "w-1", 1)) == (404, "not-found")
    for _turn in range(2):
        assert steward.call(service.http, "DELETE", f"{PATH}/w-1/publication").status_code == 204
    assert service.http.get(f"{PATH}/w-1").status_code == 404
    assert problem(steward.call(service.http, "DELETE", f"{PATH}/w-none/publication")) == (404, "not-found")


def test_a_department_writes_its_own_matters_only(service: Service, steward: System, market: System) -> None:
    tax = service.system("tax", Role.DEPARTMENT_SYSTEM, department="11990100MB2B000031")
    assert problem(put(service, tax, described("x-1"))) == (403, "matter-of-another-department")
    assert put(service, market, described("x-1")).status_code == 200
    taken = described("x-1", department="11990100MB2B000031")
    assert problem(put(service, tax, taken)) == (403, "matter-of-another-department")
    assert problem(tax.call(service.http, "GET", f"{PATH}/x-1/versions")) == (404, "not-found")
    assert tax.call(service.http, "GET", f"{PATH}/drafts").json() == {"matters": [], "next": None}
    drafts = steward.call(service.http, "GET", f"{PATH}/drafts?words=x-1").json()["matters"]
    assert [(each["code"], each["state"]) for each in drafts] == [("x-1", "draft")]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "other"}, "/code"),
        ({"title": ""}, "/title"),
        ({"title": f"张三 {NUMBER}"}, "/title"),
        ({"conditions": 7}, "/conditions"),
        ({"title": "a\0b"}, "/title"),
        ({"title": "\ud800"}, ""),
        ({"source": {"row": 10**30}}, ""),
        ({"source": {"a": json.loads("[" * 300 + "]" * 300)}}, ""),
    ],
)
def test_a_bad_description_is_told_with_its_place(
    service: Service, market: System, changes: dict[str, Any], pointer: str
) -> None:
    headers = {
        "Authorization": f"Bearer {market.token(service.http, 'urn:zhengtong:exchange')}",
        "Content-Type": "application/json",
    }
    body = json.dumps(described("y-1") | changes)
    reply = service.http.put(f"{PATH}/y-1/versions/1", content=body, headers=headers)
    assert problem(reply) == (422, "matter-malformed")
    assert reply.json()["pointer"] == pointer
    assert NUMBER not in reply.text


def test_matters_that_need_each_other_are_refused_with_the_way_round(
    service: Service, steward: System, market: System
) -> None:
    for code, needed in (("l-1", ["l-2"]), ("l-2", ["l-3"]), ("l-3", ["l-1"])):
        assert put(service, market, described(code, needs_outcome_of=needed)).status_code == 200
    assert publish(service, steward, "l-1").status_code == 200
    assert publish(service, steward, "l-2").status_code == 200
    reply = publish(service, steward, "l-3")
    assert problem(reply) == (409, "matter-loop")
    assert "l-3 → l-1 → l-2 → l-3" in reply.json()["detail"]
    assert service.http.get(f"{PATH}/l-3").status_code == 404


def test_two_that_close_a_circle_at_the_same_moment_are_not_both_published(
    service: Service, steward: System, market: System
) -> None:
    for turn in range(3):
        one, other = f"t-{turn}-a", f"t-{turn}-b"
        put(service, market, described(one, needs_outcome_of=[other]))
        put(service, market, described(other, needs_outcome_of=[one]))
        with ThreadPoolExecutor(2) as threads:
            replies = threads.map(lambda code: publish(service, steward, code).status_code, (one, other))
        assert sorted(replies) == [200, 409]


def test_titles_are_searched_and_pages_follow_each_other(
    service: Service, steward: System, market: System
) -> None:
    for number in range(5):
        put(service, market, described(f"p-{number}", title=f"公积金提取Ａ{number}%"))
        publish(service, steward, f"p-{number}")
    found = []
    asked: dict[str, Any] = {"words": "公积金提取ａ", "limit": 2}
    while True:
        page = service.http.get(PATH, params=asked).json()
        found += [each["code"] for each in page["matters"]]
        if page["next"] is None:
            break
        asked["after"] = page["next"]
    assert found == [f"p-{number}" for number in range(5)]
    assert service.http.get(PATH, params={"words": "%"}).json()["matters"] != []
    assert service.http.get(PATH, params={"words": "_"}).json()["matters"] == []
    assert service.http.get(PATH, params={"words": "P-3"}).json()["matters"][0]["code"] == "p-3"
    assert service.http.get(PATH, params={"department": "nobody"}).json()["matters"] == []
    for bad in ({"words": "a\0b"}, {"after": "\0"}, {"limit": 0}, {"words": ""}):
        assert problem(service.http.get(PATH, params=bad)) == (422, "invalid-request")
    assert problem(service.http.get(f"{PATH}/a%00b")) == (422, "invalid-request")


def test_a_steward_decides_for_all_matters(service: Service, steward: System, market: System) -> None:
    put(service, market, described("c-1", "护士执业证书"))
    put(service, market, described("c-2", "护士执业证书或护照"))
    publish(service, steward, "c-1")
    word = {"name": "护士执业证书（复印件）", "decision": "confirmed"}
    assert problem(steward.call(service.http, "PUT", f"{PATH}/candidates", word)) == (
        409,
        "material-without-candidate",
    )
    assert problem(
        steward.call(service.http, "PUT", f"{PATH}/candidates", {**word, "evidence_type": "nurse"})
    ) == (422, "evidence-type-unknown")
    several = {**word, "name": "身份证或护照"}
    assert problem(steward.call(service.http, "PUT", f"{PATH}/candidates", several)) == (
        422,
        "material-name-malformed",
    )
    assert problem(market.call(service.http, "PUT", f"{PATH}/candidates", word)) == (403, "role-missing")
    word |= {"evidence_type": "physician"}
    done = steward.call(service.http, "PUT", f"{PATH}/candidates", word).json()
    assert (done["changed_drafts"], done["new_drafts"]) == (2, 1)
    assert last_record(service)["details"]["name"] == "护士执业证书"
    again = steward.call(service.http, "PUT", f"{PATH}/candidates", word).json()
    assert again["changed_drafts"] == 0
    other = {**word, "evidence_type": "teacher"}
    assert problem(steward.call(service.http, "PUT", f"{PATH}/candidates", other)) == (
        409,
        "material-confirmed-otherwise",
    )
    # What is published stays until the new draft is.
    assert "evidence" not in service.http.get(f"{PATH}/c-1").json()["materials"][0]
    assert publish(service, steward, "c-1", 2).status_code == 200
    evidence = service.http.get(f"{PATH}/c-1").json()["materials"][0]["evidence"]
    assert evidence == {"licence": {"type": "practising-physician", "subject": "applicant"}}
    settled = steward.call(service.http, "GET", f"{PATH}/settled-already").json()["materials"]
    assert [(each["matter"], each["evidence"]) for each in settled] == [
        ("c-1", ["licence.practising-physician"])
    ]


def test_candidates_and_report(service: Service, steward: System, market: System) -> None:
    put(service, market, described("r-1", "结婚证", "申请表", "教材"))
    reply = steward.call(service.http, "GET", f"{PATH}/candidates?limit=500").json()
    (found,) = [each for each in reply["candidates"] if each["name"] == "结婚证"]
    assert (found["evidence_type"], found["sureness"], found["matters"]) == ("marriage", "exact", 1)
    report = market.call(service.http, "GET", f"{PATH}/report").json()
    standing = report["papers"]["standing"]
    assert report["papers"]["total"] == sum(each["count"] for each in standing.values())
    assert abs(sum(each["percent"] for each in standing.values()) - 100) < 1
    assert report["by_evidence"]["marriage"] == {"candidate": 1}
    # The description's own department, not the caller's: a department's system sees its own.
    tax = service.system("tax", Role.DEPARTMENT_SYSTEM, department="11990100MB2B000031")
    assert tax.call(service.http, "GET", f"{PATH}/report").json()["matters"] == 0
    assert market.call(service.http, "GET", f"{PATH}/report?department=x").json()["matters"] > 0
    kinds = service.http.get(f"{PATH}/evidence-types").json()["evidence_types"]
    assert {"id", "title", "names", "evidence"} <= kinds[0].keys()


def test_plans_give_the_numbers_of_what_is_settled_already(service: Service) -> None:
    async def planned() -> Any:
        async with database.pool(service.address, 1) as pool, pool.acquire() as connection:
            return await tables.planned(connection)

    if service.sql("SELECT to_regclass('exchange.plan_material')::text") == [(None,)]:
        assert asyncio.run(planned()) is None
        return
    for number, settled_by in enumerate(("evidence", "consent", "commitment", None)):
        plan = uuid.uuid4()
        service.sql(
            "INSERT INTO exchange.plan (id, client_id, key, request, department, matter, matter_version, case_ref,"
            " applicant, made_at, sealed) VALUES (%s, 'c', %s, '', 'd', 'n-1', 1, 'case', '', now(), '')",
            plan,
            f"k{number}",
        )
        service.sql(
            "INSERT INTO exchange.plan_material (plan, material, required, state, reasons, records, settled_by,"
            " settled_at) VALUES (%s, 'm1', true, 'x', '{}', '{}', %s, CASE WHEN %s THEN now() END)",
            plan,
            settled_by,
            settled_by is not None,
        )
    assert asyncio.run(planned())[("n-1", "m1")] == (4, 2)
