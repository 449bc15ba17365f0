"""One verification over HTTP, against a running house: what is answered, what is refused, and that both are recorded."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import orjson
import psycopg
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.audit.receipt import answer_digest
from exchange.queries.answer import TYPE, subject_matches
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, PublicKey, verify_compact
from tests.conftest import Service

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
ROW = f"{PERSON},张三丰,男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,"


@pytest.fixture(scope="module", autouse=True)
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode("gb18030"))
    vault = open_vault(service.settings, datetime.now(UTC))
    mapping = load_mapping("population")
    report = run(mapping, FileSource(path, mapping), database=service.address, vault=vault)
    assert report.inserted == 1


@pytest.fixture(scope="module")
def asking(service: Service) -> System:
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module", autouse=True)
def grant(service: Service, asking: System) -> dict[str, Any]:
    body = {
        "client_id": asking.client_id,
        "resource": "persons-basic",
        "fields": ["name", "marital_status", "birth_date"],
        "matters": ["withdrawal"],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "valid_until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    reply = service.system("data-bureau", Role.SHARING_AUTHORITY).call(
        service.http, "POST", "/exchange/v1/grants", body
    )
    assert reply.status_code == 201
    given: dict[str, Any] = reply.json()
    return given


def question(**changes: Any) -> dict[str, Any]:
    return {
        "resource": "persons-basic",
        "subject": PERSON,
        "claims": {"name": "张三丰", "marital_status": "married"},
        "matter": "withdrawal",
        "case": "2025-1",
        **changes,
    }


def ask(service: Service, system: System, **changes: Any) -> httpx.Response:
    return system.call(service.http, "POST", "/exchange/v1/verifications", question(**changes))


def last_record(service: Service) -> dict[str, Any]:
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 1"
    )
    record: dict[str, Any] = orjson.loads(content)
    return record


def keys(service: Service) -> dict[str, PublicKey]:
    return {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}


def test_a_verification_is_answered_signed_and_recorded(service: Service, asking: System) -> None:
    reply = ask(
        service, asking, claims={"name": " 张三丰 ", "marital_status": "single", "birth_date": "1980-02-29"}
    )
    assert reply.status_code == 200
    body = reply.json()
    assert body["results"] == {"name": "match", "marital_status": "mismatch", "birth_date": "match"}
    verified = verify_compact(body["answer"], keys(service), TYPE, frozenset({Algorithm.ES256}))
    answer = orjson.loads(verified.payload)
    assert answer["results"] == body["results"]
    assert (answer["client"], answer["matter"], answer["case"]) == ("housing-fund", "withdrawal", "2025-1")
    assert answer["source"] == "population"
    assert answer["receipt"] == body["receipt"]
    assert subject_matches(answer, PERSON)
    assert not subject_matches(answer, STRANGER)
    record = last_record(service)
    assert record["id"] == body["receipt"]["record"]
    assert record["answer_sha256"] == answer_digest(answer)
    assert record["fields"] == ["birth_date", "marital_status", "name"]


def test_neither_answer_nor_record_hold_the_identifier_or_the_register_s_values(
    service: Service, asking: System
) -> None:
    reply = ask(service, asking, claims={"marital_status": "single"})
    answer = jwt.decode(reply.json()["answer"], options={"verify_signature": False})
    for text in (reply.text, str(answer), str(last_record(service))):
        assert PERSON not in text
        assert "married" not in text
        assert "张三丰" not in text


def test_an_unknown_subject_is_unknown_in_every_claim(service: Service, asking: System) -> None:
    reply = ask(service, asking, subject=STRANGER)
    assert reply.status_code == 200
    assert set(reply.json()["results"].values()) == {"unknown"}


def test_a_fifteen_digit_identifier_finds_its_person(service: Service, asking: System) -> None:
    fifteen = PERSON[:6] + PERSON[8:17]
    assert ask(service, asking, subject=fifteen).json()["results"]["name"] == "match"


def test_the_receipt_s_proof_can_be_fetched(service: Service, asking: System) -> None:
    record = ask(service, asking).json()["receipt"]["record"]
    for _attempt in range(100):
        reply = asking.call(service.http, "GET", f"/exchange/v1/receipts/{record}")
        if reply.status_code != 409:
            break
        assert reply.json()["type"] == "urn:zhengtong:problem:receipt-not-included"
        time.sleep(0.05)
    assert reply.status_code == 200
    assert reply.json()["leaf_index"] < reply.json()["tree_size"]
    stranger = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    assert stranger.call(service.http, "GET", f"/exchange/v1/receipts/{record}").status_code == 404


REFUSED = {
    "resource-unknown": (404, {"resource": "nothing"}),
    "field-unknown": (422, {"claims": {"shoe_size": "42"}}),
    "field-not-granted": (403, {"claims": {"name": "张三丰", "address": "东湖路1号"}}),
    "matter-not-granted": (403, {"matter": "something-else"}),
    "subject-malformed": (422, {"subject": PERSON[:17] + ("0" if PERSON[17] != "0" else "1")}),
    "claim-malformed": (422, {"claims": {"birth_date": "1981-02-29"}}),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_names_its_reason_and_is_recorded(service: Service, asking: System, code: str) -> None:
    status, changes = REFUSED[code]
    reply = ask(service, asking, **changes)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["type"] == f"urn:zhengtong:problem:{code}"
    assert problem["status"] == status
    assert "·" in problem["title"]
    assert PERSON not in reply.text
    record = last_record(service)
    assert (record["outcome"], record["reason"], record["client"]) == ("refused", code, "housing-fund")


def test_without_a_grant_it_is_refused_and_recorded(service: Service) -> None:
    reply = ask(service, service.system("tax-office", Role.DEPARTMENT_SYSTEM))
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:zhengtong:problem:not-granted")
    record = last_record(service)
    assert (record["client"], record["reason"]) == ("tax-office", "not-granted")


def test_refusals_do_not_depend_on_whether_the_subject_is_known(service: Service) -> None:
    tax = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    known, unknown = ask(service, tax).json(), ask(service, tax, subject=STRANGER).json()
    assert {**known, "instance": ""} == {**unknown, "instance": ""}


def test_an_ended_grant_ends_at_once(service: Service, grant: dict[str, Any]) -> None:
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    short = service.system("short-lived", Role.DEPARTMENT_SYSTEM)
    given = bureau.call(
        service.http,
        "POST",
        "/exchange/v1/grants",
        {
            **{k: v for k, v in grant.items() if k not in {"id", "granted_by", "ended_at"}},
            "client_id": "short-lived",
        },
    ).json()
    assert ask(service, short).status_code == 200
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{given['id']}").status_code == 204
    assert ask(service, short).json()["type"] == "urn:zhengtong:problem:not-granted"
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{given['id']}").status_code == 404


def test_a_grant_over_time_is_not_in_force(service: Service, grant: dict[str, Any]) -> None:
    late = service.system("latecomer", Role.DEPARTMENT_SYSTEM)
    service.system("data-bureau", Role.SHARING_AUTHORITY).call(
        service.http,
        "POST",
        "/exchange/v1/grants",
        {
            **{k: v for k, v in grant.items() if k not in {"id", "granted_by", "ended_at"}},
            "client_id": "latecomer",
            "valid_until": grant["valid_from"],
        },
    )
    assert ask(service, late).json()["type"] == "urn:zhengtong:problem:grant-not-in-force"


BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "invalid-request"),
    "not JSON": (b"{", 400, "malformed-body"),
    "invalid UTF-8": (b'{"resource": "\xff\xfe"}', 400, "malformed-body"),
    "not an object": (b"[]", 422, "invalid-request"),
    "NUL in text": (orjson.dumps(question(case="a\0b")), 422, "invalid-request"),
    "unknown member": (orjson.dumps(question(extra=1)), 422, "invalid-request"),
    "citizen ID in a free field": (orjson.dumps(question(case=f"case of {PERSON}")), 422, "invalid-request"),
    "lone surrogate": (b'{"resource": "\\ud800"}', 400, "malformed-body"),
    "ten megabytes": (b" " * 10_000_000, 413, "body-too-large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_a_clear_problem(service: Service, asking: System, name: str) -> None:
    body, status, code = BODIES[name]
    before = service.sql("SELECT count(*) FROM exchange.access_record")
    reply = service.http.post(
        "/exchange/v1/verifications",
        content=body,
        headers={
            "Authorization": f"Bearer {asking.token(service.http, 'urn:zhengtong:exchange')}",
            "Content-Type": "application/json",
        },
    )
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:zhengtong:problem:{code}")
    assert reply.headers["content-type"] == "application/problem+json"
    assert PERSON not in reply.text
    assert service.sql("SELECT count(*) FROM exchange.access_record") == before


def test_a_body_without_length_is_cut_off_when_it_grows_too_large(service: Service, asking: System) -> None:
    def endless() -> Any:
        for _ in range(200):
            yield b" " * 65536

    reply = service.http.post(
        "/exchange/v1/verifications",
        content=endless(),
        headers={"Authorization": f"Bearer {asking.token(service.http, 'urn:zhengtong:exchange')}"},
    )
    assert (reply.status_code, reply.json()["type"]) == (413, "urn:zhengtong:problem:body-too-large")


def test_people_see_who_looked(service: Service, asking: System) -> None:
    ask(service, asking, case="2025-77")
    seen = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON)).json()["accesses"]
    assert {"client", "matter", "purpose", "fields", "at"} <= set(
        next(access for access in seen if access["outcome"] == "answered" and access["event"] == "verify")
    )
    nothing = service.http.get("/exchange/v1/me/accesses", headers=service.person(STRANGER)).json()[
        "accesses"
    ]
    assert len(nothing) < len(seen)


def test_auditors_search_and_are_recorded_themselves(service: Service) -> None:
    auditor = service.system("audit-office", Role.AUDITOR)
    found = auditor.call(service.http, "GET", "/exchange/v1/audit/records?outcome=refused&limit=5").json()[
        "records"
    ]
    assert 0 < len(found) <= 5
    assert {record["record"]["outcome"] for record in found} == {"refused"}
    assert last_record(service)["event"] == "audit-search"
    reply = auditor.call(service.http, "GET", "/exchange/v1/audit/records?limit=0")
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:zhengtong:problem:invalid-request")


def test_roles_are_needed(service: Service, asking: System) -> None:
    for path in ("/exchange/v1/audit/records", "/exchange/v1/audit/records.jsonl"):
        reply = asking.call(service.http, "GET", path)
        assert (reply.status_code, reply.json()["type"]) == (403, "urn:zhengtong:problem:role-missing")


def test_an_erased_record_leaves_the_tree_provable(service: Service, asking: System, tmp_path: Path) -> None:
    from foundation.ledger import DirectoryTiles, VerifierKey, read_records, verify_log

    record = ask(service, asking).json()["receipt"]["record"]
    while asking.call(service.http, "GET", f"/exchange/v1/receipts/{record}").status_code == 409:
        time.sleep(0.05)
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    path = f"/exchange/v1/audit/records/{record}?legal_basis=个人信息保护法第四十七条"
    assert bureau.call(service.http, "DELETE", path).status_code == 204
    exported = service.system("audit-office", Role.AUDITOR).call(
        service.http, "GET", "/exchange/v1/audit/records.jsonl"
    )
    key = VerifierKey.parse((service.settings.ledger_folder / "log.vkey").read_text().strip())
    report = verify_log(
        DirectoryTiles(service.settings.ledger_folder), key, read_records(exported.content.splitlines())
    )
    assert report.ok
    assert report.records_erased == 1
    assert report.records_checked > 10


def test_a_plan_that_scans_no_table(service: Service) -> None:
    from exchange.registers.lookup import statement
    from exchange.registers.schemas import load_registers

    sql = statement(load_registers()["persons"]).replace("$1", "array['\\x00'::bytea]")
    with psycopg.connect(service.address) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + sql))
    assert "Seq Scan" not in plan
    # The subjects are known at run time only: each partition stands in the plan, by its key.
    partitions = [f"person_p{number}" for number in range(8)]
    assert all(f"Scan using {name}_pkey on" in plan or f"Scan on {name}_pkey " in plan for name in partitions)
    assert "Scan using alias_pkey on alias" in plan or "Scan on alias_pkey " in plan
    assert plan.count("CTE Scan on a ") == 2, "aliases are looked for once"
