"""A plan over HTTP, against a running house: what is settled, what is not, and why; recorded and signed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import orjson
import pytest

from demonstration.parties import System
from exchange.audit.receipt import answer_digest
from exchange.plans.statement import TYPE
from exchange.queries.answer import subject_matches
from exchange.queries.attest import TYPE as ANSWER_TYPE
from foundation.identity.principals import Role
from foundation.signing import Algorithm, PublicKey, verify_compact
from license_registry.presenting.check import Result
from tests.conftest import Service
from tests.exchange.plans.conftest import (
    PERSON,
    SPOUSE,
    STRANGER,
    claims,
    grant,
    material,
    offline,
    planned,
    send,
    states,
)
from tests.linking import FORMER, decide_on_people

SettingUp = Callable[..., str]


def keys(service: Service) -> dict[str, PublicKey]:
    return {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}


def said(service: Service, jws: str, typ: str) -> dict[str, Any]:
    verified = verify_compact(jws, keys(service), typ, frozenset({Algorithm.ES256}))
    payload: dict[str, Any] = orjson.loads(verified.payload)
    return payload


def records(service: Service, case: str) -> list[dict[str, Any]]:
    rows = service.sql("SELECT content FROM exchange.access_record")
    found = [orjson.loads(content) for (content,) in rows]
    # A plan and its questions are of one moment; the plan's own record is the last.
    found.sort(key=lambda each: (each["at"], each["event"] == "plan"))
    return [each for each in found if each.get("case") == case]


@pytest.fixture(scope="module")
def withdrawal(setting_up: SettingUp) -> str:
    """A matter whose materials stand in every way to their evidence."""
    return setting_up(
        "withdrawal",
        material("identity", claims(name={"input": "name"})),
        material("marriage", claims(marital_status={"input": "marital_status"})),
        material("age", claims(birth_date="1980-01-01")),
        material("spouse", claims("spouse", name="李四娘")),
        material("born", claims(birth_date={"input": "born"})),
        material("address", claims(address="东湖路1号")),
        material("shop", claims("applicant", "no-such-resource", name="x")),
        material(
            "income",
            {"any_of": [claims(residence_division="990101"), {"commitment": "truthful-statement"}]},
        ),
        material("photo", may_follow_days=5),
        material("contract"),
        material("again", {"material": "identity"}),
        material("both", {"all_of": [claims(name={"input": "name"}), claims(birth_date="1980-02-29")]}),
    )


def test_a_plan_says_of_each_material_what_is_to_be_done(
    service: Service, fund: System, withdrawal: str
) -> None:
    code = withdrawal
    plan = planned(service, fund, code)
    found = {each["id"]: (each["state"], each["reasons"]) for each in plan["materials"]}
    assert found == {
        "identity": ("settled", []),
        "marriage": ("settled", []),
        "age": ("to-bring", ["mismatch"]),
        "spouse": ("to-bring", ["subject-missing"]),
        "born": ("to-bring", ["input-missing"]),
        "address": ("to-bring", ["no-grant"]),
        "shop": ("to-bring", ["not-askable"]),
        "income": ("by-commitment", ["mismatch"]),
        "photo": ("may-follow", ["no-evidence"]),
        "contract": ("to-bring", ["no-evidence"]),
        "again": ("settled", []),
        "both": ("settled", []),
    }
    by_id = {each["id"]: each for each in plan["materials"]}
    assert by_id["income"]["commitments"][0]["template"] == "truthful-statement"
    until = datetime.fromisoformat(by_id["photo"]["follows_until"])
    assert (until.hour, until.minute, until.second) == (23, 59, 59)
    # Each settled material points to a signed answer that is of this case and about this person.
    for name in ("identity", "marriage", "again", "both"):
        assert by_id[name]["answers"]
        for place in by_id[name]["answers"]:
            answer = said(service, plan["answers"][place]["answer"], ANSWER_TYPE)
            assert (answer["case"], answer["matter"]) == (f"2025-{code}", code)
            assert subject_matches(answer, PERSON)
            assert answer["receipt"]["record"] == plan["answers"][place]["record"]


def test_the_plan_is_a_signed_statement_that_its_record_commits_to(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up("signed", material("identity", claims(name={"input": "name"})), material("form"))
    plan = planned(service, fund, code)
    statement = said(service, plan["statement"], TYPE)
    assert (statement["plan"], statement["department"]) == (plan["plan"], fund.department)
    assert statement["materials"] == plan["materials"]
    assert statement["answers"] == [each["record"] for each in plan["answers"]]
    found = offline(service, plan["statement"])
    assert (found.kind, found.result, found.told["case"]) == ("plan", Result.VALID, "2025-signed")
    assert found.fields["materials"] == plan["materials"]
    head, body, signature = plan["statement"].split(".")
    assert offline(service, f"{head}.{body[:-4]}AAAA.{signature}").result is Result.VOID
    applicant = {"subject": statement["subjects"]["applicant"]}
    assert subject_matches(applicant, PERSON)
    assert not subject_matches(applicant, STRANGER)
    *_asked, record = records(service, "2025-signed")
    assert (record["event"], record["id"]) == ("plan", plan["receipt"]["record"])
    assert record["answer_sha256"] == answer_digest(statement)
    assert record["materials"] == {"identity": "settled", "form": "to-bring"}
    for text in (str(record), str(statement)):
        assert PERSON not in text
        assert "张三丰" not in text


def test_claims_about_one_subject_and_resource_share_a_question(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up(
        "shared",
        *(
            material(f"m{n}", claims(**{name: value}))
            for n, (name, value) in enumerate(
                [
                    ("name", "张三丰"),
                    ("marital_status", "married"),
                    ("birth_date", "1980-02-29"),
                    ("name", "张三"),
                ]
            )
        ),
        material("spouse", claims("spouse", name="李四娘")),
    )
    plan = planned(service, fund, code, subjects={"applicant": PERSON, "spouse": SPOUSE})
    assert states(plan) == {
        "m0": "settled", "m1": "settled", "m2": "settled", "m3": "to-bring", "spouse": "settled",
    }  # fmt: skip
    events = [each["event"] for each in records(service, "2025-shared")]
    # The contradicting name is a question of its own, and so is the other person.
    assert sorted(events) == ["plan", "verify", "verify", "verify"]


def test_a_claim_that_is_not_granted_does_not_spoil_the_others_of_its_question(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up(
        "spoilt", material("a", claims(name="张三丰")), material("b", claims(address="东湖路1号"))
    )
    assert states(planned(service, fund, code)) == {"a": "settled", "b": "to-bring"}


def test_what_an_alternative_makes_needless_is_not_asked(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up(
        "needless",
        material("a", {"any_of": [claims(name={"input": "name"}), claims(birth_date="1980-02-29")]}),
    )
    plan = planned(service, fund, code)
    assert states(plan) == {"a": "settled"}
    (asked, _plan) = records(service, "2025-needless")
    assert asked["fields"] == ["name"]


def test_the_same_request_again_gets_the_same_plan_and_another_is_refused(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up("repeated", material("identity", claims(name={"input": "name"})))
    key = uuid.uuid4().hex
    first = planned(service, fund, code, key=key)
    assert planned(service, fund, code, key=key) == first
    assert [each["outcome"] for each in records(service, "2025-repeated") if each["event"] == "plan"] == [
        "answered",
        "repeated",
    ]
    refused = send(service, fund, code, key=key, inputs={"name": "张三"})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:zhengtong:problem:plan-key-reused")


def test_of_equal_requests_at_once_the_first_counts(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up("at-once", material("identity", claims(name={"input": "name"})))
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(4) as threads:
        plans = list(threads.map(lambda _n: planned(service, fund, code, key=key)["plan"], range(4)))
    assert len(set(plans)) == 1
    assert service.sql("SELECT count(*) FROM exchange.plan WHERE matter = 'at-once'") == [(1,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"subjects": {"applicant": PERSON, "child": SPOUSE}},
        {"subjects": {"spouse": SPOUSE}},
        {"inputs": {"shoe": 42}},
        {"inputs": {"born": "1981-02-29"}},
        {"inputs": {"name": True}},
        {"brought": ["nothing"]},
    ],
)
def test_what_the_matter_does_not_know_is_refused(
    service: Service, fund: System, withdrawal: str, changes: dict[str, Any]
) -> None:
    refused = send(service, fund, withdrawal, case="refusals", **changes)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:zhengtong:problem:plan-malformed")
    assert records(service, "refusals")[-1]["reason"] == "plan-malformed"


def test_a_wrong_identifier_is_refused_with_its_role(service: Service, fund: System, withdrawal: str) -> None:
    wrong = PERSON[:17] + ("0" if PERSON[17] != "0" else "1")
    refused = send(service, fund, withdrawal, subjects={"applicant": wrong})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/subjects/applicant")
    assert wrong not in refused.text


def test_a_matter_that_no_grant_names_is_refused_and_recorded(service: Service, withdrawal: str) -> None:
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department="119901000000000001")
    refused = send(service, other, withdrawal, case="tax-1")
    assert (refused.status_code, refused.json()["type"]) == (
        403,
        "urn:zhengtong:problem:matter-not-granted",
    )
    assert [each["reason"] for each in records(service, "tax-1")] == ["matter-not-granted"]


def test_an_unknown_matter_a_missing_key_and_a_person_are_refused(
    service: Service, fund: System, withdrawal: str
) -> None:
    assert send(service, fund, "never-published").status_code == 404
    reply = fund.call(
        service.http,
        "POST",
        f"/exchange/v1/matters/{withdrawal}/plan",
        {"case": "1", "subjects": {"applicant": PERSON}},
    )
    assert (reply.status_code, reply.json()["type"]) == (400, "urn:zhengtong:problem:plan-key-invalid")
    reply = service.http.post(
        f"/exchange/v1/matters/{withdrawal}/plan",
        json={"case": "1", "subjects": {"applicant": PERSON}},
        headers={**service.person(PERSON), "Idempotency-Key": "x"},
    )
    assert reply.status_code == 403


def test_an_unknown_person_is_unknown_and_what_was_brought_is_not_asked(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up(
        "unknown",
        material("identity", claims(name="张三丰")),
        material("marriage", claims(marital_status="x")),
    )
    plan = planned(service, fund, code, subjects={"applicant": STRANGER}, brought=["marriage"])
    assert [(each["state"], each["reasons"]) for each in plan["materials"]] == [
        ("to-bring", ["unknown"]),
        ("brought", []),
    ]


def test_the_evidence_of_a_case_is_there_for_its_department_alone(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up("filed", material("identity", claims(name="张三丰")))
    plan = planned(service, fund, code, case="公积金 2025/17")
    path = "/exchange/v1/cases/公积金 2025%2F17/evidence"
    found = fund.call(service.http, "GET", path)
    assert found.status_code == 200
    assert [each["record"] for each in found.json()["answers"]] == [plan["answers"][0]["record"]]
    assert found.json()["plans"][0]["materials"][0]["state"] == "settled"
    assert records(service, "公积金 2025/17")[-1]["event"] == "case-evidence"
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department="119901000000000001")
    assert other.call(service.http, "GET", path).status_code == 404


def test_fields_are_queried_and_licences_looked_for(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up(
        "queried",
        material(
            "card",
            {"query": {"resource": "persons-basic", "subject": "applicant", "fields": ["name", "sex"]}},
        ),
        material(
            "other", {"query": {"resource": "persons-basic", "subject": "applicant", "fields": ["address"]}}
        ),
        material("licence", {"licence": {"type": "disability-certificate", "subject": "applicant"}}),
        material("ungranted", {"licence": {"type": "birth-certificate", "subject": "applicant"}}),
        material("no-such-type", {"licence": {"type": "no-such-type", "subject": "applicant"}}),
        material("grown", claims(adult={"field": "birth_date", "is": "age-at-least", "value": 18})),
        granted=False,
    )
    grant(service, fund.client_id, code, modes=["verify", "query"], fields=["name", "sex", "birth_date"])
    grant(service, fund.client_id, code, resource="licence.disability-certificate", fields=["licences"])
    plan = planned(service, fund, code)
    assert {each["id"]: (each["state"], each["reasons"]) for each in plan["materials"]} == {
        "card": ("settled", []),
        "other": ("to-bring", ["no-grant"]),
        "licence": ("to-bring", ["mismatch"]),
        "ungranted": ("to-bring", ["no-grant"]),
        "no-such-type": ("to-bring", ["not-askable"]),
        "grown": ("settled", []),
    }
    (place,) = plan["materials"][0]["answers"]
    answer = said(service, plan["answers"][place]["answer"], ANSWER_TYPE)
    assert set(answer["values"]) == {"name", "sex"}


def test_a_material_that_follows_is_reminded_of_and_marked_when_it_comes_late(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    code = setting_up("following", material("photo", may_follow_days=3), material("map", may_follow_days=8))
    for case in ("f1", "f2"):
        planned(service, fund, code, case=case)
    service.sql(
        "UPDATE exchange.plan_material m SET remind_at = now() FROM exchange.plan p WHERE p.id = m.plan"
        " AND p.case_ref = 'f1' AND m.material = 'photo'"
    )
    deadline = time.monotonic() + 20
    while not any(each["event"] == "material-reminder" for each in records(service, "f1")):
        assert time.monotonic() < deadline, "nobody was reminded"
        time.sleep(0.1)
    own = service.http.get("/exchange/v1/me/materials-to-follow", headers=service.person(PERSON)).json()
    found = {(each["case"], each["material"]): each for each in own["materials"]}
    assert found["f1", "photo"]["reminded_at"] is not None
    assert found["f1", "map"]["reminded_at"] is None

    def by_former() -> dict[str, Any]:
        reply = service.http.get("/exchange/v1/me/materials-to-follow", headers=service.person(FORMER))
        return dict(reply.json())

    assert by_former() == {"materials": []}
    decide_on_people(service, PERSON, FORMER, "same")
    assert by_former() == own
    decide_on_people(service, PERSON, FORMER, "different")
    assert by_former() == {"materials": []}

    service.sql(
        "UPDATE exchange.plan_material m SET follows_until = now() FROM exchange.plan p WHERE p.id = m.plan"
        " AND p.case_ref = 'f1' AND m.material = 'photo'"
    )
    late = fund.call(service.http, "GET", "/exchange/v1/materials-to-follow?late=true").json()["materials"]
    assert [(each["case"], each["material"], each["late"]) for each in late] == [("f1", "photo", True)]
    for case, was_late in (("f1", True), ("f2", False)):
        path = f"/exchange/v1/cases/{case}/materials/photo/brought"
        reply = fund.call(service.http, "PUT", path)
        assert [each["late"] for each in reply.json()["materials"]] == [was_late]
        assert fund.call(service.http, "PUT", path).json() == reply.json()
        outcomes = [each["outcome"] for each in records(service, case) if each["event"] == "material-brought"]
        assert outcomes == ["late" if was_late else "in-time"]
    assert (
        fund.call(service.http, "PUT", "/exchange/v1/cases/f1/materials/nothing/brought").status_code == 404
    )
    assert not fund.call(service.http, "GET", "/exchange/v1/materials-to-follow?late=true").json()[
        "materials"
    ]


def test_a_matter_that_asks_for_more_than_a_plan_may_is_refused(
    service: Service, fund: System, setting_up: SettingUp
) -> None:
    many = [material(f"m{n}", {"all_of": [claims(name=f"n{turn}") for turn in range(20)]}) for n in range(26)]
    reply = send(service, fund, setting_up("huge", *many))
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:zhengtong:problem:matter-malformed")
    assert records(service, "2025-huge")[-1]["reason"] == "matter-malformed"


def test_the_largest_plan_is_answered(service: Service, fund: System, setting_up: SettingUp) -> None:
    many = [
        material(f"m{n}", {"any_of": [claims(name=f"n{n}-{turn}") for turn in range(20)]}) for n in range(25)
    ]
    plan = planned(service, fund, setting_up("largest", *many))
    assert {(each["state"], *each["reasons"]) for each in plan["materials"]} <= {
        ("to-bring", "mismatch"),
        ("to-bring", "mismatch", "late"),
        ("to-bring", "mismatch", "quota"),
        ("to-bring", "mismatch", "late", "quota"),
        ("to-bring", "mismatch", "quota", "late"),
    }


def test_what_a_plan_keeps_is_sealed(service: Service, fund: System, withdrawal: str) -> None:
    planned(service, fund, withdrawal, case="kept")
    for table in ("plan", "plan_material", "plan_offer"):
        for row in service.sql(f"SELECT t::text, row_to_json(t)::text FROM exchange.{table} t"):
            assert PERSON not in row[0]
            assert "张三丰" not in row[1]
    sealed = [bytes(each) for (each,) in service.sql("SELECT sealed FROM exchange.plan")]
    assert sealed
    assert all(PERSON.encode() not in each for each in sealed)
