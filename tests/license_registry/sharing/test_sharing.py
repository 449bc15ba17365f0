"""Licence interfaces over a running house: short names and results 0 to 6, by the same grants, codes and records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import HOLDER, PERSON, STRANGER, issued, operate, problem
from tests.license_registry.disclosing.test_disclosing import grant

ROOT = "/registry/v1/sharing"
USE = {"use_cause": "办理税务登记", "matter": "tax-registration", "case": "2025-77"}
TYPE_CODE = "11100000MB0143028R001"


@pytest.fixture(scope="module")
def department(service: Service) -> System:
    system = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    sharing = service.system("data-bureau", Role.SHARING_AUTHORITY)
    fields = ["holder_name", "representative_name", "address"]
    assert grant(service, sharing, system, fields=fields).status_code == 201
    return system


@pytest.fixture(scope="module")
def made(service: Service, authority: System) -> dict[str, Any]:
    return issued(service, authority, issuer_name="示范市市场监督管理局")


def call(service: Service, system: System, path: str, **changes: Any) -> httpx.Response:
    return system.call(service.http, "POST", f"{ROOT}/{path}", {**USE, **changes})


def records(service: Service, kind: str, identifier: str | None) -> list[dict[str, Any]]:
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier IS NOT DISTINCT FROM %s AND kind = %s"
        " ORDER BY recorded_at",
        identifier,
        kind,
    )
    return [orjson.loads(content) for (content,) in rows]


def another(identifier: str) -> str:
    return identifier[:-1] + ("0" if identifier[-1] != "0" else "1")


def test_data_by_identifier_are_those_of_the_grant_under_short_names(
    service: Service, department: System, made: dict[str, Any]
) -> None:
    reply = call(service, department, "data-by-identifier", ZZBS=made["identifier"])
    told = reply.json()
    assert (told["result"], told["result_name"], told["valid"]) == (0, "有效 · valid", True)
    assert (told["state"], told["purpose"]) == ("01", "税务登记核验")
    assert told["data"] == {
        "ZZMC": "营业执照",
        "ZZLXDM": TYPE_CODE,
        "ZZBH": made["number"],
        "ZZBS": made["identifier"],
        "ZZBFJG": "示范市市场监督管理局",
        "ZZBFJGDM": MARKET,
        "ZZBFRQ": made["issued_on"],
        "ZZYXQQSRQ": "2020-01-01",
        "ZZYXQJZRQ": "2099-12-31",
        "CZZT": ["示范市东湖茶业有限公司"],
        "CZZTDMLX": "统一社会信用代码",
        "CZZTDMLXDM": "001",
        "KZ_representative_name": "张三丰",
    }
    record = records(service, "seen-by-grant", made["identifier"])[-1]
    assert (record["use_cause"], record["matter"], record["case"]) == tuple(USE.values())
    assert (record["grant"], record["fields"]) == (told["grant"], ["holder_name", "representative_name"])


def test_without_grant_cause_or_case_nothing_is_told(
    service: Service, department: System, made: dict[str, Any]
) -> None:
    other = service.system("other-office", Role.DEPARTMENT_SYSTEM)
    wanted: dict[str, dict[str, Any]] = {
        "data-by-holder": {"CZZTDM": HOLDER},
        "data-by-identifier": {"ZZBS": made["identifier"]},
        "files": {"ZZBS": made["identifier"]},
        "data-verifications": {"ZZBS": made["identifier"], "data": {"ZZBH": made["number"]}},
    }
    for path, body in wanted.items():
        assert problem(call(service, other, path, **body)) == (403, "disclosure-not-granted")
        refused = call(service, department, path, **body, matter="other")
        assert problem(refused) == (403, "disclosure-not-granted")
        without = {name: value for name, value in {**USE, **body}.items() if name != "use_cause"}
        refused = department.call(service.http, "POST", f"{ROOT}/{path}", without)
        assert problem(refused) == (422, "invalid-request")
        refused = call(service, department, path, **body, use_cause=f"查 {PERSON}")
        assert problem(refused) == (422, "invalid-request")
        assert PERSON not in refused.text
    counter = service.system("no-department", Role.COUNTER)
    assert problem(call(service, counter, "files", ZZBS=made["identifier"])) == (403, "role-missing")
    missing = call(service, department, "data-by-identifier", ZZBS=another(made["identifier"]))
    assert problem(missing) == (404, "not-found")


def test_data_by_holder_are_those_of_licences_that_grants_cover_and_nothing_of_the_holder(
    service: Service, department: System, made: dict[str, Any]
) -> None:
    found = call(service, department, "data-by-holder", CZZTDM=HOLDER, ZZLXDM=TYPE_CODE).json()["licences"]
    mine = next(each for each in found if each["ZZBS"] == made["identifier"])
    assert (mine["state"], mine["ZZBH"], mine["ZZLXDM"]) == ("01", made["number"], TYPE_CODE)
    assert [name for name in mine if name in {"CZZT", "CZZTDM"} or name.startswith("KZ_")] == []
    record = records(service, "dossier-seen", None)[-1]
    assert record["use_cause"] == USE["use_cause"]
    assert made["identifier"] in record["licences"]
    other_type = {"CZZTDM": HOLDER, "ZZLXDM": TYPE_CODE[:-1] + "9"}
    assert call(service, department, "data-by-holder", **other_type).json() == {"licences": []}
    assert records(service, "dossier-seen", None)[-1]["licences"] == []
    assert call(service, department, "data-by-holder", CZZTDM=STRANGER).json() == {"licences": []}
    assert problem(call(service, department, "data-by-holder", CZZTDM="1" * 18)) == (422, "holder-invalid")


@pytest.mark.parametrize("way", ["presentations", "presentations/offline"])
def test_data_by_code_are_those_that_the_holder_chose_for_this_matter(
    service: Service, counter: System, made: dict[str, Any], way: str
) -> None:
    wanted = {
        "identifier": made["identifier"],
        "disclose": ["representative_name"],
        "purpose": "税务登记",
        "matter": USE["matter"],
    }
    code = service.http.post(f"/registry/v1/{way}", json=wanted, headers=service.person(PERSON)).json()["qr"]
    refused = call(service, counter, "data-by-code", code=code, matter="other")
    assert problem(refused) == (409, "matter-differs")
    assert records(service, "presentation-refused", made["identifier"])[-1]["matter"] == "other"
    (told,) = call(service, counter, "data-by-code", code=code).json()["licences"]
    assert (told["result"], told["state"], told["purpose"], told["by_agent"]) == (0, "01", "税务登记", False)
    data = told["data"]
    assert (data["KZ_representative_name"], data["CZZTDM"]) == ("张三丰", [HOLDER])
    assert "KZ_business_scope" not in data
    record = records(service, "presentation-verified", made["identifier"])[-1]
    assert (record["use_cause"], record["matter"]) == (USE["use_cause"], USE["matter"])
    assert problem(call(service, counter, "data-by-code", code=code)) == (409, "code-used")


def test_the_file_is_a_marked_copy_that_its_link_gives_once(
    service: Service, department: System, made: dict[str, Any]
) -> None:
    reply = call(service, department, "files", ZZBS=made["identifier"])
    assert reply.status_code == 201
    file = reply.json()
    assert (file["JZJZZZ"], file["JZJZZSY"]) == (department.department, "税务登记核验")
    lives = datetime.fromisoformat(file["link_expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < lives <= timedelta(minutes=10)
    path = file["link"].removeprefix(service.settings.base_url)
    fetched = department.call(service.http, "GET", path)
    assert fetched.status_code == 200
    assert problem(department.call(service.http, "GET", path)) == (410, "link-spent")
    told = upload(service, department, fetched.content).json()
    assert (told["kind"], told["result"], told["data"]["KZ_representative_name"]) == (
        "marked-copy",
        0,
        "张三丰",
    )
    mark = told["presented"]
    assert (mark["use_cause"], mark["JZJYXQJZSJ"]) == (USE["use_cause"], file["JZJYXQJZSJ"])
    assert records(service, "copy-made", made["identifier"])[-1]["use_cause"] == USE["use_cause"]


def upload(service: Service, system: System, data: bytes, **changes: str) -> httpx.Response:
    token = system.token(service.http, "urn:zhengtong:license-registry")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    address = f"{ROOT}/file-verifications?{urlencode({**USE, **changes})}"
    return service.http.post(address, content=data, headers=headers)


def test_a_file_is_verified_for_a_cause(
    service: Service, department: System, counter: System, made: dict[str, Any]
) -> None:
    path = f"/registry/v1/me/licences/{made['identifier']}/credential"
    text = service.http.get(path, headers=service.person(PERSON)).content
    told = upload(service, counter, text).json()
    assert (told["kind"], told["result"], told["data"]["ZZBH"]) == ("credential", 0, made["number"])
    record = records(service, "file-verified", made["identifier"])[-1]
    assert (record["use_cause"], record["matter"], record["case"]) == tuple(USE.values())
    forged = upload(service, department, text.replace(b"~", b"~AAAA~", 1)).json()
    assert (forged["result"], forged["data"], forged["checks"]) == (3, None, {"signature": False})
    assert problem(upload(service, department, b"hello")) == (422, "file-unreadable")
    refused = upload(service, department, text, case=f"给 {PERSON}")
    assert problem(refused) == (422, "invalid-request")


def verified(service: Service, department: System, identifier: str, **data: Any) -> dict[str, Any]:
    reply = call(service, department, "data-verifications", ZZBS=identifier, data=data)
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def test_data_are_verified_and_none_are_told(
    service: Service, authority: System, department: System, made: dict[str, Any]
) -> None:
    identifier = made["identifier"]
    right = {"ZZBH": made["number"], "CZZT": "示范市东湖茶业有限公司", "KZ_representative_name": "张 三丰"}
    assert verified(service, department, identifier, **right) == {
        "result": 0,
        "result_name": "有效 · valid",
        "valid": True,
        "differing": [],
        "lacking": [],
    }
    record = records(service, "data-verified", identifier)[-1]
    assert (record["fields"], record["result"], record["use_cause"]) == (sorted(right), 0, USE["use_cause"])
    assert "张" not in orjson.dumps(record).decode()
    wrong = verified(service, department, identifier, ZZBH="X-1", KZ_representative_name="张三丰")
    assert (wrong["result"], wrong["differing"]) == (6, ["ZZBH"])
    assert "张三丰" not in str(wrong)
    lacking = verified(service, department, identifier, KZ_address="东湖路")
    assert (lacking["result"], lacking["lacking"]) == (4, ["KZ_address"])
    missing = verified(service, department, another(identifier), ZZBH="X-1")
    assert (missing["result"], missing["differing"]) == (5, [])
    assert records(service, "data-verified", None)[-1]["result"] == 5
    refused = call(service, department, "data-verifications", ZZBS=identifier, data={"CZZTDM": HOLDER})
    assert problem(refused) == (403, "disclosure-not-granted")
    assert records(service, "data-verified", identifier)[-1]["refused"] == "disclosure-not-granted"
    name = {f"KZ_{PERSON}": "x"}
    refused = call(service, department, "data-verifications", ZZBS=identifier, data=name)
    assert problem(refused) == (422, "invalid-request")
    assert PERSON not in refused.text


@pytest.mark.parametrize(("operation", "target", "result"), [("03", None, 2), ("05", "04", 3)])
def test_an_ended_licence_has_the_result_of_its_state_and_is_never_none(
    service: Service, authority: System, department: System, operation: str, target: str | None, result: int
) -> None:
    ended = issued(service, authority)
    assert operate(service, authority, ended["identifier"], operation, target).status_code == 200
    assert verified(service, department, ended["identifier"], ZZBH=ended["number"])["result"] == result
    seen = call(service, department, "data-by-identifier", ZZBS=ended["identifier"]).json()
    assert (seen["result"], seen["valid"]) == (result, False)
