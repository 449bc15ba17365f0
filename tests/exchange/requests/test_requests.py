"""Share requests over HTTP, against a running house: from asking to a grant that answers, and all that goes otherwise."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.catalog.written import written
from tests.exchange.requests.asking import (
    ASKING,
    PERSONS,
    SUBJECT,
    THIRD,
    Round_,
    ask,
    body,
    ok,
    post,
    records,
    refused,
    scope,
    verify,
)
from zhengtong.cli import main


def test_from_asking_to_a_grant_that_answers(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    given = body()
    asked = ok(post(service, fund, "", given), 201)
    assert (asked["state"], asked["step"], asked["owner"]) == ("submitted", "check", PERSONS.department)
    assert post(service, fund, "", given).json() == asked
    refused(post(service, fund, "", given | {"purpose": "别的"}), 409, "request-id-taken")
    path = f"/{asked['id']}"
    assert ok(post(service, bureau, f"{path}/check", {"complete": True}))["state"] == "checked"
    assert ok(post(service, police, f"{path}/answer", {"answer": "grant"}))["state"] == "granted"
    refused(verify(service, fund), 403, "not-granted")
    provided = ok(post(service, police, f"{path}/provision"))
    assert provided["state"] == "provided"
    # The same again changes nothing: the same grant.
    assert ok(post(service, police, f"{path}/provision"))["grant"] == provided["grant"]
    assert verify(service, fund).status_code == 200
    refused(verify(service, fund, "address"), 403, "field-not-granted")
    (grant,) = fund.call(service.http, "GET", "/exchange/v1/grants").json()["grants"]
    assert (grant["id"], grant["request"], grant["quota_per_day"]) == (provided["grant"], asked["id"], 100)
    assert (grant["modes"], grant["fields"]) == (["verify"], ["birth_date", "name"])
    history = ok(fund.call(service.http, "GET", f"/exchange/v1/requests{path}"))["history"]
    assert [step["action"] for step in history] == ["submit", "check", "grant", "provide"]
    logged = records(service, asked["id"])
    assert [each["event"] for each in logged if each["outcome"] != "refused"] == [
        "request-submit",
        "request-check",
        "request-grant",
        "request-provide",
    ]
    assert ok(post(service, fund, f"{path}/withdrawal"))["state"] == "withdrawn"
    refused(verify(service, fund), 403, "not-granted")


def test_what_is_shared_without_conditions_is_given_once_it_is_checked(
    service: Service, fund: System, bureau: System
) -> None:
    asked = ask(service, fund, resource="legal-entities-basic", fields=["name"])
    checked = ok(post(service, bureau, f"/{asked['id']}/check", {"complete": True}))
    assert (checked["state"], checked["answer"], checked["answered_in_time"]) == ("provided", "grant", True)
    history = fund.call(service.http, "GET", f"/exchange/v1/requests/{asked['id']}").json()["history"]
    assert [(step["action"], step["actor"]) for step in history] == [
        ("submit", "requester"),
        ("check", "sharing-authority"),
        ("grant", "exchange"),
        ("provide", "exchange"),
    ]


def test_an_incomplete_request_goes_back_and_comes_again(
    service: Service, fund: System, bureau: System
) -> None:
    asked = ask(service, fund)
    path = f"/{asked['id']}"
    refused(post(service, bureau, f"{path}/check", {"complete": False}), 422, "request-invalid")
    returned = ok(post(service, bureau, f"{path}/check", {"complete": False, "reason": "请列明法律依据条款"}))
    assert (returned["state"], returned["due_on"], returned["reason"]) == (
        "returned",
        None,
        "请列明法律依据条款",
    )
    again = {name: value for name, value in body(per_day=50).items() if name != "id"}
    assert ok(post(service, fund, f"{path}/resubmission", again))["asked"]["per_day"] == 50


def test_a_grant_in_part_is_disputed_and_decided_and_its_grant_replaced(
    service: Service, police: System, bureau: System
) -> None:
    office = service.system("office", Role.DEPARTMENT_SYSTEM, department=ASKING)
    given = body()
    path = f"/{ok(post(service, office, '', given), 201)['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    wider = {"answer": "grant-in-part", "scope": scope(given, fields=["name", "address"]), "reason": "x"}
    refused(post(service, police, f"{path}/answer", wider), 422, "scope-too-wide")
    part = {"answer": "grant-in-part", "scope": scope(given, fields=["name"]), "reason": "出生日期非必要"}
    assert ok(post(service, police, f"{path}/answer", part))["state"] == "granted-in-part"
    first = ok(post(service, police, f"{path}/provision"))["grant"]
    refused(verify(service, office, "birth_date"), 403, "field-not-granted")
    assert ok(post(service, office, f"{path}/dispute", {"reason": "办理须核对年龄"}))["state"] == "disputed"
    assert verify(service, office).status_code == 200  # meanwhile the part goes on
    decided = ok(post(service, bureau, f"{path}/decision", {"for": "requester", "reason": "确有必要"}))
    assert (decided["state"], decided["granted"]["fields"]) == ("decided-granted", ["birth_date", "name"])
    second = ok(post(service, police, f"{path}/provision"))["grant"]
    assert second != first
    assert verify(service, office, "birth_date").status_code == 200
    standing = service.sql(
        "SELECT id::text FROM exchange.share_grant WHERE client_id = 'office' AND ended_at IS NULL"
    )
    assert standing == [(second,)]
    refused(post(service, office, f"{path}/dispute", {"reason": "又"}), 409, "dispute-not-open")


def test_a_refusal_has_a_reason_and_may_stand(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    path = f"/{ask(service, fund)['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    refused(post(service, police, f"{path}/answer", {"answer": "refuse"}), 422, "request-invalid")
    reply = ok(
        post(
            service,
            police,
            f"{path}/answer",
            {"answer": "refuse", "reason": "与职责无关", "legal_basis": "第十条"},
        )
    )
    assert (reply["state"], reply["legal_basis"]) == ("refused", "第十条")
    ok(post(service, fund, f"{path}/dispute", {"reason": "与职责有关"}))
    decided = ok(post(service, bureau, f"{path}/decision", {"for": "owner", "reason": "维持"}))
    assert decided["state"] == "decided-refused"
    refused(post(service, police, f"{path}/provision"), 409, "request-state-wrong")


def test_each_may_do_only_what_is_theirs_and_strangers_see_nothing(
    service: Service, fund: System, police: System, bureau: System, auditor: System
) -> None:
    asked = ask(service, fund)
    path = f"/{asked['id']}"
    stranger = service.system("stranger", Role.DEPARTMENT_SYSTEM, department=THIRD)
    for answer in ({"answer": "grant"}, {"answer": "refuse", "reason": "x"}):
        refused(post(service, stranger, f"{path}/answer", answer), 404, "not-found")
    refused(post(service, police, f"{path}/answer", {"answer": "grant"}), 409, "request-state-wrong")
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    refused(post(service, fund, f"{path}/answer", {"answer": "grant"}), 403, "request-actor-wrong")
    refused(post(service, bureau, f"{path}/answer", {"answer": "grant"}), 403, "request-actor-wrong")
    refused(post(service, police, f"{path}/check", {"complete": True}), 403, "role-missing")
    refused(post(service, police, f"{path}/withdrawal"), 403, "request-actor-wrong")
    refused(stranger.call(service.http, "GET", f"/exchange/v1/requests{path}"), 404, "not-found")
    for each, sees in ((fund, True), (police, True), (bureau, True), (auditor, True), (stranger, False)):
        listed = each.call(service.http, "GET", "/exchange/v1/requests").json()["requests"]
        assert (asked["id"] in {one["id"] for one in listed}) is sees, each.client_id
    told = [each["reason"] for each in records(service, asked["id"]) if each["outcome"] == "refused"]
    assert {"not-found", "request-state-wrong", "request-actor-wrong"} == set(told)


def test_what_the_catalogue_lacks_is_asked_for_and_cannot_be_provided_before_it_is_there(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    refused(post(service, fund, "", body(resource="land-titles")), 422, "request-invalid")
    asked = ask(service, fund, resource="land-titles", title="不动产登记信息", owner=PERSONS.department)
    assert asked["sharing_class"] == "not-on-platform"
    path = f"/{asked['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    ok(post(service, police, f"{path}/answer", {"answer": "grant"}))
    refused(post(service, police, f"{path}/provision"), 404, "resource-unknown")


def catalogued(service: Service, owner: System, bureau: System, **document: Any) -> str:
    """Publish a resource of a department, and return its id."""
    name = f"resource-{uuid.uuid4().hex[:12]}"
    body = written(owner="示范市公安局", **document)
    for system, method, path, json in (
        (owner, "PUT", "draft", body),
        (owner, "POST", "submission", {"version": 1}),
        (bureau, "POST", "review", {"version": 1, "decision": "publish"}),
    ):
        reply = system.call(service.http, method, f"/exchange/v1/catalogue/resources/{name}/{path}", json)
        assert reply.status_code == 200, reply.text
    return name


def test_what_is_not_shared_is_refused_in_the_same_breath_with_its_law(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    name = catalogued(
        service,
        police,
        bureau,
        sharing_class="not-shared",
        conditions=None,
        legal_basis="某法第十条",
        register="persons",
        fields=["name"],
        lead_source="population",
    )
    asked = ask(service, fund, resource=name, fields=["name"])
    assert (asked["state"], asked["answer"], asked["legal_basis"]) == ("refused", "refuse", "某法第十条")
    assert asked["due_on"] is None
    assert {each["event"] for each in records(service, asked["id"])} == {"request-submit", "request-refuse"}
    # Even a decision for the requester grants nothing that the law keeps.
    path = f"/{asked['id']}"
    ok(post(service, fund, f"{path}/dispute", {"reason": "x"}))
    ok(post(service, bureau, f"{path}/decision", {"for": "requester", "reason": "x"}))
    refused(post(service, bureau, f"{path}/provision"), 403, "resource-not-shared")


def test_what_is_in_the_catalogue_and_not_brought_yet_has_a_term_of_its_own_and_is_provided_later(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    name = catalogued(service, police, bureau, sharing_class="unconditional", conditions=None)
    asked = ask(service, fund, resource=name, fields=["balance"])
    assert (asked["sharing_class"], asked["owner"]) == ("not-on-platform", PERSONS.department)
    path = f"/{asked['id']}"
    assert ok(post(service, bureau, f"{path}/check", {"complete": True}))["state"] == "checked"
    ok(post(service, police, f"{path}/answer", {"answer": "grant"}))
    refused(post(service, police, f"{path}/provision"), 409, "resource-not-connected")


def test_for_a_department_without_a_system_here_the_sharing_authority_answers(
    service: Service, fund: System, bureau: System
) -> None:
    asked = ask(service, fund, resource="licence.business-licence", fields=["holder_name"])
    path = f"/{asked['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    ok(post(service, bureau, f"{path}/answer", {"answer": "grant"}))
    assert ok(post(service, bureau, f"{path}/provision"))["state"] == "provided"


def test_requests_that_make_no_sense_are_refused_and_recorded(service: Service, fund: System) -> None:
    for changes, status, code in (
        ({"fields": ["shoe_size"]}, 422, "field-unknown"),
        ({"until": "2020-01-01T00:00:00Z"}, 422, "request-invalid"),
        ({"per_day": 0}, 422, "invalid-request"),
        ({"modes": ["guess"]}, 422, "invalid-request"),
        ({"until": "9999-99-99"}, 422, "invalid-request"),
        ({"purpose": f"关于 {SUBJECT}"}, 422, "invalid-request"),
        ({"clear_fields": ["address"]}, 422, "request-invalid"),
    ):
        given = body(**changes)
        reply = post(service, fund, "", given)
        refused(reply, status, code)
        assert SUBJECT not in reply.text
        if code != "invalid-request":
            assert [each["reason"] for each in records(service, given["id"])] == [code]
        assert service.sql("SELECT FROM exchange.share_request WHERE id = %s", given["id"]) == []


def test_terms_that_pass_are_told_once_counted_and_open_a_dispute(
    service: Service, police: System, bureau: System, go_on: Round_
) -> None:
    late = service.system("late", Role.DEPARTMENT_SYSTEM, department=THIRD)
    answered, waiting = (ask(service, late)["id"] for _ in range(2))
    for each in (answered, waiting):
        ok(post(service, bureau, f"/{each}/check", {"complete": True}))
    ok(post(service, police, f"/{answered}/answer", {"answer": "refuse", "reason": "x"}))
    refused(post(service, late, f"/{waiting}/dispute", {"reason": "逾期"}), 409, "dispute-not-open")
    # As if it had been checked two months ago.
    service.sql("UPDATE exchange.share_request SET due_on = due_on - 60 WHERE id = %s", waiting)
    go_on(datetime.now(UTC))
    go_on(datetime.now(UTC))
    overdue = late.call(service.http, "GET", "/exchange/v1/requests?overdue=true").json()["requests"]
    assert [each["id"] for each in overdue] == [waiting]
    assert overdue[0]["overdue"] is True
    for system in (police, bureau):
        notices = system.call(service.http, "GET", "/exchange/v1/requests/notices?unseen=true").json()[
            "notices"
        ]
        (notice,) = [each for each in notices if each["item"] == waiting]
        assert (notice["step"], notice["kind"]) == ("answer", "request-overdue")
        number = notice["id"]
        refused(post(service, late, f"/notices/{number}/seen"), 404, "not-found")
        assert post(service, system, f"/notices/{number}/seen").status_code == 204
        left = system.call(service.http, "GET", "/exchange/v1/requests/notices?unseen=true").json()["notices"]
        assert number not in {each["id"] for each in left}
    assert [each["late"] for each in records(service, waiting) if each["event"] == "request-overdue"] == [
        "owner"
    ]
    assert ok(post(service, late, f"/{waiting}/dispute", {"reason": "逾期未答复"}))["state"] == "disputed"
    month = f"{datetime.now(UTC) + timedelta(hours=8):%Y-%m}"
    counted = police.call(service.http, "GET", "/exchange/v1/statistics/requests").json()["requests"]
    (figures,) = [each for each in counted if each["month"] == month]
    assert figures["department"] == PERSONS.department
    assert figures["overdue"] == 1
    assert figures["refused"] >= 1
    assert figures["disputed"] >= 2
    assert figures["answered_in_time"] == figures["answered"] < figures["asked"]
    assert figures["median_working_days"] == 0
    everyone = bureau.call(service.http, "GET", "/exchange/v1/statistics/requests").json()["requests"]
    assert {each["department"] for each in everyone} > {PERSONS.department}
    assert bureau.call(
        service.http, "GET", "/exchange/v1/statistics/requests?from=2020-01-01&to=2020-02-01"
    ).json() == {"requests": []}


def test_operators_list_requests_and_what_is_overdue(service: Service, fund: System) -> None:
    asked, late = ask(service, fund)["id"], ask(service, fund)["id"]
    service.sql("UPDATE exchange.share_request SET due_on = due_on - 60 WHERE id = %s", late)
    environment = {"ZHENGTONG_DATABASE_URL": service.address}

    def command(*arguments: str) -> str:
        home = str(service.settings.home)
        done = CliRunner().invoke(main, ["--home", home, "request", *arguments], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    listed = {each["id"]: each for each in orjson.loads(command("list", "--state", "submitted", "--json"))}
    assert {asked, late} <= set(listed)
    assert (listed[late]["step"], listed[late]["owner"]) == ("check", PERSONS.department)
    overdue = command("overdue")
    assert late in overdue
    assert asked not in overdue
