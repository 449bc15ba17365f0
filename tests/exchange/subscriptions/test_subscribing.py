"""Subscriptions over HTTP, in a running house: from a change in a register to a signed webhook at the department."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.subscriptions.subscription import MOST_SUBJECTS
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service, free_port
from tests.exchange.subscriptions.conftest import _HEADER, OTHER, PERSON
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier
from tests.license_registry.conftest import problem
from zhengtong.cli import main

Bring = Callable[..., None]
PATH = "/exchange/v1/subscriptions"


@pytest.fixture(scope="module")
def bring(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Bring:
    """Bring a person in, as they now are."""
    folder, mapping = tmp_path_factory.mktemp("data"), load_mapping("population")
    vault = open_vault(service.settings, datetime.now(UTC))

    def work(name: str, citizen_id: str = PERSON) -> None:
        row = f"{citizen_id},{name},男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,"
        path = folder / f"{uuid.uuid4()}.csv"
        path.write_bytes(f"{_HEADER}\r\n{row}\r\n".encode("gb18030"))
        run(mapping, FileSource(path, mapping), database=service.address, vault=vault, workers=0)

    work("张三丰")
    work("李四", OTHER)
    return work


@pytest.fixture(scope="module")
def fund(service: Service) -> System:
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module")
def bureau(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as here:
        yield here


def give(service: Service, bureau: System, client: str = "housing-fund", **changes: Any) -> str:
    body = {
        "client_id": client,
        "resource": "persons-basic",
        "fields": ["name", "address", "status"],
        "matters": ["withdrawal"],
        "purpose": "公积金管理",
        "legal_basis": "国务院令第809号",
        "valid_from": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "valid_until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "modes": ["subscribe"],
        **changes,
    }
    reply = bureau.call(service.http, "POST", "/exchange/v1/grants", body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def wanted(grant: str, **changes: Any) -> dict[str, Any]:
    return {"grant": grant, "matter": "withdrawal", "kinds": ["person-changed"], **changes}


def subscribe(service: Service, fund: System, grant: str, **changes: Any) -> str:
    reply = fund.call(service.http, "POST", PATH, wanted(grant, **changes))
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def watch(service: Service, fund: System, made: str, **named: str) -> httpx.Response:
    body = {"add": [{"subject": subject, "reference": reference} for reference, subject in named.items()]}
    return fund.call(service.http, "POST", f"{PATH}/{made}/subjects", body)


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_change_arrives_signed_by_the_published_keys_and_the_person_sees_it(
    service: Service, fund: System, bureau: System, bring: Bring, receiver: Receiver
) -> None:
    made = subscribe(service, fund, give(service, bureau), url=receiver.url)
    assert watch(service, fund, made, case17=PERSON).json() == {"subjects": 1}
    bring("张三")
    until(lambda: bool(receiver.got))
    (got,) = receiver.got
    check = verifier(service.http.get("/jwks.json").json())
    check.verify(got, max_age=timedelta(minutes=5), body=got.content)
    (event,) = receiver.events()
    assert (event["reference"], event["fields"], event["resource"]) == ("case17", ["name"], "persons-basic")
    accesses = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON)).json()["accesses"]
    assert [each["event"] for each in accesses if each["event"] != "own-view"] == ["notified", "watch"]
    assert (accesses[-1]["matter"], accesses[-1]["client"]) == ("withdrawal", "housing-fund")
    metrics = service.http.get("/metrics").text
    assert 'zhengtong_subscription_events_total{outcome="delivered"}' in metrics
    assert "zhengtong_subscription_events_dead" in metrics
    assert PERSON not in metrics
    (found,) = fund.call(service.http, "GET", PATH).json()["subscriptions"]
    assert (found["id"], found["state"], found["head"]) == (made, "active", 1)
    assert fund.call(service.http, "GET", f"{PATH}/{made}").json()["subjects"] == 1
    # Replayed by the same id.
    reply = fund.call(service.http, "POST", f"{PATH}/{made}/replay", {"from": 1})
    assert reply.json() == {"events": 1}
    until(lambda: len(receiver.got) == 2)
    assert receiver.events()[0]["id"] == receiver.events()[1]["id"]
    assert fund.call(service.http, "DELETE", f"{PATH}/{made}").status_code == 204
    assert fund.call(service.http, "DELETE", f"{PATH}/{made}").status_code == 204
    assert problem(fund.call(service.http, "POST", f"{PATH}/{made}/replay", {"from": 1})) == (
        409,
        "subscription-ended",
    )


def test_who_waits_for_the_feed_is_answered_when_something_comes(
    service: Service, fund: System, bureau: System, bring: Bring
) -> None:
    made = subscribe(service, fund, give(service, bureau))
    watch(service, fund, made, a=OTHER)
    path = f"{PATH}/{made}/events?after="
    nothing = fund.call(service.http, "GET", f"{path}0").json()
    assert nothing == {"events": [], "next": 0, "head": 0}
    started = time.monotonic()
    assert fund.call(service.http, "GET", f"{path}0&wait=0.5").json() == nothing
    assert time.monotonic() - started >= 0.5
    with ThreadPoolExecutor() as beside, httpx.Client(base_url=service.http.base_url, timeout=40) as http:
        waiting = beside.submit(fund.call, http, "GET", f"{path}0&wait=20")
        time.sleep(0.3)
        assert not waiting.done()
        bring("李五", OTHER)
        page = waiting.result(10).json()
    assert (len(page["events"]), page["next"]) == (1, 1)
    assert fund.call(service.http, "GET", f"{path}1").json() == {"events": [], "next": 1, "head": 1}
    again = fund.call(service.http, "GET", f"{path}0&limit=1")
    assert again.json()["events"] == page["events"]
    assert again.headers["cache-control"] == "no-store"
    assert problem(fund.call(service.http, "POST", f"{PATH}/{made}/replay", {"from": 1})) == (
        409,
        "subscription-not-delivered",
    )


def test_an_ended_grant_stops_its_subscription_within_two_seconds(
    service: Service, fund: System, bureau: System, bring: Bring, receiver: Receiver
) -> None:
    grant = give(service, bureau)
    made = subscribe(service, fund, grant, url=receiver.url)
    watch(service, fund, made, a=OTHER)
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{grant}").status_code == 204
    reply = fund.call(service.http, "GET", f"{PATH}/{made}/events")
    assert problem(reply)[1] in {"not-granted", "subscription-ended"}, "reading ends at once"
    until(lambda: fund.call(service.http, "GET", f"{PATH}/{made}").json()["state"] == "stopped", 2)
    bring("李六", OTHER)
    time.sleep(1.2)
    assert receiver.got == []
    assert fund.call(service.http, "GET", f"{PATH}/{made}").json()["reason"] == "grant-ended"


def test_the_same_again_is_the_same_and_another_by_its_id_is_refused(
    service: Service, fund: System, bureau: System
) -> None:
    grant, known = give(service, bureau), str(uuid.uuid4())
    assert subscribe(service, fund, grant, id=known) == known
    assert subscribe(service, fund, grant, id=known) == known
    other = wanted(grant, id=known, kinds=["person-died"])
    assert problem(fund.call(service.http, "POST", PATH, other)) == (409, "subscription-differs")


def test_what_cannot_be_subscribed_to(service: Service, fund: System, bureau: System) -> None:
    grant = give(service, bureau)
    verify_only = give(service, bureau, modes=["verify"])
    anothers = give(service, bureau, client="tax-office")
    refused: list[tuple[dict[str, Any], tuple[int, str]]] = [
        (wanted(grant, kinds=["entity-renamed"]), (422, "event-kind-unknown")),
        (wanted(grant, kinds=[]), (422, "invalid-request")),
        (wanted(grant, matter="another"), (403, "matter-not-granted")),
        (wanted(verify_only), (403, "mode-not-granted")),
        (wanted(anothers), (403, "not-granted")),
        (wanted(str(uuid.uuid4())), (403, "not-granted")),
        (wanted(grant, url="https://169.254.169.254/"), (422, "webhook-refused")),
        (wanted(grant, url="https://127.0.0.1:22/"), (422, "webhook-refused")),
        (wanted(grant, url="http://example.org/"), (422, "webhook-refused")),
        (wanted(grant, scope="everything"), (422, "invalid-request")),
    ]
    for body, expected in refused:
        assert problem(fund.call(service.http, "POST", PATH, body)) == expected, body
    counter = service.system("counter", Role.COUNTER)
    assert problem(counter.call(service.http, "POST", PATH, wanted(grant))) == (403, "role-missing")


def test_whom_one_names_and_of_whom_one_learns_nothing(
    service: Service, fund: System, bureau: System, receiver: Receiver
) -> None:
    grant = give(service, bureau)
    made = subscribe(service, fund, grant)
    reply = watch(service, fund, made, a=PERSON, b=PERSON[:-1] + ("0" if PERSON[-1] != "0" else "1"))
    assert problem(reply) == (422, "subject-malformed")
    assert reply.json()["pointer"] == "/add/1/subject"
    assert PERSON[:-1] not in reply.text
    assert fund.call(service.http, "GET", f"{PATH}/{made}").json()["subjects"] == 0
    assert problem(watch(service, fund, made, **{PERSON: PERSON})) == (422, "invalid-request")
    assert watch(service, fund, made, a=PERSON, b=OTHER).json() == {"subjects": 2}
    assert watch(service, fund, made, c=PERSON).json() == {"subjects": 2}, "the same subject, named anew"
    removing = {"remove": ["c", "unknown"]}
    reply = fund.call(service.http, "POST", f"{PATH}/{made}/subjects", removing)
    assert reply.json() == {"subjects": 1}
    service.sql(
        "INSERT INTO exchange.subscription_subject SELECT %s, decode(lpad(to_hex(n), 32, '0'), 'hex'), n::text"
        " FROM generate_series(1, %s) n",
        made,
        MOST_SUBJECTS - 1,
    )
    assert problem(watch(service, fund, made, d=PERSON)) == (422, "too-many-subjects")
    assert fund.call(service.http, "GET", f"{PATH}/{made}").json()["subjects"] == MOST_SUBJECTS
    assert fund.call(service.http, "DELETE", f"{PATH}/{made}").status_code == 204
    everybody = subscribe(service, fund, grant, scope="all")
    assert problem(watch(service, fund, everybody, a=PERSON)) == (409, "subscription-names-nobody")
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
        ("GET", "/dead", None),
        ("POST", "/replay", {"from": 1}),
        ("POST", "/subjects", {"add": []}),
        ("POST", "/dead/retry", {}),
        ("POST", "/dead/dismiss", {"sequences": [1]}),
        ("PUT", "/url", {"url": receiver.url}),
    ):
        assert problem(other.call(service.http, method, f"{PATH}/{everybody}{path}", body)) == (
            404,
            "not-found",
        )


def command(service: Service, *arguments: str) -> Result:
    environment = {"ZHENGTONG_DATABASE_URL": service.address}
    return CliRunner().invoke(main, ["--home", str(service.settings.home), *arguments], env=environment)


def test_what_lies_dead_is_seen_by_whom_it_was_meant_for_and_by_the_operator(
    service: Service, fund: System, bureau: System, bring: Bring, receiver: Receiver
) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    made = subscribe(service, fund, give(service, bureau), url=url)
    watch(service, fund, made, case9=OTHER)
    bring("李七", OTHER)
    until(
        lambda: (
            service.sql("SELECT attempts FROM exchange.feed_event WHERE subscription = %s", made) == [(1,)]
        )
    )
    service.sql(
        "UPDATE exchange.feed_event SET attempts = 6, next_attempt_at = now() WHERE subscription = %s", made
    )
    service.sql("UPDATE exchange.subscription SET not_before = NULL WHERE id = %s", made)
    path = f"{PATH}/{made}/dead"
    until(lambda: bool(fund.call(service.http, "GET", path).json()["events"]))
    operator = service.system("operator", Role.OPERATOR)
    for system in (fund, operator):
        (dead,) = system.call(service.http, "GET", path).json()["events"]
        assert (dead["reference"], dead["last_failure"], dead["attempts"]) == ("case9", "ConnectError", 7)
    shown = command(service, "subscription", "dead", "--json")
    assert (shown.exit_code, [each["sequence"] for each in json.loads(shown.stdout)]) == (1, [1])
    assert "ConnectError" in command(service, "subscription", "dead", "--subscription", made).stdout
    assert fund.call(service.http, "PUT", f"{PATH}/{made}/url", {"url": receiver.url}).status_code == 200
    assert operator.call(service.http, "POST", f"{path}/retry", {"sequences": [7]}).json() == {"events": 0}
    done = command(service, "subscription", "retry", "--subscription", made, "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"events": 1})
    until(lambda: bool(receiver.got))
    assert receiver.events()[0]["reference"] == "case9"
    assert command(service, "subscription", "dead").exit_code == 0
    assert fund.call(service.http, "POST", f"{path}/dismiss", {"sequences": [1]}).json() == {"events": 0}


def test_the_tables_do_not_hold_whom_it_is_about(service: Service) -> None:
    for table in ("subscription_subject", "feed_event", "change", "subscription"):
        for (content,) in service.sql(f"SELECT to_jsonb(t)::text FROM exchange.{table} t LIMIT 1000"):
            assert PERSON not in content
            assert OTHER not in content
