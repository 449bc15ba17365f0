"""Lists over HTTP: kept by whom the sharing authority says, seen by claims at once, sealed, and recorded."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.civil import civil_date
from foundation.identity.principals import Role
from tests.conftest import MARKET, Service
from tests.exchange.queries.asking import PERSON, STRANGER, ask, give

COURT = "11990100MB2A00009X"
OTHER = "119901000000000001"
KIND = "dishonest-person"
TODAY = civil_date(datetime.now(UTC))
LIST = {"title": "失信被执行人名单", "title_en": "Dishonest persons", "department": COURT, "legal_basis": "示例办法第一条"}  # fmt: skip


def code_of(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


def day(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


@pytest.fixture(scope="module")
def bureau(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


@pytest.fixture(scope="module")
def court(service: Service, bureau: System) -> System:
    reply = bureau.call(service.http, "PUT", f"/exchange/v1/entry-lists/{KIND}", LIST)
    assert reply.status_code == 200, reply.text
    return service.system("court", Role.DEPARTMENT_SYSTEM, department=COURT)


@pytest.fixture(scope="module")
def asking(service: Service) -> System:
    give(service, "housing-fund", fields=["entries"], modes=["verify"])
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


def clean(service: Service, asking: System, subject: str = PERSON, kind: str = KIND) -> str:
    claims = {"clean": {"is": "no-entry", "value": kind}}
    reply = ask(service, asking, "verifications", subject=subject, claims=claims)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["results"]["clean"])


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "kind": KIND,
        "subject": {"kind": "citizen-id", "identifier": PERSON},
        "decided_on": day(-3),
        "text": "拒不履行生效判决",
        **changes,
    }


def enter(service: Service, system: System, **changes: Any) -> httpx.Response:
    return system.call(service.http, "POST", "/exchange/v1/entries", entry(**changes))


def end(service: Service, system: System, entry: str, on: str) -> httpx.Response:
    return system.call(service.http, "POST", f"/exchange/v1/entries/{entry}/end", {"on": on})


def records(service: Service, entry: str) -> list[str]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    contents = [orjson.loads(content) for (content,) in rows]
    return [each.get("reason", each["outcome"]) for each in contents if each.get("entry") == entry]


def test_an_entry_counts_from_when_it_is_sent_until_it_is_ended(
    service: Service, court: System, asking: System
) -> None:
    # Somebody else is on the list, so the list is known.
    assert enter(service, court, subject={"kind": "citizen-id", "identifier": STRANGER}).status_code == 201
    assert (clean(service, asking), clean(service, asking, STRANGER)) == ("match", "mismatch")
    name = str(uuid.uuid4())
    made = enter(service, court, id=name)
    assert made.status_code == 201, made.text
    assert (made.json()["authority"], made.json()["ended_on"]) == (COURT, None)
    assert enter(service, court, id=name).json() == made.json()
    assert clean(service, asking) == "mismatch"
    assert code_of(enter(service, court, id=name, text="别的")) == (409, "entry-stands")

    path = f"/exchange/v1/entries/{name}"
    seen = court.call(service.http, "GET", path).json()
    assert (seen["subject"], seen["text"]) == (
        {"kind": "citizen-id", "identifier": PERSON},
        "拒不履行生效判决",
    )
    assert code_of(end(service, court, name, day(-4))) == (422, "entry-invalid")
    assert end(service, court, name, day(0)).json()["ended_on"] == day(0)
    assert end(service, court, name, day(1)).json()["ended_on"] == day(0)
    assert clean(service, asking) == "match"
    # Sent again after it was ended, it stays ended.
    assert enter(service, court, id=name).json()["ended_on"] == day(0)
    assert records(service, name) == ["entered", "entry-stands", "answered", "entry-invalid", "ended"]
    (mine,) = service.sql(
        "SELECT e::text, n::text FROM exchange.entry e JOIN exchange.listed_entry n ON n.entry = e.id WHERE e.id = %s",
        name,
    )
    assert not any(PERSON in text or "判决" in text for text in mine)


def test_dates_say_when_it_counts(service: Service, court: System, asking: System) -> None:
    assert enter(service, court, until=day(-1)).status_code == 201
    assert clean(service, asking) == "match"
    last = enter(service, court, until=day(0)).json()["id"]
    assert clean(service, asking) == "mismatch"
    assert code_of(enter(service, court, until=day(-4))) == (422, "entry-invalid")
    assert code_of(enter(service, court, decided_on=day(1))) == (422, "entry-invalid")
    assert code_of(enter(service, court, subject={"kind": "citizen-id", "identifier": "1"})) == (
        422,
        "subject-malformed",
    )
    end(service, court, last, day(0))


def test_only_the_keeper_writes_into_a_list_and_reads_it(
    service: Service, court: System, bureau: System
) -> None:
    other = service.system("tax-office", Role.DEPARTMENT_SYSTEM, department=OTHER)
    mine = enter(service, court, until=day(-2)).json()["id"]
    name = str(uuid.uuid4())
    assert code_of(enter(service, other, id=name)) == (403, "list-of-another")
    assert code_of(enter(service, court, kind="no-such-list")) == (403, "list-of-another")
    assert records(service, name) == ["list-of-another"]
    assert other.call(service.http, "GET", f"/exchange/v1/entries/{mine}").status_code == 404
    assert end(service, other, mine, day(0)).status_code == 404
    assert other.call(service.http, "GET", "/exchange/v1/entries").json() == {"entries": [], "next": None}
    # Not by the way that supervising departments have, either.
    path = f"/exchange/v1/supervision/entries/{mine}/end"
    assert court.call(service.http, "POST", path, {"on": day(0)}).status_code == 404
    assert records(service, mine) == ["entered", "not-found", "not-found"]
    assert code_of(court.call(service.http, "PUT", f"/exchange/v1/entry-lists/{KIND}", LIST)) == (
        403,
        "role-missing",
    )


def test_a_list_is_read_page_by_page_without_names(service: Service, court: System) -> None:
    for _turn in range(3):
        enter(service, court, until=day(-1))
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        reply = court.call(service.http, "GET", f"/exchange/v1/entries?kind={KIND}&limit=2{after}")
        assert PERSON not in reply.text
        assert "subject" not in reply.text
        page = reply.json()
        found += page["entries"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    ids = [each["id"] for each in found]
    assert len(set(ids)) == len(ids)
    ((stored,),) = service.sql("SELECT count(*) FROM exchange.listed_entry")
    assert len(ids) == stored
    standing = court.call(service.http, "GET", f"/exchange/v1/entries?on={day(0)}").json()["entries"]
    assert [each["id"] for each in standing] == [
        each["id"]
        for each in found
        if each["ended_on"] is None and (each["until"] is None or date.fromisoformat(each["until"]) >= TODAY)
    ]


def test_of_many_each_is_taken_as_if_it_came_alone(service: Service, court: System) -> None:
    sent = [
        entry(until=day(-1)),
        entry(kind="no-such-list"),
        entry(subject={"kind": "citizen-id", "identifier": "1"}),
        entry(until=day(-1), subject={"kind": "uscc", "identifier": "91350100M000100Y43"}),
    ]
    body = {"entries": [*sent, {**sent[0], "text": "别的"}]}
    for _turn in range(2):
        reply = court.call(service.http, "POST", "/exchange/v1/entries/many", body)
        assert reply.status_code == 200, reply.text
        assert [(each["stands"], each["problem"]) for each in reply.json()["entries"]] == [
            (True, None),
            (False, "list-of-another"),
            (False, "subject-malformed"),
            (True, None),
            (False, "entry-stands"),
        ]
    # Those of one request have one moment: in which order they are listed says nothing.
    assert sorted(records(service, sent[0]["id"])) == ["entered", "entry-stands", "entry-stands"]
    assert records(service, sent[1]["id"]) == ["list-of-another"] * 2
    beyond = {"entries": [entry() for _turn in range(501)]}
    reply = court.call(service.http, "POST", "/exchange/v1/entries/many", beyond)
    assert code_of(reply) == (422, "invalid-request")


def test_the_same_entry_at_once_stands_once(service: Service, court: System) -> None:
    name = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _turn: enter(service, court, id=name, until=day(-1)), range(16)))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1
    assert records(service, name) == ["entered"]


def test_another_keeper_takes_over_what_stands(service: Service, court: System, bureau: System) -> None:
    listed = bureau.call(service.http, "GET", "/exchange/v1/entry-lists").json()["lists"]
    assert listed == [{"kind": KIND, **LIST}]
    mine = enter(service, court).json()["id"]
    path = f"/exchange/v1/entry-lists/{KIND}"
    changed = {**LIST, "department": MARKET}
    for _turn in range(2):
        assert bureau.call(service.http, "PUT", path, changed).status_code == 200
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    said = [orjson.loads(content) for (content,) in rows]
    assert [each["keeper"] for each in said if each["event"] == "entry-list"] == [COURT, MARKET]
    market = service.system("market", Role.DEPARTMENT_SYSTEM)
    assert end(service, court, mine, day(0)).status_code == 404
    assert end(service, market, mine, day(0)).json()["authority"] == COURT
    assert bureau.call(service.http, "PUT", path, LIST).status_code == 200
