"""Consent at the counter over HTTP: a code says who stands there, or is the consent itself; a counter never consents."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.consents.test_consents import events, evidence, offers, problem, step
from tests.exchange.plans.conftest import (
    PERSON,
    SPOUSE,
    STRANGER,
    claims,
    grant,
    material,
    matter,
    planned,
    put_matter,
    states,
)
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from tests.exchange.terms import forget_after
from tests.license_registry.conftest import issued
from zhengtong.client import CallFailed, Client

CODE = "at-the-counter"
OTHER = "another-matter"


@pytest.fixture(scope="module", autouse=True)
def granted(service: Service, fund: System) -> None:
    for code in (CODE, OTHER):
        put_matter(
            service.address,
            matter(
                code,
                material("age", claims(birth_date="1980-02-29"), consent=True, consent_by_code=True),
                material("home", claims(residence_division="990102"), consent=True, consent_by_code=True),
                material("strict", claims(name="张三丰"), consent=True),
                material(
                    "marriage", claims("spouse", marital_status="married"), consent=True, consent_by_code=True
                ),
            ),
        )
        grant(service, fund.client_id, code)


@pytest.fixture(scope="module")
def licences(service: Service) -> dict[str, str]:
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    return {
        person: issued(service, authority, presenter=person)["identifier"]
        for person in (PERSON, SPOUSE, STRANGER)
    }


def plan(service: Service, fund: System, case: str, code: str = CODE, **changes: Any) -> dict[str, list[str]]:
    made = planned(service, fund, code, case=case, **changes)
    told = {each["id"]: each.get("consent_by_code") for each in made["materials"]}
    assert (told["age"], told["strict"]) == (True, False)
    return offers(made)


def licence_code(
    service: Service, licences: dict[str, str], person: str = PERSON, code: str = CODE, **changes: Any
) -> str:
    wanted = {"identifier": licences[person], "purpose": "窗口办事", "matter": code, **changes}
    reply = service.http.post(
        "/registry/v1/presentations", json=wanted, headers=service.person(changes.pop("by", person))
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["qr"])


def show(
    service: Service, system: System, case: str, text: str, code: str = CODE, presentation: str | None = None
) -> httpx.Response:
    body = {"id": presentation or str(uuid.uuid4()), "matter": code, "code": text}
    return system.call(service.http, "POST", f"/exchange/v1/cases/{case}/presented-codes", body)


def preview(service: Service, consent: str, person: str = PERSON) -> dict[str, Any]:
    step(service, "request", consent, person)
    reply = step(service, "preview", consent, person, "GET")
    assert reply.status_code == 200
    shown: dict[str, Any] = reply.json()
    return shown


def make_code(
    service: Service, *consents: str, person: str = PERSON, code_id: str | None = None
) -> httpx.Response:
    body = {"id": code_id or str(uuid.uuid4()), "consents": consents}
    return service.http.post("/exchange/v1/me/consent-codes", json=body, headers=service.person(person))


def own_code(service: Service, *consents: str) -> str:
    reply = make_code(service, *consents)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["code"])


def material_of(service: Service, fund: System, case: str, name: str) -> dict[str, Any]:
    newest = evidence(service, fund, case)["plans"][0]
    return {each["id"]: each for each in newest["materials"]}[name]


def test_a_licence_s_code_says_who_stands_there_and_they_decide_on_their_own_device(
    service: Service, fund: System, licences: dict[str, str]
) -> None:
    made = plan(service, fund, "k1")
    text, key = licence_code(service, licences), str(uuid.uuid4())
    shown = show(service, fund, "k1", text, presentation=key)
    assert shown.status_code == 200, shown.text
    told = shown.json()
    assert (told["id"], told["result"]) == (key, "identified")
    assert {each["material"]: each["state"] for each in told["consents"]} == dict.fromkeys(
        ("age", "home", "strict"), "requested"
    )
    # The counter has got nothing by it, and what was fetched is not shown to it.
    assert evidence(service, fund, "k1")["answers"] == []
    assert all(set(each) == {"id", "material", "state"} for each in told["consents"])
    (consent,) = made["strict"]
    listed = service.http.get("/exchange/v1/me/consents", headers=service.person(PERSON)).json()["consents"]
    own = {each["id"]: each for each in listed}[consent]
    assert (own["state"], own["by_code"]) == ("requested", False)
    assert own["presented_at"] is not None
    assert problem(step(service, "release", consent)) == (409, "offer-not-open")
    assert step(service, "preview", consent, method="GET").status_code == 200
    assert step(service, "release", consent).json()["state"] == "released"
    assert material_of(service, fund, "k1", "strict")["settled_by"] == "consent"
    # The same request again says how they stand; with another code its id is taken, and the code works once.
    again = show(service, fund, "k1", text, presentation=key).json()
    assert {each["material"]: each["state"] for each in again["consents"]}["strict"] == "released"
    other = licence_code(service, licences)
    assert problem(show(service, fund, "k1", other, presentation=key)) == (409, "consent-id-taken")
    assert problem(show(service, fund, "k1", text)) == (409, "consent-code-used")
    happened = events(service, "k1")
    assert ("consent-presented", "identified") in happened
    assert ("consent-presented", "repeated") in happened
    assert ("consent-presented", "refused") in happened
    # The person sees it among who looked at their data, and the registry has recorded it with the licence.
    seen = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON)).json()["accesses"]
    assert any(
        (each["event"], each["outcome"], each["client"])
        == ("consent-presented", "identified", fund.client_id)
        for each in seen
    )
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE kind = 'presenter-identified' AND identifier = %s",
        licences[PERSON],
    )
    assert [orjson.loads(content)["case"] for (content,) in rows] == ["k1"]


def test_a_code_made_for_it_releases_exactly_what_was_previewed_at_the_counter(
    service: Service, fund: System
) -> None:
    made = plan(service, fund, "k2")
    (age,), (home,), (strict,) = made["age"], made["home"], made["strict"]
    assert problem(make_code(service, age)) == (409, "offer-not-open")  # nothing was seen yet
    seen = preview(service, age)["evidence"]
    preview(service, home)
    key = str(uuid.uuid4())
    shown = make_code(service, age, home, code_id=key)
    assert shown.headers["cache-control"] == "no-store"
    told = shown.json()
    assert told["code"].startswith("ZT3:")
    assert (told["matter"], told["case"], told["department"]) == (CODE, "k2", fund.department)
    assert datetime.fromisoformat(told["expires_at"]) < datetime.now(UTC) + timedelta(seconds=601)
    # Asked again it is the same code; the counter gets nothing before it is shown.
    assert make_code(service, home, age, code_id=key).json() == told
    assert problem(make_code(service, age, code_id=key)) == (409, "consent-id-taken")
    assert evidence(service, fund, "k2")["answers"] == []
    presentation = str(uuid.uuid4())
    reply = show(service, fund, "k2", told["code"], presentation=presentation)
    assert reply.status_code == 200, reply.text
    assert reply.json()["result"] == "released"
    assert {each["material"]: each["state"] for each in reply.json()["consents"]} == {
        "age": "released",
        "home": "released",
    }
    found = evidence(service, fund, "k2")["answers"]
    assert {(each["by"], each["material"]) for each in found} == {("consent", "age"), ("consent", "home")}
    assert seen[0]["answer"] in {each["answer"] for each in found}
    assert material_of(service, fund, "k2", "strict")["state"] == "by-consent"
    assert show(service, fund, "k2", told["code"], presentation=presentation).json()["result"] == "released"
    assert problem(show(service, fund, "k2", told["code"])) == (409, "consent-code-used")
    # For what the matter wants released on the own device no code can stand.
    preview(service, strict)
    assert problem(make_code(service, strict)) == (403, "consent-code-not-allowed")
    happened = [event for event, _outcome in events(service, "k2")]
    assert happened.count("consent-code-made") == 1
    assert happened.count("consent-released") == 2


def test_a_code_is_bound_to_case_matter_and_department(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k3")["age"]
    preview(service, age)
    text = own_code(service, age)
    plan(service, fund, "k3-other")
    plan(service, fund, "k3", code=OTHER)
    other = service.system("other-department", Role.DEPARTMENT_SYSTEM, department="11990200MB2A00003Y")
    for system, case, code in ((fund, "k3-other", CODE), (fund, "k3", OTHER), (other, "k3", CODE)):
        assert problem(show(service, system, case, text, code)) == (403, "consent-code-differs")
    assert problem(show(service, fund, "k3", "ZT3:" + "A" * 26)) == (404, "consent-code-unknown")
    # Whose code it is sees that it was tried elsewhere; none of that used it up.
    seen = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON)).json()["accesses"]
    assert any((each["event"], each["client"]) == ("consent-presented", other.client_id) for each in seen)
    assert show(service, fund, "k3", text).json()["result"] == "released"


def test_one_code_releases_once_however_often_it_is_shown(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k4")["age"]
    preview(service, age)
    text = own_code(service, age)
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: show(service, fund, "k4", text), range(4)))
    assert sorted(reply.status_code for reply in replies) == [200, 409, 409, 409]
    assert [event for event, _ in events(service, "k4")].count("consent-released") == 1


def test_what_is_late_withdrawn_or_overtaken_releases_nothing(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k5")["age"]
    preview(service, age)
    key = str(uuid.uuid4())
    text = str(make_code(service, age, code_id=key).json()["code"])
    path = f"/exchange/v1/me/consent-codes/{key}"
    assert service.http.delete(path, headers=service.person(SPOUSE)).status_code == 404
    for _again in range(2):
        assert service.http.delete(path, headers=service.person(PERSON)).status_code == 204
    assert problem(show(service, fund, "k5", text)) == (410, "consent-code-over")
    late = own_code(service, age)
    service.sql("UPDATE exchange.consent_code SET expires_at = now() WHERE used_at IS NULL")
    assert problem(show(service, fund, "k5", late)) == (410, "consent-code-over")
    refused = own_code(service, age)
    assert step(service, "refusal", age).status_code == 200
    assert problem(show(service, fund, "k5", refused)) == (409, "offer-not-open")
    (newer,) = plan(service, fund, "k5")["age"]
    preview(service, newer)
    overtaken = own_code(service, newer)
    plan(service, fund, "k5")
    assert problem(show(service, fund, "k5", overtaken)) == (409, "offer-not-open")
    assert evidence(service, fund, "k5")["answers"] == []
    assert "consent-released" not in {event for event, _ in events(service, "k5")}


def test_what_is_fetched_anew_is_not_what_the_code_was_made_for(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k6")["age"]
    preview(service, age)
    text = own_code(service, age)
    service.sql("UPDATE exchange.plan_offer SET evidence = evidence || '\\x00'::bytea WHERE id = %s", age)
    assert problem(show(service, fund, "k6", text)) == (403, "consent-code-differs")


def test_nobody_makes_a_code_for_what_is_asked_of_another(service: Service, fund: System) -> None:
    made = plan(service, fund, "k7", subjects={"applicant": PERSON, "spouse": SPOUSE})
    (age,), (marriage,) = made["age"], made["marriage"]
    preview(service, age)
    preview(service, marriage, SPOUSE)
    assert problem(make_code(service, age, person=SPOUSE)) == (404, "not-found")
    assert problem(make_code(service, age, marriage)) == (404, "not-found")
    (elsewhere,) = plan(service, fund, "k7-other")["age"]
    preview(service, elsewhere)
    assert problem(make_code(service, age, elsewhere)) == (409, "offer-not-open")


def test_each_person_s_code_is_about_what_is_asked_of_them_and_a_stranger_s_about_nothing(
    service: Service, fund: System, licences: dict[str, str]
) -> None:
    plan(service, fund, "k8", subjects={"applicant": PERSON, "spouse": SPOUSE})
    stranger = licence_code(service, licences, STRANGER)
    assert problem(show(service, fund, "k8", stranger)) == (403, "consent-code-differs")
    other_matter = licence_code(service, licences, code=OTHER)
    assert problem(show(service, fund, "k8", other_matter)) == (403, "consent-code-differs")
    told = show(service, fund, "k8", licence_code(service, licences, SPOUSE)).json()
    assert [each["material"] for each in told["consents"]] == ["marriage"]
    late = licence_code(service, licences)
    service.sql("UPDATE license_registry.presentation SET expires_at = now() WHERE used_at IS NULL")
    assert problem(show(service, fund, "k8", late)) == (410, "consent-code-over")
    assert problem(show(service, fund, "no-such-case", licence_code(service, licences))) == (404, "not-found")
    # Refused, the stranger's licence has it recorded.
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE kind = 'presentation-refused' AND identifier = %s",
        licences[STRANGER],
    )
    assert [orjson.loads(content)["reason"] for (content,) in rows] == ["consent-code-differs"]


def test_an_agent_consents_for_nobody(service: Service, fund: System, licences: dict[str, str]) -> None:
    plan(service, fund, "k9")
    given = service.http.post(
        "/registry/v1/delegations",
        json={
            "agent": STRANGER,
            "identifiers": [licences[PERSON]],
            "matter": CODE,
            "valid_until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        },
        headers=service.person(PERSON),
    ).json()
    reply = service.http.post(
        "/registry/v1/presentations",
        json={
            "identifier": licences[PERSON],
            "purpose": "代办",
            "matter": CODE,
            "delegation": given["id"],
        },
        headers=service.person(STRANGER),
    )
    assert reply.status_code == 201, reply.text
    assert problem(show(service, fund, "k9", reply.json()["qr"])) == (403, "consent-code-by-agent")
    assert {event for event, _ in events(service, "k9")} == {"plan", "consent-presented"}


def test_a_source_that_does_not_answer_is_asked_again_by_the_same_request(
    service: Service, fund: System, licences: dict[str, str]
) -> None:
    code = "short-at-the-counter"
    put_matter(service.address, matter(code, material("age", claims(birth_date="1980-02-29"), consent=True)))
    given = grant(service, fund.client_id, code)
    planned(service, fund, code, case="k10")
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{given['id']}").status_code == 204
    text, key = licence_code(service, licences, code=code), str(uuid.uuid4())
    refused = show(service, fund, "k10", text, code, key)
    assert problem(refused) == (503, "evidence-unavailable")
    grant(service, fund.client_id, code)
    told = show(service, fund, "k10", text, code, key).json()
    assert [each["state"] for each in told["consents"]] == ["requested"]


def test_a_release_is_withdrawn_at_once_while_the_case_is_open(service: Service, fund: System) -> None:
    made = plan(service, fund, "k11")
    (age,), (home,) = made["age"], made["home"]
    preview(service, age)
    preview(service, home)
    assert show(service, fund, "k11", own_code(service, age, home)).status_code == 200
    later = planned(service, fund, CODE, case="k11")
    assert states(later)["age"] == "settled"
    assert step(service, "withdrawal", age).json()["state"] == "withdrawn"
    assert step(service, "withdrawal", age).json()["state"] == "withdrawn"
    assert {each["material"] for each in evidence(service, fund, "k11")["answers"]} == {"home"}
    assert service.sql("SELECT evidence FROM exchange.plan_offer WHERE id = %s", age) == [(None,)]
    for each in evidence(service, fund, "k11")["plans"]:
        stands = {material["id"]: material for material in each["materials"]}
        assert (stands["age"]["state"], stands["age"]["settled_by"]) == ("to-bring", None)
        assert stands["age"]["reasons"][-1] == "consent-withdrawn"
        assert stands["home"]["state"] == "settled"
    assert ("consent-withdrawn", "withdrawn") in events(service, "k11")
    # A newer plan asks again; once the case is decided, what was decided with stands.
    assert states(planned(service, fund, CODE, case="k11"))["age"] == "by-consent"
    outcome = {
        "id": str(uuid.uuid4()),
        "matter": CODE,
        "result": "granted",
        "decided_on": "2025-03-03",
        "applicant": PERSON,
    }
    reply = fund.call(service.http, "POST", "/exchange/v1/cases/k11/outcome", outcome)
    assert reply.is_success, reply.text
    assert problem(step(service, "withdrawal", home)) == (409, "offer-not-open")


def test_codes_are_forgotten_with_the_cases_that_they_were_for(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k12")["age"]
    preview(service, age)
    assert show(service, fund, "k12", own_code(service, age)).status_code == 200
    days = service.settings.case_content_days
    assert "consent-codes" not in forget_after(service, days - 1)
    assert forget_after(service, days + 1)["consent-codes"] >= 2
    for table in ("consent_code", "consent_presentation"):
        assert service.sql(f"SELECT count(*) FROM exchange.{table}") == [(0,)]
    assert ("consent-released", "released") in events(service, "k12")


def test_a_counter_hands_a_code_on_by_its_client(service: Service, fund: System) -> None:
    (age,) = plan(service, fund, "k/by client")["age"]
    preview(service, age)
    code, shown = own_code(service, age), uuid.uuid4()
    with Client(service.settings.base_url, fund.client_id, fund.key, key_id="1") as calling:
        for _time in range(2):
            told = calling.show_code(CODE, case="k/by client", code=code, shown=shown)
            assert (told.result, told.consents) == ("released", {"age": "released"})
        with pytest.raises(CallFailed, match="consent-code-used"):
            calling.show_code(CODE, case="k/by client", code=code)
