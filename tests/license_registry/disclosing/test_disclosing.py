"""What is shown without a code: yes or no by number and name, files, what a grant allows, dossiers."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import HOLDER, PERSON, STRANGER, issued, operate, problem

NAME = "示范市东湖茶业有限公司"
ROOT = "/registry/v1"


@pytest.fixture(scope="module")
def department(service: Service) -> System:
    return service.system("tax-office", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module")
def sharing(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


def ask(service: Service, system: System, number: str, name: str = NAME) -> httpx.Response:
    wanted = {"licence_type": "business-licence", "number": number, "holder_name": name}
    return system.call(service.http, "POST", f"{ROOT}/number-checks", wanted)


def test_number_and_name_together_tell_valid_and_the_type_and_nothing_else(
    service: Service, authority: System
) -> None:
    asking = service.system("asking", Role.COUNTER)
    made = issued(service, authority)
    for name in (NAME, f" {NAME} "):
        reply = ask(service, asking, made["number"], name)
        assert reply.json() == {
            "result": 0,
            "result_name": "有效 · valid",
            "valid": True,
            "licence_type": "business-licence",
            "licence_name": "营业执照 · Business licence",
        }
    wrong = ask(service, asking, made["number"], "别的公司")
    missing = ask(service, asking, "NONE000001")
    assert wrong.json() == missing.json()
    assert (wrong.json()["result"], wrong.json()["licence_type"]) == (6, None)


@pytest.mark.parametrize(
    ("operation", "target", "result"), [("03", None, 2), ("05", "07", 3), ("05", "04", 3), ("04", None, 3)]
)
def test_the_result_is_that_of_the_state(
    service: Service, authority: System, operation: str, target: str | None, result: int
) -> None:
    made = issued(service, authority)
    assert operate(service, authority, made["identifier"], operation, target).status_code == 200
    reply = ask(service, service.system("asking", Role.COUNTER), made["number"]).json()
    assert (reply["result"], reply["valid"]) == (result, False)


def test_numbers_cannot_be_tried_out_by_many_requests_at_once(service: Service, authority: System) -> None:
    guessing = service.system("guessing", Role.DEPARTMENT_SYSTEM)
    guessing.token(service.http, "urn:zhengtong:license-registry")
    allowed = service.settings.wrong_numbers_per_hour
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: ask(service, guessing, f"GUESS{n:06d}"), range(40)))
    assert sorted(reply.status_code for reply in replies) == [200] * allowed + [429] * (40 - allowed)
    made = issued(service, authority)
    refused = ask(service, guessing, made["number"])
    assert problem(refused) == (429, "too-many-tries")
    assert refused.headers["retry-after"] == "3600"
    assert ask(service, service.system("other", Role.COUNTER), made["number"]).json()["valid"]


def test_one_number_is_not_tried_out_with_many_names_by_many_callers(
    service: Service, authority: System
) -> None:
    number = issued(service, authority)["number"]
    allowed = service.settings.wrong_numbers_per_hour
    for n in range(allowed):
        caller = service.system(f"caller-{n % 3}", Role.COUNTER)
        assert ask(service, caller, number, f"公司{n}").status_code == 200
    assert problem(ask(service, service.system("caller-4", Role.COUNTER), number)) == (429, "too-many-tries")


def test_a_file_is_verified_with_the_state_of_this_moment(
    service: Service, authority: System, counter: System
) -> None:
    person = service.person(PERSON)
    identifier = issued(service, authority)["identifier"]
    text = service.http.get(f"{ROOT}/me/licences/{identifier}/credential", headers=person).text
    wanted = {"identifier": identifier, "purpose": "备查", "matter": "m-1", "picture": True}
    code = service.http.post(f"{ROOT}/presentations/offline", json=wanted, headers=person).json()
    token = counter.token(service.http, "urn:zhengtong:license-registry")

    def upload(data: bytes) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        return service.http.post(f"{ROOT}/file-verifications?case=2025-1", content=data, headers=headers)

    found = upload(text.encode()).json()
    assert (found["result"], found["kind"]) == (0, "credential")
    assert found["checks"]["status"] is True
    assert found["checks"]["certificate"] is True
    picture = base64.b64decode(code["picture"].split(",")[1])
    assert upload(picture).json()["kind"] == "offline-code"
    assert operate(service, authority, identifier, "05", "07").status_code == 200
    service.http.get("/registry/v1/status-lists/0")
    import time

    time.sleep(1.1)  # a list is kept for a second
    assert upload(text.encode()).json()["result"] == 3
    swapped = text.replace("~", "~AAAA~", 1)
    assert upload(swapped.encode()).json()["checks"] == {"signature": False}
    assert problem(upload(b"hello")) == (422, "file-unreadable")
    assert problem(upload(b"\x89PNG\r\n\x1a\nhello")) == (422, "picture-unreadable")


def grant(service: Service, sharing: System, department: System, **changes: Any) -> httpx.Response:
    now = datetime.now(UTC)
    wanted = {
        "client_id": department.client_id,
        "licence_type": "business-licence",
        "fields": ["representative_name"],
        "matters": ["tax-registration"],
        "purpose": "税务登记核验",
        "legal_basis": "税收征收管理法第十五条",
        "valid_from": (now - timedelta(minutes=1)).isoformat(),
        "valid_until": (now + timedelta(days=1)).isoformat(),
        **changes,
    }
    return sharing.call(service.http, "POST", f"{ROOT}/disclosure-grants", wanted)


def see(
    service: Service, department: System, identifier: str, matter: str = "tax-registration"
) -> httpx.Response:
    wanted = {"identifier": identifier, "matter": matter, "case": "2025-77"}
    return department.call(service.http, "POST", f"{ROOT}/department/verifications", wanted)


def test_a_department_sees_what_its_grant_allows_and_it_is_in_the_log(
    service: Service, authority: System, sharing: System, department: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    assert problem(see(service, department, identifier)) == (403, "disclosure-not-granted")
    given = grant(service, sharing, department)
    assert given.status_code == 201, given.text
    seen = see(service, department, identifier).json()
    assert seen["result"] == 0
    assert seen["fields"]["representative_name"] == "张三丰"
    assert set(seen["fields"]) == {
        "representative_name",
        "licence_identifier",
        "licence_name",
        "licence_number",
        "issuer_code",
        "valid_from",
        "valid_until",
    }
    (content,) = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier = %s AND kind = 'seen-by-grant'",
        identifier,
    )[0]
    record = orjson.loads(content)
    assert (record["purpose"], record["matter"], record["case"]) == (
        "税务登记核验",
        "tax-registration",
        "2025-77",
    )
    assert record["grant"] == given.json()["id"]
    assert problem(see(service, department, identifier, "other")) == (403, "disclosure-not-granted")
    missing = identifier[:-1] + ("0" if identifier[-1] != "0" else "1")
    assert problem(see(service, department, missing)) == (404, "not-found")
    assert operate(service, authority, identifier, "03").status_code == 200
    assert see(service, department, identifier).json()["result"] == 2
    path = f"{ROOT}/disclosure-grants/{given.json()['id']}"
    assert sharing.call(service.http, "DELETE", path).status_code == 204
    assert problem(see(service, department, identifier)) == (403, "disclosure-not-granted")


def test_a_dossier_holds_what_grants_cover_and_the_holder_s_own_all(
    service: Service, authority: System, sharing: System
) -> None:
    asking = service.system("statistics", Role.DEPARTMENT_SYSTEM)
    identifier = issued(service, authority)["identifier"]
    wanted = {"holder_code": HOLDER, "matter": "tax-registration", "case": "2025-78"}

    def dossier(**changes: str) -> httpx.Response:
        return asking.call(service.http, "POST", f"{ROOT}/department/dossiers", {**wanted, **changes})

    assert problem(dossier()) == (403, "disclosure-not-granted")
    # A grant for another type covers the matter, but not this licence.
    assert grant(service, sharing, asking, licence_type="food-permit", fields=[]).status_code == 201
    assert dossier().json() == {"licences": []}
    assert grant(service, sharing, asking).status_code == 201
    assert identifier in {one["identifier"] for one in dossier().json()["licences"]}
    assert dossier(holder_code=STRANGER).json() == {"licences": []}
    assert problem(dossier(holder_code="1" * 18)) == (422, "holder-invalid")
    own = service.http.get(f"{ROOT}/me/dossier", headers=service.person(PERSON)).json()
    assert own["held"] == []
    assert identifier in {one["identifier"] for one in own["represented"]}


def test_a_grant_for_a_field_that_is_not_there_is_refused(
    service: Service, sharing: System, department: System
) -> None:
    reply = grant(service, sharing, department, fields=["shoe_size"])
    assert problem(reply) == (403, "disclosure-not-granted")
    assert problem(grant(service, department, department)) == (403, "role-missing")
