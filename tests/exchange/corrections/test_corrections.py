"""Reports of wrong values over HTTP: answered, put right at the source, and told to all who were given the value."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.catalog.resources import load_catalogue
from exchange.corrections.following import go_round
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service
from tests.exchange.terms import forget_after
from tests.linking import FORMER, decide_on_people
from zhengtong.house import open_house

PERSONS = load_catalogue()["persons-basic"]
FUND, SCHOOL = "11990100MB2B00001X", "11990100MB2C00001X"
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
WHAT, RIGHT = "姓名登记有误，应为张三丰", "张三丰"


def person(serial: int) -> str:
    return CitizenId.compute("990101", date(1980, 2, 29), serial).reveal()


STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()

Bring = Callable[..., None]


@pytest.fixture(scope="module")
def bring(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Bring:
    """Bring in what the source says of somebody by now."""
    vault = open_vault(service.settings, datetime.now(UTC))
    mapping = load_mapping("population")

    def work(citizen_id: str, name: str, status: str = "已婚", address: str = "东湖路1号") -> None:
        path = tmp_path_factory.mktemp("data") / "population.csv"
        row = f"{citizen_id},{name},男,1980-02-29,汉族,{status},,H1,户主,990101,990102,{address},2001-05-06,正常,"
        path.write_bytes(f"{HEADER}\r\n{row}\r\n".encode("gb18030"))
        report = run(mapping, FileSource(path, mapping), database=service.address, vault=vault)
        assert report.inserted + report.changed == 1

    return work


@pytest.fixture(scope="module")
def police(service: Service) -> System:
    return service.system("police", Role.DEPARTMENT_SYSTEM, department=PERSONS.department)


def granted(service: Service, client_id: str, department: str, *fields: str) -> System:
    """Return a system that may ask for these fields."""
    system = service.system(client_id, Role.DEPARTMENT_SYSTEM, department=department)
    body = {
        "client_id": client_id,
        "resource": "persons-basic",
        "fields": list(fields),
        "matters": ["withdrawal"],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "valid_until": (datetime.now(UTC) + timedelta(days=10)).isoformat(),
    }
    bureau = service.system("bureau", Role.SHARING_AUTHORITY)
    assert bureau.call(service.http, "POST", "/exchange/v1/grants", body).status_code == 201
    return system


@pytest.fixture(scope="module")
def fund(service: Service) -> System:
    return granted(service, "fund", FUND, "name", "marital_status")


@pytest.fixture(scope="module")
def school(service: Service) -> System:
    return granted(service, "school", SCHOOL, "name", "address")


@pytest.fixture(scope="module")
def go_on(service: Service) -> Callable[[datetime], None]:
    def work_off(now: datetime) -> None:
        async def work() -> None:
            async with open_house(service.settings, service.address) as house:
                await go_round(house.exchange, now)

        asyncio.run(work())

    return work_off


def verify(service: Service, system: System, subject: str, **claims: str) -> str:
    """Ask, and return the id of the record of the answer."""
    question = {
        "resource": "persons-basic",
        "subject": subject,
        "claims": claims,
        "matter": "withdrawal",
        "case": "1",
    }
    reply = system.call(service.http, "POST", "/exchange/v1/verifications", question)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["receipt"]["record"])


def report(**changes: Any) -> dict[str, Any]:
    said = {
        "id": str(uuid.uuid4()),
        "resource": "persons-basic",
        "field": "name",
        "what": WHAT,
        "evidence": "户口簿第二页\n与身份证一致",
        "evidence_sha256": "ab" * 32,
        "claimed": RIGHT,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def post(service: Service, system: System, path: str, json: Any = None) -> httpx.Response:
    return system.call(service.http, "POST", f"/exchange/v1/corrections{path}", json)


def get(service: Service, system: System, path: str = "") -> Any:
    reply = system.call(service.http, "GET", f"/exchange/v1/corrections{path}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def ok(reply: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    found: dict[str, Any] = reply.json()
    return found


def refused(reply: httpx.Response, status: int, code: str) -> None:
    assert (reply.status_code, reply.json().get("type")) == (status, f"urn:zhengtong:problem:{code}"), (
        reply.text
    )


def records(service: Service, correction: str) -> list[dict[str, Any]]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    return [each for (content,) in rows if (each := orjson.loads(content)).get("correction") == correction]


def notices(service: Service, system: System, correction: str) -> list[dict[str, Any]]:
    return [each for each in get(service, system, "/notices")["notices"] if each["correction"] == correction]


def test_a_wrong_value_is_put_right_and_all_who_were_given_it_are_told(
    service: Service,
    bring: Bring,
    fund: System,
    school: System,
    police: System,
    go_on: Callable[[datetime], None],
) -> None:
    subject = person(101)
    bring(subject, "张三丰")
    before = verify(service, fund, subject, name=RIGHT)  # what was right then is no business of the report
    bring(subject, "张三风")
    wrong = [
        verify(service, fund, subject, name=RIGHT),
        verify(service, fund, subject, name="x", marital_status="married"),
    ]
    other_field = verify(service, fund, subject, marital_status="married")
    bring(subject, "张三风", address="西湖路2号")  # another version, the same wrong name
    at_school = verify(service, school, subject, name=RIGHT)
    given = report(subject=subject)
    reported = ok(post(service, fund, "", given), 201)
    assert (reported["state"], reported["owner"]) == ("open", PERSONS.department)
    assert date.fromisoformat(reported["due_on"]) > datetime.now(UTC).date() + timedelta(days=10)
    assert ok(post(service, fund, "", given), 201) == reported
    path = f"/{reported['id']}"
    seen = get(service, police, path)
    assert (seen["subject"], seen["value"], seen["said"][0]["claimed"]) == (subject, "张三风", RIGHT)
    answer = {"answer": "corrected", "reason": "录入错误，已更正档案"}
    answered = ok(post(service, police, f"{path}/answer", answer))
    assert (answered["state"], answered["put_right_at"]) == ("corrected", None)
    assert ok(post(service, police, f"{path}/answer", answer)) == answered
    (told,) = notices(service, fund, reported["id"])
    assert (told["field"], told["records"]) == ("name", wrong)
    assert not {before, other_field} & set(told["records"])
    (told,) = notices(service, school, reported["id"])
    assert told["records"] == [at_school]
    # The register still shows it, so the source has a task, and whoever asks meanwhile is told when it is done.
    (task,) = [
        each for each in get(service, police, "/tasks")["tasks"] if each["correction"] == reported["id"]
    ]
    assert (task["source"], task["contact"]) == ("population", load_mapping("population").contact)
    go_on(datetime.now(UTC))
    assert reported["id"] in {each["correction"] for each in get(service, police, "/tasks")["tasks"]}
    late = verify(service, school, subject, name=RIGHT)
    bring(subject, RIGHT)
    go_on(datetime.now(UTC))
    assert reported["id"] not in {each["correction"] for each in get(service, police, "/tasks")["tasks"]}
    assert get(service, fund, path)["put_right_at"] is not None
    assert [each["records"] for each in notices(service, school, reported["id"])] == [[at_school], [late]]
    assert len(notices(service, fund, reported["id"])) == 1
    events = Counter(each["event"] for each in records(service, reported["id"]))
    assert events == {
        "correction-reported": 1,
        "correction-read": 2,
        "correction-corrected": 1,
        "correction-told": 3,
        "correction-done": 1,
    }


def test_notices_are_acknowledged_by_whom_they_are_for(
    service: Service, bring: Bring, fund: System, school: System, police: System
) -> None:
    subject = person(102)
    bring(subject, "李四")
    verify(service, fund, subject, name="x")
    path = f"/{ok(post(service, fund, '', report(subject=subject)), 201)['id']}"
    ok(post(service, police, f"{path}/answer", {"answer": "corrected", "reason": "x"}))
    (notice,) = notices(service, fund, path[1:])
    refused(post(service, school, f"/notices/{notice['id']}/acknowledgement"), 404, "not-found")
    for _again in range(2):
        assert post(service, fund, f"/notices/{notice['id']}/acknowledgement").status_code == 204
    left = get(service, fund, "/notices?unacknowledged=true")["notices"]
    assert notice["id"] not in {each["id"] for each in left}
    assert get(service, fund, f"/notices?after={notice['id']}")["notices"] == []


def test_people_report_of_themselves_and_see_what_became_of_it(
    service: Service, bring: Bring, fund: System, police: System
) -> None:
    subject = person(103)
    bring(subject, "王五")
    headers = service.person(subject)

    def own(path: str, json: Any) -> httpx.Response:
        return service.http.post(f"/exchange/v1/corrections{path}", json=json, headers=headers)

    refused(own("", report(subject=STRANGER)), 422, "correction-invalid")
    refused(own("", report(resource="legal-entities-basic")), 422, "correction-invalid")
    reported = ok(own("", report()), 201)
    path = f"/{reported['id']}"
    assert reported["by"] == "person"
    assert get(service, police, path)["subject"] == subject
    ok(post(service, police, f"{path}/answer", {"answer": "needs-more", "reason": "请补充户口簿"}))
    added = {"what": "已补充", "evidence_sha256": "cd" * 32}
    again = ok(own(f"{path}/addition", added))
    assert (again["state"], ok(own(f"{path}/addition", added))) == ("open", again)
    ok(post(service, police, f"{path}/answer", {"answer": "confirmed", "reason": "与档案一致"}))
    mine = service.http.get("/exchange/v1/me/corrections", headers=headers).json()["corrections"]
    (shown,) = [each for each in mine if each["id"] == reported["id"]]
    assert [said["what"] for said in shown["said"]] == [WHAT, "已补充"]
    assert (shown["state"], shown["reason"]) == ("confirmed", "与档案一致")
    # What a department reports about them they see too, but not what it said.
    by_fund = ok(post(service, fund, "", report(subject=subject)), 201)
    mine = service.http.get("/exchange/v1/me/corrections", headers=headers).json()["corrections"]
    (shown,) = [each for each in mine if each["id"] == by_fund["id"]]
    assert (shown["by"], "said" in shown) == (FUND, False)
    accesses = service.http.get("/exchange/v1/me/accesses", headers=headers).json()["accesses"]
    assert {"correction-reported", "correction-read", "correction-confirmed"} <= {
        each["event"] for each in accesses
    }
    stranger = service.person(STRANGER)
    assert service.http.get("/exchange/v1/me/corrections", headers=stranger).json() == {"corrections": []}
    refused(service.http.get(f"/exchange/v1/corrections{path}", headers=stranger), 404, "not-found")
    refused(
        service.http.post(f"/exchange/v1/corrections{path}/withdrawal", headers=stranger), 404, "not-found"
    )


def test_a_report_is_whose_it_is_by_whichever_number(service: Service, bring: Bring, police: System) -> None:
    subject, given = person(131), report()
    bring(subject, "王五")

    def by(number: str, path: str = "", json: Any = None) -> httpx.Response:
        address = f"/exchange/v1/corrections{path}"
        return service.http.post(address, json=json, headers=service.person(number))

    path = f"/{ok(by(subject, json=given), 201)['id']}"
    headers = service.person(FORMER)
    refused(service.http.get(f"/exchange/v1/corrections{path}", headers=headers), 404, "not-found")
    refused(by(FORMER, f"{path}/withdrawal"), 404, "not-found")
    refused(by(FORMER, json=given), 409, "correction-id-taken")
    decide_on_people(service, subject, FORMER, "same")
    listed = service.http.get("/exchange/v1/me/corrections", headers=headers).json()["corrections"]
    assert [each["said"][0]["what"] for each in listed] == [WHAT]
    assert ok(service.http.get(f"/exchange/v1/corrections{path}", headers=headers))["subject"] is None
    assert ok(by(FORMER, json=given), 201)["id"] == given["id"]  # sent again, it is the same report
    refused(by(STRANGER, json=given), 409, "correction-id-taken")
    ok(post(service, police, f"{path}/answer", {"answer": "needs-more", "reason": "请补充户口簿"}))
    assert ok(by(FORMER, f"{path}/addition", {"what": "已补充"}))["state"] == "open"
    assert ok(by(FORMER, f"{path}/withdrawal"))["state"] == "withdrawn"
    decide_on_people(service, subject, FORMER, "different")
    refused(service.http.get(f"/exchange/v1/corrections{path}", headers=headers), 404, "not-found")


def test_nothing_that_was_said_stands_in_clear_and_a_report_tells_nothing_of_the_register(
    service: Service, bring: Bring, fund: System
) -> None:
    subject = person(104)
    bring(subject, "赵六")
    replies = []
    for each in (subject, STRANGER):
        reply = ok(post(service, fund, "", report(subject=each)), 201)
        replies.append({name: value for name, value in reply.items() if name not in {"id", "reported_at"}})
    assert replies[0] == replies[1]
    stored = service.sql("SELECT * FROM exchange.correction_report")
    logged = service.sql(
        "SELECT convert_from(content, 'UTF8') FROM exchange.access_record WHERE content IS NOT NULL"
    )
    for text in (str(stored), str(logged), str(replies)):
        for secret in (subject, STRANGER, RIGHT, WHAT, "户口簿第二页", "赵六"):
            assert secret not in text
            assert repr(secret.encode())[2:-1] not in text


REFUSED = {
    "resource-unknown": (404, {"resource": "nothing"}),
    "field-unknown": (422, {"field": "shoe_size"}),
    "field-not-granted": (403, {"field": "address"}),
    "subject-malformed": (422, {"subject": "99010119800229123"}),
    "correction-invalid": (422, {"subject": None}),
    "invalid-request": (422, {"evidence_sha256": "ab"}),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_report_that_makes_no_sense_is_refused_and_recorded(
    service: Service, fund: System, code: str
) -> None:
    status, changes = REFUSED[code]
    given = report(**{"subject": STRANGER, **changes})
    refused(post(service, fund, "", given), status, code)
    if code != "invalid-request":
        assert [each["reason"] for each in records(service, given["id"])] == [code]
    assert service.sql("SELECT FROM exchange.correction_report WHERE id = %s", given["id"]) == []


def test_each_may_do_only_what_is_theirs(
    service: Service, bring: Bring, fund: System, school: System, police: System
) -> None:
    stranger = service.system("tax", Role.DEPARTMENT_SYSTEM, department=SCHOOL)
    refused(post(service, stranger, "", report(subject=STRANGER)), 403, "not-granted")
    given = report(subject=STRANGER)
    path = f"/{ok(post(service, fund, '', given), 201)['id']}"
    refused(post(service, school, "", given), 409, "correction-id-taken")
    refused(post(service, fund, "", given | {"what": "别的"}), 409, "correction-id-taken")
    answer = {"answer": "confirmed", "reason": "x"}
    refused(post(service, fund, f"{path}/answer", answer), 404, "not-found")
    refused(school.call(service.http, "GET", f"/exchange/v1/corrections{path}"), 404, "not-found")
    refused(post(service, police, f"{path}/withdrawal"), 404, "not-found")
    for _again in range(2):
        assert ok(post(service, fund, f"{path}/withdrawal"))["state"] == "withdrawn"
    refused(post(service, police, f"{path}/answer", answer), 409, "correction-state-wrong")
    refused(post(service, fund, f"{path}/addition", {"what": "x"}), 409, "correction-state-wrong")
    listed = get(service, fund, "?state=withdrawn")["corrections"]
    assert path[1:] in {each["id"] for each in listed}
    assert path[1:] not in {each["id"] for each in get(service, school)["corrections"]}


def test_a_term_that_passes_is_told_to_the_department_and_the_sharing_authority(
    service: Service, fund: System, police: System, go_on: Callable[[datetime], None]
) -> None:
    waiting = ok(post(service, fund, "", report(subject=STRANGER)), 201)["id"]
    service.sql("UPDATE exchange.correction_report SET due_on = due_on - 60 WHERE id = %s", waiting)
    go_on(datetime.now(UTC))
    go_on(datetime.now(UTC))
    bureau = service.system("bureau", Role.SHARING_AUTHORITY)
    for system in (police, bureau):
        told = system.call(service.http, "GET", "/exchange/v1/requests/notices").json()["notices"]
        assert [each["kind"] for each in told if each["item"] == waiting] == ["correction-overdue"]
    assert [each["id"] for each in get(service, bureau, "?overdue=true")["corrections"]] == [waiting]
    assert [each["event"] for each in records(service, waiting)].count("correction-overdue") == 1


def test_a_value_that_was_missing_is_put_right_when_there_is_one(
    service: Service, bring: Bring, fund: System, police: System, go_on: Callable[[datetime], None]
) -> None:
    subject = person(105)
    asked = verify(service, fund, subject, name="孙七")
    path = f"/{ok(post(service, fund, '', report(subject=subject)), 201)['id']}"
    ok(post(service, police, f"{path}/answer", {"answer": "corrected", "reason": "漏登"}))
    (told,) = notices(service, fund, path[1:])
    assert told["records"] == [asked]
    bring(subject, "孙七")
    go_on(datetime.now(UTC))
    assert get(service, fund, path)["put_right_at"] is not None


def test_the_index_of_subjects_finds_who_was_given_a_value(service: Service) -> None:
    from exchange.corrections.recipients import _GIVEN

    statement = _GIVEN
    for number, value in enumerate(
        ["array['\\x00'::bytea]", "null", "now()", "array['x']", "'name'", f"'{uuid.uuid4()}'::uuid"], 1
    ):
        statement = statement.replace(f"${number}", value)
    with psycopg.connect(service.address) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + statement))
    assert "access_record_subject" in plan


def test_an_evidence_s_place_cannot_be_changed(service: Service, fund: System) -> None:
    from exchange.corrections.said import open_told
    from foundation.sensitive import SealBroken

    one, two = (uuid.UUID(ok(post(service, fund, "", report(subject=STRANGER)), 201)["id"]) for _ in range(2))
    ((sealed,),) = service.sql("SELECT sealed FROM exchange.correction_report WHERE id = %s", one)
    vault = open_vault(service.settings, datetime.now(UTC))
    assert open_told(vault, one, sealed).identifier == STRANGER
    with pytest.raises(SealBroken):
        open_told(vault, two, sealed)


def test_words_are_forgotten_once_their_time_is_over(service: Service, police: System, fund: System) -> None:
    ended, waiting = report(subject=person(901)), report(subject=person(902))
    for each in (ended, waiting):
        ok(post(service, fund, "", each), 201)
    ok(post(service, police, f"/{ended['id']}/answer", {"answer": "confirmed", "reason": "与户口簿一致"}))
    days = service.settings.correction_words_days
    assert "corrections" not in forget_after(service, days - 1)
    assert forget_after(service, days + 1)["corrections"] >= 1
    known = get(service, fund, f"/{ended['id']}")
    assert (known["state"], known["said"], known["reason"], known["subject"]) == ("confirmed", [], None, None)
    assert get(service, fund, f"/{waiting['id']}")["said"][0]["what"] == WHAT
    # The same report again is still the one that there is, and the same answer finds nothing to answer.
    assert ok(post(service, fund, "", ended), 201)["state"] == "confirmed"
    again = {"answer": "confirmed", "reason": "与户口簿一致"}
    refused(post(service, police, f"/{ended['id']}/answer", again), 409, "correction-state-wrong")
