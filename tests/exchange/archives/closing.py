"""A case that has everything: answers, a consent, a commitment, a code and a copy of a licence; and how it is closed."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx

from demonstration.parties import System
from foundation.civil import civil_date
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.plans.conftest import PERSON, claims, grant, material, matter, planned, put_matter
from tests.license_registry.conftest import issued
from tests.license_registry.disclosing.test_disclosing import grant as licence_grant

CODE = "tax-registration"
"""The matter that the grants of licences in other tests are for, too."""


def prepare(service: Service, fund: System) -> None:
    """Publish the matter, and give the department its grants for data and for licences."""
    put_matter(
        service.address,
        matter(
            CODE,
            material("identity", claims(name={"input": "name"})),
            material("age", claims(birth_date="1980-02-29"), consent=True),
            material("site", {"commitment": "opening-conditions-met"}),
            material("form"),
        ),
    )
    grant(service, fund.client_id, CODE)
    sharing = service.system("data-bureau", Role.SHARING_AUTHORITY)
    assert licence_grant(service, sharing, fund).status_code == 201


def carried_through(service: Service, fund: System, case: str) -> dict[str, Any]:
    """Bring a case to where it can be decided; return its plan."""
    plan = planned(service, fund, CODE, case=case)
    by_id = {each["id"]: each for each in plan["materials"]}
    person = service.person(PERSON)
    (consent,) = by_id["age"]["consents"]
    for method, step in (("POST", "request"), ("GET", "preview"), ("POST", "release")):
        done = service.http.request(method, f"/exchange/v1/me/consents/{consent}/{step}", headers=person)
        assert done.status_code == 200, done.text
    offered = service.http.get("/exchange/v1/me/commitments", headers=person).json()["offered"]
    offer = by_id["site"]["commitments"][0]["offer"]
    digest = next(each["text_sha256"] for each in offered if each["id"] == offer)
    signed = service.http.post(
        f"/exchange/v1/me/commitments/{offer}/signature", json={"text_sha256": digest}, headers=person
    )
    assert signed.status_code == 200, signed.text
    return plan


def licence_shown(service: Service, fund: System, case: str) -> str:
    """Let the applicant show a licence at the counter, and the department take a copy; return its identifier."""
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    identifier = str(issued(service, authority)["identifier"])
    occasion = {"purpose": "税务登记", "matter": CODE, "identifier": identifier}
    code = service.http.post(
        "/registry/v1/presentations", json=occasion, headers=service.person(PERSON)
    ).json()["code"]
    counter = service.system("counter", Role.COUNTER)
    seen = counter.call(
        service.http, "POST", "/registry/v1/presentations/verify", {"code": code, "case": case}
    )
    assert seen.status_code == 200, seen.text
    wanted = {"identifier": identifier, "matter": CODE, "case": case}
    copied = fund.call(service.http, "POST", "/registry/v1/department/copies", wanted)
    assert copied.status_code == 201, copied.text
    return identifier


def close(service: Service, fund: System, case: str, result: str = "granted") -> str:
    """Decide a case; return the id of the outcome."""
    name = str(uuid.uuid4())
    body = {
        "id": name,
        "matter": CODE,
        "result": result,
        "decided_on": civil_date(datetime.now(UTC)).isoformat(),
        "applicant": PERSON,
    }
    done = fund.call(service.http, "POST", f"/exchange/v1/cases/{case}/outcome", body)
    assert done.status_code == 200, done.text
    return name


def state(service: Service, fund: System, case: str) -> dict[str, Any]:
    reply = fund.call(service.http, "GET", f"/exchange/v1/cases/{case}/archive")
    assert reply.status_code == 200, reply.text
    (found,) = reply.json()["archives"]
    return dict(found)


def wait(service: Service, fund: System, case: str, for_state: str = "packed") -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (found := state(service, fund, case))["state"] != for_state:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def fetched(service: Service, system: System, case: str) -> httpx.Response:
    return system.call(service.http, "GET", f"/exchange/v1/cases/{case}/archive/package?matter={CODE}")


def retried(service: Service, system: System, case: str) -> httpx.Response:
    return system.call(service.http, "POST", f"/exchange/v1/cases/{case}/archive/retry?matter={CODE}")
