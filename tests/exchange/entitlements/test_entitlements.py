"""Automatic entitlement over HTTP: found without asking, reviewed by the department, and only then told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.entitlements import find, review
from exchange.entitlements.rules import load_rules
from exchange.outbox.deliver import place as outbox_place
from exchange.ports import Exchange
from exchange.queries.elsewhere import About, Told
from foundation.civil import civil_date
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import MARKET, Service
from tests.exchange.plans.conftest import HEADER, grant
from tests.exchange.terms import forget_after
from tests.linking import FORMER, decide_on_people

OLD = CitizenId.compute("990101", date(1930, 2, 3), 123).reveal()
ABROAD = CitizenId.compute("990101", date(1931, 2, 3), 147).reveal()
YOUNG = CitizenId.compute("990101", date(1990, 2, 3), 169).reveal()
DEAD = CitizenId.compute("990101", date(1929, 2, 3), 181).reveal()


@pytest.fixture(scope="module", autouse=True)
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = (
        f"{OLD},张三丰,男,1930-02-03,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,",
        f"{ABROAD},王五,女,1931-02-03,汉族,已婚,,H2,户主,990101,980102,西湖路1号,2001-05-06,正常,",
        f"{YOUNG},李四,女,1990-02-03,汉族,已婚,,H3,户主,990101,990102,东湖路2号,2001-05-06,正常,",
        f"{DEAD},赵六,男,1929-02-03,汉族,已婚,,H4,户主,990101,990102,东湖路3号,2001-05-06,死亡,2020-01-01",
    )
    path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes("\r\n".join([HEADER, *rows, ""]).encode("gb18030"))
    vault = open_vault(service.settings, datetime.now(UTC))
    mapping = load_mapping("population")
    assert run(mapping, FileSource(path, mapping), database=service.address, vault=vault).inserted == 4


@pytest.fixture(scope="module")
def civil(service: Service) -> System:
    system = service.system("civil-affairs", Role.DEPARTMENT_SYSTEM)
    fields = ["name", "status", "residence_division", "birth_date"]
    grant(service, system.client_id, "old-age-allowance", fields=fields, modes=["batch"])
    return system


def start(service: Service, system: System, rule: str, run_id: str | None = None) -> httpx.Response:
    body = {"id": run_id or str(uuid.uuid4()), "rule": rule}
    return system.call(service.http, "POST", "/exchange/v1/entitlements/runs", body)


def over(service: Service, system: System, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        reply = system.call(service.http, "GET", f"/exchange/v1/entitlements/runs/{run_id}")
        if reply.json()["state"] != "open":
            found: dict[str, Any] = reply.json()
            return found
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.1)


def told(service: Service, person: str) -> list[dict[str, Any]]:
    reply = service.http.get("/exchange/v1/me/entitlements", headers=service.person(person))
    found: list[dict[str, Any]] = reply.json()["entitlements"]
    return found


def records(service: Service, run_id: str) -> list[tuple[str, str]]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    contents = [orjson.loads(content) for (content,) in rows]
    return [(each["event"], each["outcome"]) for each in contents if each.get("run") == run_id]


def problem(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


def test_who_is_entitled_is_found_reviewed_and_then_told(service: Service, civil: System) -> None:
    started = start(service, civil, "old-age-allowance")
    assert started.status_code == 201, started.text
    run_id = started.json()["id"]
    assert start(service, civil, "old-age-allowance", run_id).json()["id"] == run_id
    ended = over(service, civil, run_id)
    assert (ended["state"], ended["screened"], ended["found"]) == ("review", 4, {"found": 1})
    # Nobody has been told yet, and the department sees what its grant discloses, masked.
    assert told(service, OLD) == []
    path = f"/exchange/v1/entitlements/runs/{run_id}"
    page = civil.call(service.http, "GET", f"{path}/found")
    (found,) = page.json()["found"]
    assert found["values"]["name"] == "张*"
    assert found["values"]["residence_division"] == "990102"
    assert OLD not in page.text
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department="119901000000000001")
    assert other.call(service.http, "GET", f"{path}/found").status_code == 404

    body = {"approved": True, "ids": [str(uuid.uuid4())]}
    assert civil.call(service.http, "POST", f"{path}/decisions", body).json() == {"decided": 0}
    decision = {"approved": True, "ids": [found["id"]]}
    assert civil.call(service.http, "POST", f"{path}/decisions", decision).json() == {"decided": 1}
    assert civil.call(service.http, "POST", f"{path}/decisions", decision).json() == {"decided": 0}
    assert [each["rule"] for each in told(service, OLD)] == ["old-age-allowance"]
    assert all(told(service, each) == [] for each in (ABROAD, YOUNG, DEAD))
    # The work beside may take a run up in the very moment in which it is recorded as started.
    assert sorted(records(service, run_id)) == [
        ("entitlement-found", "answered"),
        ("entitlement-found", "found"),
        ("entitlement-review", "told"),
        ("entitlement-run", "started"),
    ]
    for (text,) in service.sql("SELECT f::text FROM exchange.entitlement_found f"):
        assert "张" not in text


def test_who_is_declined_is_told_nothing(service: Service, civil: System) -> None:
    run_id = start(service, civil, "old-age-allowance").json()["id"]
    over(service, civil, run_id)
    before = len(told(service, OLD))
    path = f"/exchange/v1/entitlements/runs/{run_id}/decisions"
    assert civil.call(service.http, "POST", path, {"approved": False}).json() == {"decided": 1}
    assert civil.call(service.http, "POST", path, {"approved": True}).json() == {"decided": 0}
    assert len(told(service, OLD)) == before


def test_without_a_grant_for_batches_it_is_refused_and_recorded(service: Service, civil: System) -> None:
    assert problem(start(service, civil, "disability-allowance")) == (403, "matter-not-granted")
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record WHERE outcome = 'refused' ORDER BY recorded_at DESC LIMIT 1"
    )
    assert orjson.loads(content)["rule"] == "disability-allowance"
    assert problem(start(service, civil, "no-such-rule")) == (404, "not-found")
    run_id = str(uuid.uuid4())
    start(service, civil, "old-age-allowance", run_id)
    other = service.system("second-office", Role.DEPARTMENT_SYSTEM)
    grant(service, other.client_id, "old-age-allowance", fields=["name", "status", "residence_division", "birth_date"], modes=["batch"])  # fmt: skip
    assert problem(start(service, other, "old-age-allowance", run_id)) == (409, "run-stands")


def test_a_certificate_is_looked_for_where_the_rule_wants_one(service: Service, civil: System) -> None:
    fields = ["status", "residence_division", "licences"]
    grant(service, civil.client_id, "disability-allowance", fields=fields, modes=["batch"])
    run_id = start(service, civil, "disability-allowance").json()["id"]
    ended = over(service, civil, run_id)
    assert (ended["state"], ended["screened"], ended["found"]) == ("review", 4, {})


def test_what_stands_elsewhere_is_asked_once_for_a_whole_page(
    service: Service, civil: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = find.look_elsewhere, []

    async def counting(exchange: Exchange, about: Sequence[About], today: date) -> list[dict[str, Told]]:
        asked.append(len(about))
        return await real(exchange, about, today)

    monkeypatch.setattr(find, "look_elsewhere", counting)
    run_id = start(service, civil, "disability-allowance").json()["id"]
    assert over(service, civil, run_id)["screened"] == 4
    # Two live here; the others fail by what stands in clear.
    assert asked == [2]


def test_rules_are_written_as_their_schema_says() -> None:
    assert set(load_rules()) == {"disability-allowance", "home-care-visits", "old-age-allowance"}


def test_page_by_page_everybody_is_found_once(
    service: Service, civil: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "PAGE", 1)
    run_ids = [start(service, civil, "old-age-allowance").json()["id"] for _turn in range(3)]
    for run_id in run_ids:
        ended = over(service, civil, run_id)
        assert (ended["screened"], ended["found"]) == (4, {"found": 1})
        assert records(service, run_id).count(("entitlement-found", "found")) == 1


@pytest.fixture(scope="module")
def visits(service: Service, civil: System) -> System:
    fields = ["status", "residence_division", "birth_date"]
    grant(service, civil.client_id, "home-care-visits", fields=fields, modes=["batch"])
    return civil


def tell(service: Service, system: System, rule: str, **decision: Any) -> tuple[str, str]:
    """Run a rule, approve of who was found; return the run and the one that it found."""
    run_id = start(service, system, rule).json()["id"]
    over(service, system, run_id)
    path = f"/exchange/v1/entitlements/runs/{run_id}"
    reply = system.call(service.http, "POST", f"{path}/decisions", {"approved": True, **decision})
    assert reply.json() == {"decided": 1}, reply.text
    (found,) = system.call(service.http, "GET", f"{path}/found").json()["found"]
    return run_id, found["id"]


def answer(service: Service, person: str, found: str, *, accepted: bool) -> httpx.Response:
    path = f"/exchange/v1/me/entitlements/{found}/answer"
    return service.http.post(path, json={"accepted": accepted}, headers=service.person(person))


def report(service: Service, system: System, run_id: str) -> tuple[dict[str, int], int]:
    shown = system.call(service.http, "GET", f"/exchange/v1/entitlements/runs/{run_id}").json()
    return shown["found"], shown["due"]


def messages(service: Service, found: str) -> list[tuple[str, str, bytes]]:
    return [
        (target, kind, bytes(sealed))
        for target, kind, sealed in service.sql(
            "SELECT target, kind, sealed FROM exchange.outbox WHERE id = %s", found
        )
    ]


def whom(service: Service, system: System, run_id: str, found: str) -> httpx.Response:
    path = f"/exchange/v1/entitlements/runs/{run_id}/found/{found}/beneficiary"
    return system.call(service.http, "GET", path)


def test_a_benefit_is_given_only_to_who_accepts_where_the_rule_says_so(
    service: Service, visits: System
) -> None:
    run_id, found = tell(service, visits, "home-care-visits")
    today = civil_date(datetime.now(UTC))
    (mine,) = [each for each in told(service, OLD) if each["id"] == found]
    assert (mine["state"], mine["answer_until"]) == ("told", (today + timedelta(days=60)).isoformat())
    assert (report(service, visits, run_id), messages(service, found)) == (({"told": 1}, 0), [])
    assert problem(whom(service, visits, run_id, found)) == (409, "benefit-not-due")
    # Nobody answers for another.
    assert problem(answer(service, YOUNG, found, accepted=True)) == (404, "not-found")

    reply = answer(service, OLD, found, accepted=True)
    assert reply.status_code == 200, reply.text
    assert answer(service, OLD, found, accepted=True).json() == reply.json()
    assert problem(answer(service, OLD, found, accepted=False)) == (409, "entitlement-not-open")
    assert report(service, visits, run_id) == ({"accepted": 1}, 1)
    ((target, kind, sealed),) = messages(service, found)
    assert (target, kind) == (MARKET, "benefit-due")
    said = open_vault(service.settings, datetime.now(UTC)).open(sealed, outbox_place(uuid.UUID(found)))
    assert orjson.loads(said)["found"] == found
    assert OLD.encode() not in said
    assert whom(service, visits, run_id, found).json() == {"kind": "citizen-id", "identifier": OLD}
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department="119901000000000001")
    assert problem(whom(service, other, run_id, found)) == (404, "not-found")
    assert records(service, run_id)[-3:] == [
        ("entitlement-beneficiary", "refused"),
        ("entitlement-answer", "accepted"),
        ("entitlement-beneficiary", "answered"),
    ]
    ours = [orjson.loads(content) for (content,) in service.sql("SELECT content FROM exchange.access_record")]
    refusals = [
        each["reason"] for each in ours if each.get("found") == found and each["outcome"] == "not-taken"
    ]
    assert sorted(refusals) == ["entitlement-not-open", "not-found"]


def test_who_was_told_by_one_number_answers_by_another(service: Service, visits: System) -> None:
    run_id, found = tell(service, visits, "home-care-visits")
    assert told(service, FORMER) == []
    assert problem(answer(service, FORMER, found, accepted=True)) == (404, "not-found")
    decide_on_people(service, OLD, FORMER, "same")
    assert found in [each["id"] for each in told(service, FORMER)]
    assert answer(service, FORMER, found, accepted=True).status_code == 200
    assert report(service, visits, run_id) == ({"accepted": 1}, 1)
    decide_on_people(service, OLD, FORMER, "different")
    assert told(service, FORMER) == []


def test_who_refuses_is_given_nothing(service: Service, visits: System) -> None:
    run_id, found = tell(service, visits, "home-care-visits")
    assert answer(service, OLD, found, accepted=False).status_code == 200
    assert answer(service, OLD, found, accepted=False).status_code == 200
    assert problem(answer(service, OLD, found, accepted=True)) == (409, "entitlement-not-open")
    assert (report(service, visits, run_id), messages(service, found)) == (({"refused": 1}, 0), [])
    path = f"/exchange/v1/entitlements/runs/{run_id}/found"
    (shown,) = visits.call(service.http, "GET", f"{path}?state=refused").json()["found"]
    assert (shown["id"], shown["due_at"]) == (found, None)
    assert visits.call(service.http, "GET", f"{path}?state=accepted").json()["found"] == []


def test_of_answers_at_once_one_stands(service: Service, visits: System) -> None:
    run_id, found = tell(service, visits, "home-care-visits")
    headers = service.person(OLD)
    path = f"/exchange/v1/me/entitlements/{found}/answer"
    with ThreadPoolExecutor(8) as threads:
        replies = list(
            threads.map(
                lambda turn: (
                    service.http.post(path, json={"accepted": turn % 2 == 0}, headers=headers).status_code
                ),
                range(16),
            )
        )
    assert sorted(replies) == [200] * 8 + [409] * 8
    counted, due = report(service, visits, run_id)
    assert sum(counted.values()) == 1
    assert len(messages(service, found)) == due == counted.get("accepted", 0)
    answers = [outcome for event, outcome in records(service, run_id) if event == "entitlement-answer"]
    assert answers == list(counted)


def test_after_the_last_day_nobody_answers_any_more(service: Service, visits: System) -> None:
    today = civil_date(datetime.now(UTC))
    run_id, found = tell(service, visits, "home-care-visits", until=today.isoformat())
    path = f"/exchange/v1/entitlements/runs/{run_id}/decisions"
    yesterday = {"approved": True, "until": (today - timedelta(days=1)).isoformat()}
    assert problem(visits.call(service.http, "POST", path, yesterday)) == (422, "answer-day-invalid")
    service.sql("UPDATE exchange.entitlement_found SET answer_until = answer_until - 1 WHERE id = %s", found)
    assert report(service, visits, run_id) == ({"lapsed": 1}, 0)
    (mine,) = [each for each in told(service, OLD) if each["id"] == found]
    assert mine["state"] == "lapsed"
    assert problem(answer(service, OLD, found, accepted=True)) == (409, "entitlement-not-open")
    assert messages(service, found) == []


def test_without_need_of_an_answer_it_is_due_as_soon_as_they_are_told(
    service: Service, civil: System
) -> None:
    run_id, found = tell(service, civil, "old-age-allowance")
    assert report(service, civil, run_id) == ({"told": 1}, 1)
    assert [kind for _target, kind, _sealed in messages(service, found)] == ["benefit-due"]
    assert whom(service, civil, run_id, found).json()["identifier"] == OLD
    assert problem(answer(service, OLD, found, accepted=False)) == (409, "entitlement-not-open")
    path = f"/exchange/v1/entitlements/runs/{run_id}/decisions"
    tomorrow = (civil_date(datetime.now(UTC)) + timedelta(days=1)).isoformat()
    reply = civil.call(service.http, "POST", path, {"approved": True, "until": tomorrow})
    assert problem(reply) == (422, "answer-day-invalid")


def test_nobody_is_told_by_a_rule_that_has_changed(
    service: Service, civil: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(service, civil, "old-age-allowance").json()["id"]
    over(service, civil, run_id)
    rules = load_rules()
    changed = replace(rules["old-age-allowance"], version=2)
    monkeypatch.setattr(review, "load_rules", lambda: {**rules, "old-age-allowance": changed})
    path = f"/exchange/v1/entitlements/runs/{run_id}/decisions"
    assert problem(civil.call(service.http, "POST", path, {"approved": True})) == (409, "rule-changed")
    assert report(service, civil, run_id) == ({"found": 1}, 0)


def test_what_was_seen_of_people_is_forgotten_and_what_is_due_is_still_given(
    service: Service, visits: System
) -> None:
    run_id, found = tell(service, visits, "home-care-visits")
    assert answer(service, OLD, found, accepted=True).status_code == 200
    days = service.settings.entitlement_values_days
    assert "entitlements" not in forget_after(service, days - 1)
    assert forget_after(service, days + 1)["entitlements"] >= 1
    path = f"/exchange/v1/entitlements/runs/{run_id}/found"
    (seen,) = visits.call(service.http, "GET", path).json()["found"]
    assert (seen["state"], seen["values"]) == ("accepted", None)
    assert whom(service, visits, run_id, found).json()["identifier"] == OLD
    assert forget_after(service, days + 1) == {}
