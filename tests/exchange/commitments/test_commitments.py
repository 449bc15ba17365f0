"""Commitments over HTTP: read, signed, made public, verified later; a breach reaches the credit authority."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from exchange.commitments.commitment import TYPE
from exchange.matters.commitments import load_templates
from exchange.queries.answer import subject_matches
from foundation.civil import CHINA
from foundation.identifiers import Uscc
from foundation.settings import Settings
from foundation.signing import Algorithm, PublicKey, verify_compact
from foundation.workdays import load_calendar
from license_registry.presenting.check import Result
from tests.conftest import MARKET, Service, free_port, fresh_database, serving
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
    states,
)
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier
from tests.linking import FORMER, decide_on_people

CODE = "committed"
FIRM = str(Uscc.compute("91990101MA0000001"))


@pytest.fixture(scope="module")
def credit() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory, credit: Receiver
) -> Iterator[Service]:
    """A house that has a credit authority to tell."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            documents="when-asked",
            credit_webhook=credit.url,
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture(scope="module", autouse=True)
def granted(service: Service, fund: System) -> None:
    committed = {"any_of": [claims(marital_status="divorced"), {"commitment": "marital-status-truthful"}]}
    put_matter(
        service.address,
        matter(
            CODE,
            material("marriage", committed),
            material("site", {"commitment": "opening-conditions-met"}),
            material("gone", {"commitment": "no-such-template"}),
        ),
    )
    grant(service, fund.client_id, CODE)


