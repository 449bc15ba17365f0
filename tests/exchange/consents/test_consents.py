"""Consent over HTTP: nothing is fetched before the person asks, nothing goes before they saw and released it."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from exchange import forgetting
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.plans.conftest import (
    PERSON,
    SPOUSE,
    STRANGER,
    claims,
    grant,
    material,
    matter,
    offline,
    planned,
    put_matter,
    send,
    states,
)
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from tests.linking import FORMER, decide_on_people
from zhengtong.house import open_house

CODE = "consented"


@pytest.fixture(scope="module", autouse=True)
def granted(service: Service, fund: System) -> None:
    put_matter(
        service.address,
        matter(
            CODE,
            material("identity", claims(name={"input": "name"})),
            material(
                "marriage",
                {
                    "all_of": [
                        claims(marital_status={"input": "marital_status"}),
                        claims("spouse", marital_status={"input": "marital_status"}),
                    ]
                },
                consent=True,
            ),
            material("age", claims(birth_date="1980-02-29"), consent=True, may_follow_days=3),
            material("address", claims(address="东湖路1号"), consent=True),
        ),
    )
    grant(service, fund.client_id, CODE)


def plan(service: Service, fund: System, case: str, **changes: Any) -> dict[str, Any]:
    return planned(service, fund, CODE, case=case, **changes)


def offers(made: dict[str, Any]) -> dict[str, list[str]]:
    return {each["id"]: each["consents"] for each in made["materials"] if "consents" in each}


def step(
    service: Service, name: str, consent: str, person: str = PERSON, method: str = "POST"
) -> httpx.Response:
    return service.http.request(
        method, f"/exchange/v1/me/consents/{consent}/{name}", headers=service.person(person)
    )


def problem(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


def evidence(service: Service, fund: System, case: str) -> dict[str, Any]:
    reply = fund.call(service.http, "GET", f"/exchange/v1/cases/{case}/evidence")
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


def events(service: Service, case: str) -> list[tuple[str, str]]:
    rows = service.sql("SELECT content FROM exchange.access_record")
    found = [orjson.loads(content) for (content,) in rows]
    found.sort(key=lambda each: (each["at"], each["event"] == "plan"))
    return [(each["event"], each["outcome"]) for each in found if each.get("case") == case]


def test_from_request_by_preview_to_release(service: Service, fund: System) -> None:
    made = plan(service, fund, "c1")
    assert states(made) == {
        "identity": "settled",
        "marriage": "to-bring",  # the spouse is not named in the case
        "age": "by-consent",
        "address": "to-bring",  # that field is not granted
    }
    (consent,) = offers(made)["age"]
    # By the plan nothing of it was fetched.
    assert events(service, "c1") == [("verify", "answered"), ("plan", "answered")]
    listed = service.http.get("/exchange/v1/me/consents", headers=service.person(PERSON)).json()["consents"]
    (own,) = [each for each in listed if each["id"] == consent]
    assert (own["state"], own["department"]) == ("offered", fund.department)
    assert own["asks"] == [{"resource": "persons-basic", "mode": "verify", "fields": ["birth_date"]}]

    assert problem(step(service, "release", consent)) == (409, "offer-not-open")
    assert problem(step(service, "preview", consent, method="GET")) == (409, "offer-not-open")
    assert step(service, "request", consent).json()["state"] == "requested"
    # Nor does the department have it now, and a release without a look is refused.
    assert [each["by"] for each in evidence(service, fund, "c1")["answers"]] == ["grant"]
    assert problem(step(service, "release", consent)) == (409, "offer-not-open")
    shown = step(service, "preview", consent, method="GET").json()
    assert shown["state"] == "previewed"
    (seen,) = shown["evidence"]
    assert seen["says"]["results"] == {"birth_date": "match"}
    assert (seen["says"]["client"], seen["says"]["case"]) == (fund.client_id, "c1")
    assert step(service, "release", consent).json()["state"] == "released"

    found = evidence(service, fund, "c1")
    (released,) = [each for each in found["answers"] if each["by"] == "consent"]
    assert (released["answer"], released["record"]) == (seen["answer"], seen["record"])
    stands = {each["id"]: each for each in found["plans"][0]["materials"]}["age"]
    assert (stands["state"], stands["settled_by"]) == ("settled", "consent")
    assert seen["record"] in stands["records"]
    assert [event for event, _outcome in events(service, "c1") if event.startswith("consent")] == [
        "consent-requested",
        "consent-previewed",
        "consent-released",
    ]
    # Said again it changes nothing, and it cannot be taken back to be used again.
    assert step(service, "release", consent).json()["state"] == "released"
    assert problem(step(service, "refusal", consent)) == (409, "offer-not-open")
    assert problem(step(service, "request", consent)) == (409, "offer-not-open")
    # A later plan of the case knows it.
    again = plan(service, fund, "c1")
    assert states(again)["age"] == "settled"
    assert {each["id"]: each for each in again["materials"]}["age"]["settled_by"] == "consent"


def test_each_person_decides_on_what_is_about_them(service: Service, fund: System) -> None:
    made = plan(service, fund, "c2", subjects={"applicant": PERSON, "spouse": SPOUSE})
    mine, theirs = offers(made)["marriage"]
    for consent, person, other in ((mine, PERSON, SPOUSE), (theirs, SPOUSE, PERSON)):
        assert problem(step(service, "request", consent, other)) == (404, "not-found")
        assert step(service, "request", consent, person).status_code == 200
        assert step(service, "preview", consent, person, "GET").status_code == 200
        stands = {each["id"]: each for each in evidence(service, fund, "c2")["plans"][0]["materials"]}
        assert stands["marriage"]["state"] == "by-consent"
        assert step(service, "release", consent, person).status_code == 200
    stands = {each["id"]: each for each in evidence(service, fund, "c2")["plans"][0]["materials"]}
    assert stands["marriage"]["state"] == "settled"


def test_what_does_not_match_is_shown_and_settles_nothing(service: Service, fund: System) -> None:
    made = plan(
        service,
        fund,
        "c3",
        subjects={"applicant": PERSON, "spouse": SPOUSE},
        inputs={"name": "张三丰", "marital_status": "single"},
    )
    mine, _theirs = offers(made)["marriage"]
    step(service, "request", mine)
    shown = step(service, "preview", mine, method="GET").json()
    assert shown["evidence"][0]["says"]["results"] == {"marital_status": "mismatch"}
    assert step(service, "release", mine).json()["state"] == "released"
    stands = {each["id"]: each for each in evidence(service, fund, "c3")["plans"][0]["materials"]}
    assert (stands["marriage"]["state"], stands["marriage"]["reasons"]) == ("to-bring", ["mismatch"])
    assert states(plan(service, fund, "c3"))["marriage"] != "settled"


def test_a_refusal_throws_away_what_was_fetched(service: Service, fund: System) -> None:
    (consent,) = offers(plan(service, fund, "c4"))["age"]
    step(service, "request", consent)
    assert step(service, "refusal", consent).json()["state"] == "refused"
    assert service.sql("SELECT evidence FROM exchange.plan_offer WHERE id = %s", consent) == [(None,)]
    assert [each["by"] for each in evidence(service, fund, "c4")["answers"]] == ["grant"]
    stands = {each["id"]: each for each in evidence(service, fund, "c4")["plans"][0]["materials"]}
    assert (stands["age"]["state"], stands["age"]["reasons"]) == ("to-bring", ["consent-refused"])
    assert problem(step(service, "preview", consent, method="GET")) == (409, "offer-not-open")


def test_it_expires_and_gives_way_to_a_newer_plan(service: Service, fund: System) -> None:
    (first,) = offers(plan(service, fund, "c5"))["age"]
    (second,) = offers(plan(service, fund, "c5"))["age"]
    assert problem(step(service, "request", first)) == (409, "offer-not-open")
    service.sql(
        "UPDATE exchange.plan_offer SET expires_at = now() - interval '1 second' WHERE id = %s", second
    )
    refused = step(service, "request", second)
    assert problem(refused) == (409, "offer-not-open")
    assert "expired" in refused.json()["detail"]


def test_a_grant_that_ended_meanwhile_leaves_the_offer_open(service: Service, fund: System) -> None:
    code = "short"
    put_matter(service.address, matter(code, material("age", claims(birth_date="1980-02-29"), consent=True)))
    given = grant(service, fund.client_id, code)
    (consent,) = offers(planned(service, fund, code, case="c6"))["age"]
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{given['id']}").status_code == 204
    assert problem(step(service, "request", consent)) == (503, "evidence-unavailable")
    assert ("verify", "refused") in events(service, "c6")
    grant(service, fund.client_id, code)
    assert step(service, "request", consent).json()["state"] == "requested"


def test_nobody_else_s_consent_can_be_found(service: Service, fund: System) -> None:
    assert problem(step(service, "request", str(uuid.uuid4()))) == (404, "not-found")
    (consent,) = offers(plan(service, fund, "c7"))["age"]
    listed = service.http.get("/exchange/v1/me/consents", headers=service.person(SPOUSE)).json()["consents"]
    assert consent not in {each["id"] for each in listed}


def test_what_a_plan_keeps_sealed_has_an_end_and_what_was_filed_still_holds(
    service: Service, fund: System
) -> None:
    made = plan(service, fund, "old", key="old")
    (consent,) = offers(made)["age"]
    filed = made["answers"][0]["answer"]

    def grow_old() -> None:
        days = service.settings.case_content_days
        service.sql(
            "UPDATE exchange.plan SET made_at = now() - %s * interval '1 day' WHERE id = %s",
            days + 1,
            made["plan"],
        )

    def kept() -> int:
        ((count,),) = service.sql(
            "SELECT num_nonnulls(p.sealed, o.questions, o.evidence) FROM exchange.plan p"
            " JOIN exchange.plan_offer o ON o.plan = p.id WHERE o.id = %s",
            consent,
        )
        return int(count)

    # While somebody may still agree to something, all stays.
    grow_old()
    assert forget(service) == 0
    for name, method in (("request", "POST"), ("preview", "GET")):
        assert step(service, name, consent, method=method).status_code == 200
    assert forget(service) == 0
    assert kept() == 3
    assert step(service, "release", consent).status_code == 200
    # The service forgets by itself, too.
    deadline = time.monotonic() + 20
    while kept():
        assert forget(service) <= 1
        assert time.monotonic() < deadline
    found = evidence(service, fund, "old")
    assert (found["answers"], found["plans"][0]["statement"]) == ([], None)
    assert {each["id"]: each["state"] for each in found["plans"][0]["materials"]}["age"] == "settled"
    assert problem(send(service, fund, CODE, case="old", key="old")) == (410, "plan-forgotten")
    # The person still sees that it was, without what it asked.
    listed = service.http.get("/exchange/v1/me/consents", headers=service.person(PERSON)).json()["consents"]
    (own,) = [each for each in listed if each["id"] == consent]
    assert (own["state"], own["asks"]) == ("released", [])
    # What the department filed holds, against the digest in the record that stays.
    assert offline(service, filed).valid
    assert [event for event, _outcome in events(service, "old")].count("verify") == 2


def forget(service: Service) -> int:
    async def work() -> int:
        async with open_house(service.settings, service.address) as house:
            return await forgetting.forget(house.exchange, datetime.now(UTC))

    return asyncio.run(work())


def test_who_is_the_same_person_by_another_number_decides_too(service: Service, fund: System) -> None:
    made = plan(service, fund, "c-merged")
    (consent,) = offers(made)["age"]

    def listed() -> list[str]:
        reply = service.http.get("/exchange/v1/me/consents", headers=service.person(FORMER))
        return [each["id"] for each in reply.json()["consents"]]

    assert listed() == []
    assert problem(step(service, "request", consent, FORMER)) == (404, "not-found")
    decide_on_people(service, PERSON, FORMER, "same")
    assert consent in listed()
    assert step(service, "request", consent, FORMER).json()["state"] == "requested"
    assert step(service, "preview", consent, FORMER, "GET").status_code == 200
    assert problem(step(service, "release", consent, STRANGER)) == (404, "not-found")
    assert step(service, "release", consent, FORMER).json()["state"] == "released"
    to_follow = service.http.get("/exchange/v1/me/materials-to-follow", headers=service.person(FORMER))
    own = service.http.get("/exchange/v1/me/materials-to-follow", headers=service.person(PERSON))
    assert to_follow.json() == own.json()
    decide_on_people(service, PERSON, FORMER, "different")
    assert listed() == []
    assert problem(step(service, "refusal", consent, FORMER)) == (404, "not-found")
