"""Proofs not asked for: counted once each, by matter, department and month, and each traced to its records."""

from __future__ import annotations

from typing import Any

import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import MARKET, Service
from tests.exchange.plans.conftest import (
    PERSON,
    claims,
    grant,
    material,
    matter,
    planned,
    put_matter,
)
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register

PATH = "/exchange/v1/statistics/proofs-saved"
OTHER = "119901000000000001"


@pytest.fixture(scope="module", autouse=True)
def plans(service: Service, fund: System) -> None:
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department=OTHER)
    for code in ("first", "second"):
        put_matter(
            service.address,
            matter(
                code,
                material("identity", claims(name={"input": "name"})),
                material("marriage", claims(marital_status={"input": "marital_status"})),
                material("age", claims(birth_date="1980-01-01"), may_follow_days=5),
                material("form"),
                material("own", claims(birth_date="1980-02-29"), consent=True),
            ),
        )
        grant(service, fund.client_id, code)
    grant(service, other.client_id, "first")
    planned(service, fund, "first", case="1")
    planned(service, fund, "first", case="1")  # again: the same proofs
    planned(service, fund, "first", case="2", inputs={"name": "张三丰", "marital_status": "single"})
    planned(service, fund, "second", case="1", brought=["identity"])
    plan = planned(service, other, "first", case="1")
    (consent,) = {each["id"]: each for each in plan["materials"]}["own"]["consents"]
    person = service.person(PERSON)
    for step, method in (("request", "POST"), ("preview", "GET"), ("release", "POST")):
        path = f"/exchange/v1/me/consents/{consent}/{step}"
        assert service.http.request(method, path, headers=person).status_code == 200


def read(service: Service, system: System, path: str = PATH, **query: Any) -> dict[str, Any]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    reply = system.call(service.http, "GET", f"{path}?{text}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def bureau(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


def test_each_proof_counts_once(service: Service) -> None:
    found = read(service, bureau(service))
    assert found["by_department"] == {MARKET: 4, OTHER: 3}
    assert found["by_matter"] == {"first": 6, "second": 1}
    assert found["by_way"] == {"evidence": 6, "consent": 1}
    assert found["total"] == 7
    assert "计" in found["method"]


def test_a_department_sees_its_own(service: Service, fund: System) -> None:
    assert read(service, fund)["by_department"] == {MARKET: 4}
    assert read(service, fund, department=OTHER)["by_department"] == {MARKET: 4}
    assert read(service, bureau(service), department=OTHER)["total"] == 3


def test_each_number_is_traced_to_its_records(service: Service) -> None:
    for count in read(service, bureau(service))["counts"]:
        reply = bureau(service).call(service.http, "GET", f"/exchange{count['records']}")
        proofs = [each for each in reply.json()["proofs"] if each["settled_by"] == count["settled_by"]]
        assert len(proofs) == count["proofs"]
        for proof in proofs:
            assert proof["records"]
            for record in proof["records"]:
                assert service.sql("SELECT outcome FROM exchange.access_record WHERE id = %s", record) == [
                    ("answered",)
                ]
        assert PERSON not in reply.text


def test_pages_hold_every_proof_once(service: Service) -> None:
    seen: list[tuple[str, str]] = []
    after = ""
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        page = read(service, bureau(service), f"{PATH}/records", **query)
        seen += [(each["plan"], each["material"]) for each in page["proofs"]]
        if page["next"] is None:
            break
        after = page["next"].replace("+", "%2B")
    assert len(seen) == len(set(seen)) == 7


def test_months_are_those_of_china_and_a_month_alone_counts_the_same(service: Service, fund: System) -> None:
    service.sql(
        "UPDATE exchange.plan_material m SET settled_at = '2025-02-28T16:30:00Z' FROM exchange.plan p"
        " WHERE p.id = m.plan AND p.matter = 'second' AND m.settled_at IS NOT NULL"
    )
    found = read(service, fund)
    assert found["by_month"]["2025-03"] == 1
    assert read(service, fund, since="2025-03", until="2025-03")["total"] == 1
    assert read(service, fund, until="2025-02")["total"] == 0
    assert read(service, fund, since="2025-04")["total"] == 3


def test_a_page_that_cannot_be_read_is_refused(service: Service, fund: System) -> None:
    reply = fund.call(service.http, "GET", f"{PATH}/records?after=nowhere")
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:zhengtong:problem:cursor-malformed")
    assert fund.call(service.http, "GET", f"{PATH}?since=2025-13").status_code == 422
