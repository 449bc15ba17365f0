"""The catalogue over HTTP, against a running house: seeds, licence types, and the way of a resource through its states."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.catalog.formats.dcat import to_json_ld
from exchange.catalog.formats.routes import JSON_LD
from exchange.catalog.formats.workbook import MEDIA_TYPE
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import MARKET, Service, free_port, serving
from tests.exchange.catalog.written import document, written

CATALOGUE = "/exchange/v1/catalogue"


@pytest.fixture(scope="module")
def department(service: Service) -> System:
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module")
def authority(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY, department="11990100MC0000055E")


def read(service: Service, path: str) -> Any:
    reply = service.http.get(f"{CATALOGUE}{path}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def call(service: Service, system: System, method: str, path: str, body: Any = None) -> httpx.Response:
    return system.call(service.http, method, f"{CATALOGUE}{path}", body)


def fresh() -> str:
    return f"resource-{uuid.uuid4().hex[:12]}"


def published(
    service: Service, department: System, authority: System, name: str, body: dict[str, Any]
) -> dict[str, Any]:
    """Take a resource through all states."""
    drafted = call(service, department, "PUT", f"/resources/{name}/draft", body)
    assert drafted.status_code == 200, drafted.text
    version = drafted.json()["version"]
    submitted = call(service, department, "POST", f"/resources/{name}/submission", {"version": version})
    assert submitted.json()["state"] == "in-review", submitted.text
    decision = {"version": version, "decision": "publish"}
    reviewed = call(service, authority, "POST", f"/resources/{name}/review", decision)
    assert reviewed.json()["state"] == "published", reviewed.text
    found: dict[str, Any] = reviewed.json()
    return found


def refused(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    problem: dict[str, Any] = reply.json()
    assert problem["type"] == f"urn:zhengtong:problem:{code}"
    return problem


def test_a_new_house_publishes_what_comes_along(service: Service) -> None:
    listed = {each["id"]: each for each in read(service, "/resources")["resources"]}
    assert {"persons-basic", "legal-entities-basic", "credentials-basic"} <= set(listed)
    persons = listed["persons-basic"]
    assert persons["fields"]["name"] == {
        "title": "姓名",
        "title_en": "Name",
        "type": "text",
        "sensitive": True,
        "sensitivity": "sensitive",
        "masking": "name",
        "lead_source": "population",
        "owner": "示范市公安局",
    }
    assert set(persons["derived"]) == {"licences", "represents", "entries"}
    told = {each["resource"]: each for each in read(service, "/changes")["changes"]}
    assert (told["persons-basic"]["kind"], told["persons-basic"]["version"]) == ("new", 1)


def test_licence_types_stand_beside_them_and_cannot_be_drafted(service: Service, department: System) -> None:
    found = read(service, "/resources/licence.business-licence")
    assert (found["subject_kind"], found["reads_from"], found["version"]) == ("uscc", "licences", 1)
    assert found["fields"]["representative_name"]["masking"] == "name"
    assert read(service, "/resources/licence.business-licence/versions")["versions"][0]["in_force"]
    assert read(service, "/resources/licence.business-licence/versions/1")["title"] == "营业执照"
    reply = call(service, department, "PUT", "/resources/licence.mine/draft", written())
    assert refused(reply, 422, "resource-malformed")["pointer"] == "/id"


def test_a_resource_is_paged_by_its_id(service: Service) -> None:
    everything = [each["id"] for each in read(service, "/resources")["resources"]]
    first = read(service, "/resources?limit=2")
    rest = read(service, f"/resources?after={first['next']}")
    assert [each["id"] for each in first["resources"] + rest["resources"]] == everything
    assert rest["next"] is None


def test_a_resource_goes_from_draft_to_published(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    draft = call(service, department, "PUT", f"/resources/{name}/draft", written())
    assert (draft.json()["version"], draft.json()["outcome"]) == (1, "drafted")
    again = call(service, department, "PUT", f"/resources/{name}/draft", written())
    assert (again.json()["version"], again.json()["outcome"]) == (1, "unchanged")
    assert service.http.get(f"{CATALOGUE}/resources/{name}").status_code == 404
    waiting = call(service, department, "GET", "/drafts").json()["versions"]
    assert [each["state"] for each in waiting if each["resource"] == name] == ["draft"]

    for _ in range(2):  # a submission twice is one
        submitted = call(service, department, "POST", f"/resources/{name}/submission", {"version": 1})
        assert submitted.json()["state"] == "in-review"
    refused(
        call(service, department, "PUT", f"/resources/{name}/draft", written(title="x")),
        409,
        "resource-in-review",
    )

    back = {"version": 1, "decision": "send-back", "reason": "缺少资源摘要"}
    assert call(service, authority, "POST", f"/resources/{name}/review", back).json()["state"] == "draft"
    (mine,) = [
        e for e in call(service, department, "GET", "/drafts").json()["versions"] if e["resource"] == name
    ]
    assert mine["reason"] == "缺少资源摘要"

    state = published(service, department, authority, name, written(description="缴存账户的状态与余额"))
    assert state["version"] == 1
    found = read(service, f"/resources/{name}")
    assert found["description"] == "缴存账户的状态与余额"
    assert found["fields"]["balance"]["masking"] == "hidden"
    assert found["department"] == MARKET
    # Published again is published once, and told once.
    decision = {"version": 1, "decision": "publish"}
    assert call(service, authority, "POST", f"/resources/{name}/review", decision).status_code == 200
    told = [each for each in read(service, "/changes?limit=1000")["changes"] if each["resource"] == name]
    assert [each["kind"] for each in told] == ["new"]
    events = service.sql(
        "SELECT convert_from(content, 'UTF8')::jsonb ->> 'event' FROM exchange.access_record"
        " WHERE convert_from(content, 'UTF8')::jsonb ->> 'resource' = %s ORDER BY recorded_at",
        name,
    )
    assert {event for (event,) in events} == {"resource-drafted", "resource-submitted", "resource-reviewed"}


def test_a_change_that_takes_a_field_away_is_told_and_applies_after_the_notice(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    published(service, department, authority, name, written())
    less = written(fields=[written()["fields"][0]])
    call(service, department, "PUT", f"/resources/{name}/draft", less)
    reply = call(service, department, "POST", f"/resources/{name}/submission", {"version": 2})
    assert refused(reply, 422, "resource-malformed")["pointer"] == "/notice"

    published(service, department, authority, name, {**less, "notice": "余额改由银行提供"})
    found = read(service, f"/resources/{name}")
    assert (found["version"], set(found["fields"])) == (1, {"account_state", "balance"})
    change = [each for each in read(service, "/changes?limit=1000")["changes"] if each["resource"] == name][
        -1
    ]
    assert change["narrowed"] == [{"what": "field-removed", "field": "balance"}]
    assert change["notice"] == "余额改由银行提供"
    ahead = datetime.fromisoformat(change["applies_from"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < ahead < timedelta(days=30, minutes=1)
    versions = read(service, f"/resources/{name}/versions")["versions"]
    assert [(each["version"], each["in_force"]) for each in versions] == [(2, False), (1, True)]
    assert read(service, f"/resources/{name}/versions/1")["fields"].keys() == {"account_state", "balance"}


def test_a_wider_version_applies_at_once(service: Service, department: System, authority: System) -> None:
    name = fresh()
    published(service, department, authority, name, written())
    more = [*written()["fields"], {"name": "opened_on", "title": "开户日期", "type": "date"}]
    state = published(service, department, authority, name, written(fields=more))
    assert datetime.fromisoformat(state["applies_from"]) <= datetime.now(UTC)
    found = read(service, f"/resources/{name}")
    assert (found["version"], "opened_on" in found["fields"]) == (2, True)


def test_another_department_and_other_roles_are_refused(
    service: Service, department: System, authority: System
) -> None:
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department="11990100MC0000039Q")
    name = fresh()
    published(service, department, authority, name, written())
    refused(
        call(service, other, "PUT", f"/resources/{name}/draft", written(title="我的")),
        403,
        "resource-of-another",
    )
    call(service, department, "PUT", f"/resources/{name}/draft", written(title="新名"))
    refused(
        call(service, other, "POST", f"/resources/{name}/submission", {"version": 2}),
        403,
        "resource-of-another",
    )
    refused(call(service, other, "DELETE", f"/resources/{name}/draft"), 403, "resource-of-another")
    assert name not in {
        each["resource"] for each in call(service, other, "GET", "/drafts").json()["versions"]
    }
    decision = {"version": 2, "decision": "publish"}
    refused(call(service, department, "POST", f"/resources/{name}/review", decision), 403, "role-missing")
    # Nobody has submitted it.
    refused(
        call(service, authority, "POST", f"/resources/{name}/review", decision), 409, "resource-state-wrong"
    )
    assert call(service, department, "DELETE", f"/resources/{name}/draft").status_code == 204
    refused(
        call(service, department, "POST", f"/resources/{name}/submission", {"version": 2}),
        404,
        "resource-unknown",
    )


def test_a_retired_resource_is_told_and_stays_to_be_read(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    published(service, department, authority, name, written())
    later = call(service, authority, "POST", f"/resources/{name}/retirement", {"reason": "已由新资源代替"})
    assert later.json()["state"] == "retired"
    assert read(service, f"/resources/{name}")["version"] == 1
    now = {"reason": "依法停止共享", "at_once": True}
    assert call(service, authority, "POST", f"/resources/{name}/retirement", now).status_code == 200
    assert service.http.get(f"{CATALOGUE}/resources/{name}").status_code == 404
    assert read(service, f"/resources/{name}/versions/1")["title"] == "住房公积金缴存信息"
    told = [each for each in read(service, "/changes?limit=1000")["changes"] if each["resource"] == name]
    assert [each["kind"] for each in told] == ["new", "retired", "retired"]


def grant(service: Service, authority: System, resource: str, field: str) -> httpx.Response:
    body = {
        "client_id": "housing-fund",
        "resource": resource,
        "fields": [field],
        "matters": ["withdrawal"],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "valid_until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    return authority.call(service.http, "POST", "/exchange/v1/grants", body)


def test_what_is_not_shared_names_its_law_and_can_be_neither_asked_nor_granted(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    secret = written(
        sharing_class="not-shared", register="persons", fields=["name"], lead_source="population"
    )
    call(service, department, "PUT", f"/resources/{name}/draft", secret)
    reply = call(service, department, "POST", f"/resources/{name}/submission", {"version": 1})
    assert refused(reply, 422, "resource-malformed")["pointer"] == "/legal_basis"
    report = call(service, authority, "GET", "/report").json()
    assert name in {each["resource"] for each in report["without_legal_basis"]}

    published(service, department, authority, name, {**secret, "legal_basis": "某法第十条"})
    assert (
        "某法第十条" in refused(grant(service, authority, name, "name"), 403, "resource-not-shared")["detail"]
    )
    question = {
        "resource": name,
        "subject": "x",
        "claims": {"name": "张三"},
        "matter": "withdrawal",
        "case": "1",
    }
    refused(
        department.call(service.http, "POST", "/exchange/v1/verifications", question),
        403,
        "resource-not-shared",
    )


def test_what_nothing_brings_yet_cannot_be_granted(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    published(service, department, authority, name, written())
    refused(grant(service, authority, name, "balance"), 409, "resource-not-connected")
    assert grant(service, authority, "persons-basic", "name").status_code == 201


def test_freshness_and_quality_are_those_of_the_last_delivery(
    service: Service, authority: System, tmp_path: Path
) -> None:
    before = read(service, "/resources/persons-basic")["measured"]
    assert before == {"promised": "P1D", "kept": False, "delivered": {"population": None}}
    assert "persons-basic" in {
        each["resource"] for each in call(service, authority, "GET", "/report").json()["late"]
    }
    header = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
    rows = [
        f"{CitizenId.compute('990101', date(1980, 2, 28), n).reveal()},张三,男,1980-02-28,汉族,{'已婚' if n % 2 else ''},,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,"
        for n in range(1, 21)
    ]
    path = tmp_path / "population.csv"
    path.write_bytes("\r\n".join([header, *rows, ""]).encode("gb18030"))
    mapping = load_mapping("population")
    run(
        mapping,
        FileSource(path, mapping),
        database=service.address,
        vault=open_vault(service.settings, datetime.now(UTC)),
    )
    found = read(service, "/resources/persons-basic")
    assert found["measured"]["kept"] is True
    assert found["quality"]["sources"] == {"population": {"read": 20, "quarantined": 0}}
    assert found["quality"]["completeness"]["name"] == 1
    assert found["quality"]["completeness"]["marital_status"] == 0.5
    service.sql("UPDATE exchange.ingest_run SET finished_at = finished_at - interval '25 hours'")
    assert read(service, "/resources/persons-basic")["measured"]["kept"] is False


def test_a_field_with_two_lead_sources_is_reported(
    service: Service, department: System, authority: System
) -> None:
    name = fresh()
    fields = [{"name": "name", "lead_source": "housing-fund"}]
    published(
        service,
        department,
        authority,
        name,
        written(register="persons", fields=fields, lead_source="housing-fund"),
    )
    found = call(service, authority, "GET", "/report").json()["several_sources"]
    (of_name,) = [each for each in found if each["title"] == "姓名"]
    assert (of_name["subject_kind"], of_name["field"]) == ("citizen-id", "name")
    assert name in of_name["resources"]["housing-fund"]
    assert "persons-basic" in of_name["resources"]["population"]


def test_a_publication_takes_effect_in_another_process_within_two_seconds(
    service: Service, department: System, authority: System, tmp_path: Path
) -> None:
    settings = service.settings.model_copy(update={"home": tmp_path / "other", "listen_port": free_port()})
    with serving(settings, service.address) as other:
        name = fresh()
        published(service, department, authority, name, written())
        begun = time.monotonic()
        while other.http.get(f"{CATALOGUE}/resources/{name}").status_code != 200:
            assert time.monotonic() - begun < 2, "the other process did not follow"
            time.sleep(0.02)


def test_search_over_http_finds_by_pinyin(service: Service) -> None:
    hits = read(service, "/search?q=rkjcxx")["hits"]
    assert hits[0]["id"] == "persons-basic"
    assert read(service, "/search?q=zzzzqq")["hits"] == []
    assert service.http.get(f"{CATALOGUE}/search").status_code == 422


def upload(service: Service, system: System, content: bytes, media_type: str) -> httpx.Response:
    token = system.token(service.http, "urn:zhengtong:exchange")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
    return service.http.post(f"{CATALOGUE}/imports", content=content, headers=headers)


@pytest.mark.parametrize(("form", "media_type"), [("json-ld", JSON_LD), ("workbook", MEDIA_TYPE)])
def test_a_department_takes_its_own_out_and_in_again(
    service: Service, department: System, authority: System, form: str, media_type: str
) -> None:
    name = fresh()
    published(service, department, authority, name, written())
    given = call(service, department, "GET", f"/export?form={form}")
    assert given.headers["content-type"] == media_type
    done = upload(service, department, given.content, media_type)
    assert done.status_code == 200, done.text
    assert name in done.json()["unchanged"]
    assert done.json()["drafted"] == {}
    assert "licence.business-licence" in done.json()["skipped"]
    # What others keep is not ours to draft.
    assert {each["reason"] for each in done.json()["bad"]} == {"resource-of-another"}


def test_a_large_workbook_passes_and_one_that_is_none_is_told(service: Service, department: System) -> None:
    many = [document(f"many-{number}", department=MARKET) for number in range(1500)]
    content = orjson.dumps(to_json_ld(many))
    assert len(content) > service.settings.maximum_body_bytes
    done = upload(service, department, content, JSON_LD)
    assert (len(done.json()["drafted"]), done.json()["bad"]) == (1500, [])
    refused(upload(service, department, b"hello", MEDIA_TYPE), 422, "catalogue-file-unreadable")


def test_a_licence_type_can_be_granted_and_asked_about(
    service: Service, department: System, authority: System
) -> None:
    assert grant(service, authority, "licence.business-licence", "holder_name").status_code == 201
    question = {
        "resource": "licence.business-licence",
        "subject": MARKET,
        "claims": {"holder_name": "某公司"},
        "matter": "withdrawal",
        "case": "1",
    }
    reply = department.call(service.http, "POST", "/exchange/v1/verifications", question)
    assert reply.status_code in {200, 422}, reply.text