def until(said: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not said():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def mine(service: Service, person: str = PERSON) -> dict[str, Any]:
    reply = service.http.get("/exchange/v1/me/commitments", headers=service.person(person))
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


def offered(service: Service, fund: System, case: str, **changes: Any) -> dict[str, dict[str, Any]]:
    made = planned(service, fund, CODE, case=case, **changes)
    person = changes.get("subjects", {}).get("applicant", PERSON)
    ids = {
        each["offer"]: part["id"]
        for part in made["materials"]
        if part["state"] == "by-commitment"
        for each in part["commitments"]
    }
    return {ids[each["id"]]: each for each in mine(service, person)["offered"] if each["id"] in ids}


def sign(service: Service, offer: dict[str, Any], person: str = PERSON, **changes: Any) -> httpx.Response:
    body = {"text_sha256": offer["text_sha256"], **changes}
    return service.http.post(
        f"/exchange/v1/me/commitments/{offer['id']}/signature", json=body, headers=service.person(person)
    )


def problem(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


def due(service: Service, commitment: str) -> None:
    service.sql("UPDATE exchange.commitment SET verify_at = now() WHERE id = %s", commitment)


def told(credit: Receiver) -> list[tuple[httpx.Request, dict[str, Any]]]:
    return [(each, orjson.loads(each.content)) for each in credit.got]


def seen(service: Service, fund: System, commitment: str) -> dict[str, Any]:
    listed = fund.call(service.http, "GET", "/exchange/v1/commitments").json()["commitments"]
    (found,) = [each for each in listed if each["id"] == commitment]
    return dict(found)


def test_the_text_is_read_and_signed_and_settles_the_material(service: Service, fund: System) -> None:
    made = planned(service, fund, CODE, case="k1")
    assert states(made) == {"marriage": "by-commitment", "site": "by-commitment", "gone": "to-bring"}
    offer = offered(service, fund, "k1")["marriage"]
    assert "住房公积金提取" in offer["text"]
    assert "k1" in offer["text_en"]
    shown = "".join(f"{offer[name]}\0" for name in ("text", "text_en", "consequences", "consequences_en"))
    assert offer["text_sha256"] == hashlib.sha256(shown.encode()).hexdigest()

    assert problem(sign(service, offer, SPOUSE)) == (404, "not-found")
    assert problem(sign(service, offer, text_sha256="0" * 64)) == (409, "commitment-text-differs")
    signed = sign(service, offer)
    assert signed.status_code == 200
    keys = {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}
    statement = verify_compact(signed.json()["statement"], keys, TYPE, frozenset({Algorithm.ES256}))
    said = orjson.loads(statement.payload)
    assert said["text_sha256"] == offer["text_sha256"]
    assert (said["template"], said["case"], said["signed_by"]) == ("marital-status-truthful", "k1", "session")
    assert subject_matches(said, PERSON)
    assert PERSON not in str(said)
    found = offline(service, signed.json()["statement"])
    assert (found.kind, found.result, found.told["case"]) == ("commitment", Result.VALID, "k1")
    # Verified after 20 working days, at the end of the last.
    verify_at = datetime.fromisoformat(signed.json()["verify_at"]).astimezone(CHINA)
    signed_at = datetime.fromisoformat(signed.json()["signed_at"]).astimezone(CHINA)
    last = load_calendar().add_working_days(signed_at.date(), 20)
    assert verify_at == datetime(last.year, last.month, last.day, tzinfo=CHINA) + timedelta(days=1)

    assert sign(service, offer).json() == signed.json()
    assert service.sql("SELECT count(*) FROM exchange.commitment WHERE id = %s", offer["id"]) == [(1,)]
    evidence = fund.call(service.http, "GET", "/exchange/v1/cases/k1/evidence").json()["plans"]
    stands = {each["id"]: each for each in evidence[0]["materials"]}["marriage"]
    assert (stands["state"], stands["settled_by"]) == ("settled", "commitment")
    assert stands["records"]
    again = planned(service, fund, CODE, case="k1")
    assert states(again)["marriage"] == "settled"
    # Of another case it says nothing.
    assert states(planned(service, fund, CODE, case="k2"))["marriage"] == "by-commitment"


def test_who_is_the_same_person_by_another_number_signs_as_who_applied(
    service: Service, fund: System
) -> None:
    offer = offered(service, fund, "k-merged")["marriage"]
    assert mine(service, FORMER) == {"offered": [], "signed": []}
    assert problem(sign(service, offer, FORMER)) == (404, "not-found")
    decide_on_people(service, PERSON, FORMER, "same")
    assert offer["id"] in [each["id"] for each in mine(service, FORMER)["offered"]]
    signed = sign(service, offer, FORMER)
    assert signed.status_code == 200, signed.text
    keys = {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}
    statement = verify_compact(signed.json()["statement"], keys, TYPE, frozenset({Algorithm.ES256}))
    assert subject_matches(orjson.loads(statement.payload), PERSON)
    assert offer["id"] in [each["id"] for each in mine(service, FORMER)["signed"]]
    decide_on_people(service, PERSON, FORMER, "different")
    assert mine(service, FORMER) == {"offered": [], "signed": []}
    assert offer["id"] in [each["id"] for each in mine(service, PERSON)["signed"]]


def test_only_what_the_law_makes_public_is_public_and_the_name_is_masked(
    service: Service, fund: System
) -> None:
    offers = offered(service, fund, "k3")
    assert sign(service, offers["marriage"]).status_code == 200
    assert sign(service, offers["site"]).status_code == 200
    reply = service.http.get("/exchange/v1/commitments/public")
    found = {each["id"]: each for each in reply.json()["commitments"]}
    assert offers["marriage"]["id"] not in found
    assert found[offers["site"]["id"]]["name"] == "张*"
    assert PERSON not in reply.text
    assert "k3" not in reply.text


def test_it_is_verified_when_its_day_comes_and_holds(service: Service, fund: System) -> None:
    offer = offered(service, fund, "k4", inputs={"name": "张三丰", "marital_status": "married"})["marriage"]
    assert sign(service, offer).json()["state"] == "signed"
    due(service, offer["id"])
    until(lambda: seen(service, fund, offer["id"])["state"] == "held", "the commitment was not verified")
    found = seen(service, fund, offer["id"])
    assert (len(found["records"]), found["verify_at"]) == (1, None)
    rows = service.sql("SELECT content FROM exchange.access_record WHERE id = %s", found["records"][0])
    record = orjson.loads(rows[0][0])
    assert (record["event"], record["client"], record["case"]) == ("verify", fund.client_id, "k4")


def test_a_breach_is_told_to_the_credit_authority_once_and_signed(
    service: Service, fund: System, credit: Receiver
) -> None:
    offer = offered(service, fund, "k5", inputs={"name": "张三丰", "marital_status": "single"})["marriage"]
    assert sign(service, offer).status_code == 200
    due(service, offer["id"])
    until(lambda: any(each["id"] == offer["id"] for _request, each in told(credit)), "no breach was told")
    assert seen(service, fund, offer["id"])["state"] == "breached"
    ((request, body),) = [each for each in told(credit) if each[1]["id"] == offer["id"]]
    assert (body["kind"], body["subject"], body["department"]) == ("commitment-breached", PERSON, MARKET)
    assert verifier(service.http.get("/jwks.json").json()).verify(request)
    records = [
        orjson.loads(content)
        for (content,) in service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    ]
    assert [each["event"] for each in records if each.get("commitment") == offer["id"]] == [
        "commitment-signed",
        "commitment-breached",
    ]
    due(service, offer["id"])  # a verdict stands
    sealed = service.sql("SELECT sealed FROM exchange.outbox WHERE id = %s", offer["id"])[0][0]
    assert PERSON.encode() not in bytes(sealed)


def test_what_is_not_known_is_verified_again_and_stays_unknown_in_the_end(
    service: Service, fund: System
) -> None:
    offer = offered(service, fund, "k6", subjects={"applicant": STRANGER})["marriage"]
    signed = sign(service, offer, STRANGER).json()
    for attempt in (1, 2, 3):
        due(service, offer["id"])
        until(
            lambda attempt=attempt: (
                service.sql("SELECT attempts FROM exchange.commitment WHERE id = %s", offer["id"])
                == [(attempt,)]
            ),
            "not verified",
        )
        found = seen(service, fund, offer["id"])
        assert found["state"] == ("signed" if attempt < 3 else "unknown")
        assert (found["verify_at"] is None) == (attempt == 3)
    assert signed["state"] == "signed"


def test_a_commitment_that_expired_or_was_never_offered_cannot_be_signed(
    service: Service, fund: System
) -> None:
    offer = offered(service, fund, "k7")["site"]
    service.sql(
        "UPDATE exchange.plan_offer SET expires_at = now() - interval '1 second' WHERE id = %s", offer["id"]
    )
    assert problem(sign(service, offer)) == (409, "offer-not-open")
    assert problem(sign(service, {**offer, "id": str(uuid.uuid4())})) == (404, "not-found")


def test_an_entity_s_commitment_is_signed_by_who_speaks_for_it(service: Service, fund: System) -> None:
    code = "entity"
    subjects = {
        "applicant": {"kind": "uscc"},
        "representative": {"kind": "citizen-id", "required": False},
    }
    put_matter(
        service.address,
        matter(code, material("site", {"commitment": "opening-conditions-met"}), subjects=subjects),
    )
    grant(service, fund.client_id, code)
    alone = planned(service, fund, code, case="e1", subjects={"applicant": FIRM})
    assert alone["materials"][0]["commitments"] == [{"template": "opening-conditions-met", "offer": None}]
    both = planned(service, fund, code, case="e2", subjects={"applicant": FIRM, "representative": SPOUSE})
    (offer,) = [
        each
        for each in mine(service, SPOUSE)["offered"]
        if each["id"] == both["materials"][0]["commitments"][0]["offer"]
    ]
    assert sign(service, offer, SPOUSE).status_code == 200


def test_templates_are_there_to_be_read(service: Service) -> None:
    listed = service.http.get("/exchange/v1/commitments/templates").json()["templates"]
    assert {each["id"] for each in listed} == set(load_templates())
    assert len(listed) >= 5
    assert all(each["public_basis"] for each in listed if each["public"])
