"""Outcomes and supervision over HTTP: pushed to who supervises; inspections and penalties come back as entries."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.civil import civil_date
from foundation.identity.principals import Role
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, serving
from tests.exchange.plans.conftest import (
    PERSON,
    SPOUSE,
    claims,
    grant,
    material,
    matter,
    planned,
    put_matter,
)
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from tests.exchange.terms import forget_after
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier

WATCH = "11990100MB2A00009X"
CODE = "permit"


@pytest.fixture(scope="module")
def watching() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory, watching: Receiver
) -> Iterator[Service]:
    """A house that knows where the supervising department listens."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            documents="when-asked",
            supervision_webhooks={WATCH: watching.url},
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture(scope="module", autouse=True)
def matters(service: Service, fund: System) -> None:
    put_matter(service.address, matter(CODE, material("form"), supervised_by=WATCH))
    put_matter(
        service.address,
        matter(
            "next",
            material("identity", claims(name="张三丰")),
            material("clean", claims(clean={"is": "no-entry", "value": "food-safety-penalty"})),
            needs_outcome_of=[CODE],
        ),
    )
    grant(service, fund.client_id, "next", fields=["name", "entries"])


@pytest.fixture(scope="module")
def watch(service: Service) -> System:
    return service.system("food-watch", Role.DEPARTMENT_SYSTEM, department=WATCH)


def decide(service: Service, system: System, case: str, **changes: Any) -> httpx.Response:
    body = {
        "id": str(uuid.uuid4()),
        "matter": CODE,
        "result": "granted",
        "decided_on": civil_today().isoformat(),
        "applicant": PERSON,
        **changes,
    }
    return system.call(service.http, "POST", f"/exchange/v1/cases/{case}/outcome", body)


def civil_today() -> date:
    return civil_date(datetime.now(UTC))


def enter(service: Service, system: System, **changes: Any) -> httpx.Response:
    body = {
        "id": str(uuid.uuid4()),
        "kind": "food-safety-penalty",
        "subject": {"kind": "citizen-id", "identifier": PERSON},
        "decided_on": civil_today().isoformat(),
        "text": "罚款五千元",
        **changes,
    }
    return system.call(service.http, "POST", "/exchange/v1/supervision/entries", body)


def problem(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


def last_record(service: Service, event: str) -> dict[str, Any]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    found = [orjson.loads(content) for (content,) in rows]
    return [each for each in found if each["event"] == event][-1]


def test_a_granted_outcome_reaches_who_supervises(
    service: Service, fund: System, watch: System, watching: Receiver
) -> None:
    # Nothing is known of it before.
    assert planned(service, fund, "next", case="n0")["prerequisites"] == [
        {"matter": CODE, "on_record": False}
    ]
    made = decide(service, fund, "p1")
    assert made.status_code == 200, made.text
    outcome = made.json()["id"]
    assert planned(service, fund, "next", case="n1")["prerequisites"] == [{"matter": CODE, "on_record": True}]
    assert planned(service, fund, "next", case="n2", subjects={"applicant": SPOUSE})["prerequisites"] == [
        {"matter": CODE, "on_record": False}
    ]

    deadline = time.monotonic() + 20
    while not watching.got:
        assert time.monotonic() < deadline, "nothing was pushed"
        time.sleep(0.1)
    pushed = orjson.loads(watching.got[0].content)
    assert (pushed["kind"], pushed["outcome"]) == ("outcome-granted", outcome)
    assert verifier(service.http.get("/jwks.json").json()).verify(watching.got[0])
    assert PERSON.encode() not in watching.got[0].content

    listed = watch.call(service.http, "GET", "/exchange/v1/supervision/tasks?unseen=true")
    assert [each["outcome"]["id"] for each in listed.json()["tasks"]] == [outcome]
    assert PERSON not in listed.text
    one = watch.call(service.http, "GET", f"/exchange/v1/supervision/tasks/{outcome}").json()
    assert one["applicant"] == {"kind": "citizen-id", "identifier": PERSON}
    assert last_record(service, "supervision-task")["client"] == watch.client_id
    assert watch.call(service.http, "GET", "/exchange/v1/supervision/tasks?unseen=true").json() == {
        "tasks": []
    }
    assert fund.call(service.http, "GET", f"/exchange/v1/supervision/tasks/{outcome}").status_code == 404


def test_an_outcome_is_told_once_and_only_by_who_decides(
    service: Service, fund: System, watch: System
) -> None:
    name = str(uuid.uuid4())
    first = decide(service, fund, "p2", id=name, result="refused")
    assert decide(service, fund, "p2", id=name, result="refused").json() == first.json()
    assert problem(decide(service, fund, "p2", id=name, result="granted")) == (409, "outcome-stands")
    assert problem(decide(service, fund, "p2")) == (409, "outcome-stands")
    assert problem(decide(service, watch, "p3")) == (403, "matter-of-another-department")
    assert last_record(service, "case-outcome")["reason"] == "matter-of-another-department"
    tomorrow = (civil_today() + timedelta(days=1)).isoformat()
    assert problem(decide(service, fund, "p3", decided_on=tomorrow)) == (422, "outcome-invalid")
    assert problem(decide(service, fund, "p3", matter="nothing")) == (404, "not-found")
    assert problem(decide(service, fund, "p3", applicant="1")) == (422, "subject-malformed")
    # What was refused is nobody's to supervise.
    rows = service.sql("SELECT count(*) FROM exchange.supervision_task WHERE outcome = %s", name)
    assert rows == [(0,)]


def clean(service: Service, fund: System, case: str) -> tuple[str, list[str]]:
    made = planned(service, fund, "next", case=case)
    (found,) = [each for each in made["materials"] if each["id"] == "clean"]
    return found["state"], found["reasons"]


def test_a_penalty_comes_back_and_appears_to_grants_that_cover_it(
    service: Service, fund: System, watch: System
) -> None:
    assert decide(service, fund, "p4").status_code == 200
    assert clean(service, fund, "c0") == ("to-bring", ["unknown"])
    name = str(uuid.uuid4())
    made = enter(service, watch, id=name)
    assert made.status_code == 201, made.text
    assert enter(service, watch, id=name).json() == made.json()
    assert problem(enter(service, watch, id=name, text="罚款六千元")) == (409, "entry-stands")
    assert clean(service, fund, "c1") == ("to-bring", ["mismatch"])
    record = last_record(service, "supervision-entry")
    assert (record["outcome"], record["reason"]) == ("refused", "entry-stands")
    for (text,) in service.sql("SELECT e::text FROM exchange.entry e"):
        assert "罚款" not in text
    path = f"/exchange/v1/supervision/entries/{name}/end"
    assert fund.call(service.http, "POST", path, {"on": civil_today().isoformat()}).status_code == 404
    assert watch.call(service.http, "POST", path, {"on": civil_today().isoformat()}).status_code == 204
    assert watch.call(service.http, "POST", path, {"on": civil_today().isoformat()}).status_code == 204
    assert last_record(service, "supervision-entry")["outcome"] == "lifted"
    assert clean(service, fund, "c2") == ("settled", [])


def test_nobody_is_entered_whom_the_department_does_not_supervise(
    service: Service, fund: System, watch: System
) -> None:
    stranger = {"kind": "citizen-id", "identifier": SPOUSE}
    assert problem(enter(service, watch, subject=stranger)) == (403, "not-supervised")
    assert problem(enter(service, fund)) == (403, "not-supervised")
    assert last_record(service, "supervision-entry")["reason"] == "not-supervised"
    yesterday = (civil_today() - timedelta(days=1)).isoformat()
    assert problem(enter(service, watch, until=yesterday)) == (422, "entry-invalid")


def test_whom_a_task_is_about_is_forgotten_and_what_was_decided_stays(
    service: Service, fund: System, watch: System
) -> None:
    outcome = decide(service, fund, "p-old").json()["id"]
    days = service.settings.supervised_applicant_days
    assert "supervised" not in forget_after(service, days - 1)
    assert forget_after(service, days + 1)["supervised"] >= 1
    asked = watch.call(service.http, "GET", f"/exchange/v1/supervision/tasks/{outcome}")
    assert problem(asked) == (410, "applicant-forgotten")
    assert last_record(service, "supervision-task")["outcome"] == "forgotten"
    listed = watch.call(service.http, "GET", "/exchange/v1/supervision/tasks").json()["tasks"]
    assert outcome in {each["outcome"]["id"] for each in listed}
    # Prerequisites and entries go by the blind index.
    assert planned(service, fund, "next", case="n-old")["prerequisites"] == [
        {"matter": CODE, "on_record": True}
    ]
    assert enter(service, watch).status_code == 201


def test_a_message_that_was_given_up_goes_and_that_it_was_given_up_stays(
    service: Service, fund: System
) -> None:
    message = decide(service, fund, "p-dead").json()["id"]
    service.sql(
        "UPDATE exchange.outbox SET dead_at = now(), next_attempt_at = NULL, delivered_at = NULL WHERE id = %s",
        message,
    )
    days = service.settings.dead_message_days
    assert "dead-messages" not in forget_after(service, days - 1)
    assert forget_after(service, days + 1)["dead-messages"] == 1
    operator = service.system("operator", Role.OPERATOR)
    dead = operator.call(service.http, "GET", "/exchange/v1/outbox?dead=true").json()["messages"]
    assert message in {each["id"] for each in dead}
    retried = operator.call(service.http, "POST", f"/exchange/v1/outbox/{message}/retry")
    assert problem(retried) == (404, "not-found")
