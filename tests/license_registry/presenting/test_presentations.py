"""Presenting over HTTP: a code works once, shows what was chosen, and tells the state of this moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, STRANGER, issued, operate, problem

HIDDEN = {
    "representative_name": "张三丰",
    "registered_capital": "壹佰万元整",
    "established_on": "2001-05-06",
    "business_scope": "茶叶种植",
}
PATH = "/registry/v1/presentations"


@pytest.fixture(scope="module")
def person(service: Service) -> dict[str, str]:
    return service.person(PERSON)


def present(
    service: Service, person: dict[str, str], identifier: str, *disclose: str, **changes: Any
) -> httpx.Response:
    wanted = {
        "identifier": identifier,
        "disclose": disclose,
        "purpose": "办理食品经营许可",
        "matter": "food-permit",
        **changes,
    }
    return service.http.post(PATH, json=wanted, headers=person)


def code(service: Service, person: dict[str, str], identifier: str, *disclose: str) -> str:
    reply = present(service, person, identifier, *disclose)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["code"])


def verify(service: Service, counter: System, text: str, case: str = "2025-7") -> httpx.Response:
    return counter.call(service.http, "POST", f"{PATH}/verify", {"code": text, "case": case})


def test_a_counter_sees_what_was_chosen_and_nothing_else(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)
    before = datetime.now(UTC)
    presented = present(service, person, made["identifier"], "established_on").json()
    expires = datetime.fromisoformat(presented["expires_at"])
    assert before + timedelta(seconds=59) < expires < datetime.now(UTC) + timedelta(seconds=61)
    assert presented["qr"] == f"ZT1:{presented['code']}"
    reply = verify(service, counter, presented["qr"])
    assert reply.status_code == 200
    seen = reply.json()
    assert seen["result"] == 0
    assert set(seen["checks"]) == {
        "signature",
        "certificate",
        "issuer",
        "type",
        "identifier",
        "status",
        "begun",
        "not_over",
        "clock",
        "holder_binding",
        "purpose",
    }
    assert all(seen["checks"].values())
    assert (seen["state"], seen["state_name"]) == ("01", "有效 · valid")
    assert (seen["purpose"], seen["matter"]) == ("办理食品经营许可", "food-permit")
    assert seen["identifier"] == made["identifier"]
    assert set(seen["fields"]) == {
        "holder_name",
        "holder_code",
        "issuer_code",
        "licence_identifier",
        "licence_name",
        "licence_number",
        "valid_from",
        "valid_until",
        "established_on",
    }
    assert seen["fields"]["established_on"] == HIDDEN["established_on"]
    for name, value in HIDDEN.items():
        if name != "established_on":
            assert name not in reply.text
            assert value not in reply.text


def test_presentation_and_verification_are_recorded_without_what_was_shown(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)
    text = code(service, person, made["identifier"], *HIDDEN)
    assert verify(service, counter, text, case="2025-88").status_code == 200
    contents = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier = %s ORDER BY recorded_at",
        made["identifier"],
    )
    _issued, presented, verified = (orjson.loads(content) for (content,) in contents)
    assert presented["event"] == "presented"
    assert presented["client"] is None
    assert presented["fields"] == verified["fields"] == sorted(HIDDEN)
    assert (verified["event"], verified["client"]) == ("presentation-verified", counter.client_id)
    assert (verified["result"], verified["case"], verified["matter"]) == (0, "2025-88", "food-permit")
    for (content,) in contents:
        for secret in (*HIDDEN.values(), PERSON, text):
            assert secret.encode() not in bytes(content)


def test_a_code_works_once(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    text = code(service, person, issued(service, authority)["identifier"])
    assert verify(service, counter, text).status_code == 200
    assert problem(verify(service, counter, text)) == (409, "code-used")


def test_of_two_counters_at_once_one_sees_it(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    second = service.system("counter-2", Role.COUNTER)
    for one in (counter, second):
        one.token(service.http, "urn:zhengtong:license-registry")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            text = code(service, person, identifier)
            replies = pool.map(lambda n, t=text: verify(service, (counter, second)[n % 2], t), range(8))
            assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7
    events = service.sql(
        "SELECT count(*) FROM license_registry.event WHERE identifier = %s AND kind = 'presentation-verified'",
        identifier,
    )
    assert events == [(5,)]


def test_a_code_expires(service: Service, authority: System, counter: System, person: dict[str, str]) -> None:
    text = code(service, person, issued(service, authority)["identifier"])
    # Time cannot be waited for here, so the presentation is made older.
    service.sql(
        "UPDATE license_registry.presentation SET expires_at = now() - interval '1 millisecond'"
        " WHERE used_at IS NULL"
    )
    assert problem(verify(service, counter, text)) == (410, "code-expired")
    assert service.sql(
        "SELECT count(*) FROM license_registry.presentation WHERE used_at IS NULL AND expires_at < now()"
    ) != [(0,)]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A" * 32, (404, "not-found")),
        ("ZT1:" + "A" * 32, (404, "not-found")),
        ("short", (422, "invalid-request")),
        ("a" * 32, (422, "invalid-request")),
        ("A" * 101, (422, "invalid-request")),
        ("A" * 32 + "\0", (422, "invalid-request")),
    ],
)
def test_a_code_that_is_none_shows_nothing(
    service: Service, counter: System, text: str, answer: tuple[int, str]
) -> None:
    assert problem(verify(service, counter, text)) == answer


def test_only_counters_verify_and_only_people_present(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)["identifier"]
    text = code(service, person, made)
    reply = service.http.post(f"{PATH}/verify", json={"code": text, "case": "1"}, headers=person)
    assert problem(reply) == (403, "role-missing")
    assert problem(verify(service, authority, text)) == (403, "role-missing")
    wanted = {"identifier": made, "purpose": "x", "matter": "m"}
    assert problem(counter.call(service.http, "POST", PATH, wanted)) == (403, "role-missing")
    assert problem(service.http.post(PATH, json=wanted)) == (401, "token-missing")
    assert verify(service, counter, text).status_code == 200, "a refused caller does not use it up"


def test_another_s_licence_is_as_one_that_does_not_exist(
    service: Service, authority: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)["identifier"]
    unpresentable = issued(service, authority, presenter=None)["identifier"]
    stranger = service.person(STRANGER)
    refused = present(service, stranger, made)
    missing = present(service, stranger, made[:-1] + ("0" if made[-1] != "0" else "1"))
    assert problem(refused) == problem(missing) == (404, "not-found")
    assert {**refused.json(), "instance": ""} == {**missing.json(), "instance": ""}
    assert problem(present(service, person, unpresentable)) == (404, "not-found")
    path = "/registry/v1/me/licences"
    for identifier in (made, "none", "a%00b"):
        reply = service.http.get(f"{path}/{identifier}/credential", headers=stranger)
        assert problem(reply) == (404, "not-found")
    assert service.http.get(path, headers=stranger).json() == {"licences": []}
    mine = [one["identifier"] for one in service.http.get(path, headers=person).json()["licences"]]
    assert mine[0] == made
    assert unpresentable not in mine


def test_a_field_that_is_not_there_cannot_be_disclosed(
    service: Service, authority: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)["identifier"]
    before = service.sql("SELECT count(*) FROM license_registry.presentation")
    # `address` is of the type, but not in this licence; `holder_name` is always shown.
    for name in ("shoe_size", "address", "holder_name"):
        reply = present(service, person, made, "established_on", name)
        assert problem(reply) == (422, "credential-invalid")
        assert reply.json()["pointer"] == "/disclose"
        assert name in reply.json()["detail"]
    assert service.sql("SELECT count(*) FROM license_registry.presentation") == before


@pytest.mark.parametrize(
    "change",
    [{"purpose": f"替 {PERSON} 办理"}, {"purpose": ""}, {"matter": "a b"}, {"matter": PERSON}, {"more": 1}],
)
def test_a_presentation_that_does_not_fit_is_refused(
    service: Service, authority: System, person: dict[str, str], change: dict[str, Any]
) -> None:
    made = issued(service, authority)["identifier"]
    reply = present(service, person, made, **change)
    assert problem(reply) == (422, "invalid-request")
    assert reply.json()["errors"][0]["pointer"] == f"/{next(iter(change))}"
    assert PERSON not in reply.text


TODAY = datetime.now(UTC).date()
DAYS = {name: (TODAY + timedelta(days=days)).isoformat() for name, days in {"past": -3, "coming": 3}.items()}
RESULTS: dict[str, tuple[dict[str, Any], list[tuple[str, str | None]], int, set[str]]] = {
    "valid": ({}, [], 0, set()),
    "without an end": ({"valid_until": None}, [], 0, set()),
    "not begun": ({"valid_from": DAYS["coming"]}, [], 1, {"begun"}),
    "suspended": ({}, [("03", None)], 2, {"status"}),
    "returned": ({}, [("03", None), ("06", None)], 0, set()),
    "over": ({"valid_until": DAYS["past"]}, [], 3, {"not_over"}),
    "rescinded": ({}, [("05", "03")], 3, {"status"}),
    "cancelled": ({}, [("05", "04")], 3, {"status"}),
    "expired": ({}, [("04", None)], 3, {"status"}),
    "transferred out": ({}, [("05", "06")], 3, {"status"}),
    "revoked": ({}, [("05", "07")], 3, {"status"}),
    "revoked before it began": ({"valid_from": DAYS["coming"]}, [("05", "07")], 3, {"status", "begun"}),
}


@pytest.mark.parametrize("name", RESULTS)
def test_the_result_tells_the_state_of_this_moment(
    service: Service, authority: System, counter: System, person: dict[str, str], name: str
) -> None:
    changes, steps, result, failed = RESULTS[name]
    made = issued(service, authority, **changes)["identifier"]
    text = code(service, person, made)
    state = "01"
    for operation, target in steps:
        # After the code was made: what counts is when it is verified.
        state = operate(service, authority, made, operation, target).json()["state"]
    seen = verify(service, counter, text).json()
    assert seen["result"] == result
    assert {check for check, passed in seen["checks"].items() if not passed} == failed
    assert seen["state"] == state


def test_the_holder_s_file_is_whole_and_its_fetching_recorded(
    service: Service, authority: System, person: dict[str, str]
) -> None:
    made = issued(service, authority)["identifier"]
    reply = service.http.get(f"/registry/v1/me/licences/{made}/credential", headers=person)
    assert reply.headers["content-type"].startswith("application/dc+sd-jwt")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.text.count("~") == len(HIDDEN) + 1
    kinds = service.sql(
        "SELECT kind FROM license_registry.event WHERE identifier = %s ORDER BY recorded_at", made
    )
    assert kinds == [("issued",), ("fetched",)]


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        ("flip", "object-altered"),
        ("cut", "object-altered"),
        ("swap", "object-altered"),
        ("remove", "object-missing"),
    ],
)
def test_a_damaged_store_gives_out_nothing(
    service: Service, authority: System, person: dict[str, str], damage: str, answer: str
) -> None:
    made, other = (issued(service, authority)["identifier"] for _ in range(2))
    folder = service.settings.objects_folder / "licences"
    path = folder / f"{made}.sdjwt"
    data = bytearray(path.read_bytes())
    match damage:
        case "flip":
            data[-20] ^= 1
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[:10])
        case "swap":
            path.write_bytes((folder / f"{other}.sdjwt").read_bytes())
        case "remove":
            path.unlink()
    reply = service.http.get(f"/registry/v1/me/licences/{made}/credential", headers=person)
    assert problem(reply) == (500, answer)
    assert problem(present(service, person, made)) == (500, answer)


def test_whoever_holds_a_licence_with_others_presents_it_as_well(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    spouse = service.person(STRANGER)
    outsider = service.person(CitizenId.compute("990103", date(1970, 1, 1), 5).reveal())
    made = issued(
        service,
        authority,
        licence_type="marriage-certificate",
        number="J990101-2020-000123",
        fields={
            "holder_name": "张三丰",
            "holder_code": PERSON,
            "co_holders": [{"holder_name": "李四光", "holder_code": STRANGER}],
            "registered_on": "2020-05-20",
        },
        valid_until=None,
        presenter=None,
    )
    for one in (person, spouse):
        listed = service.http.get("/registry/v1/me/licences", headers=one).json()["licences"]
        assert made["identifier"] in {licence["identifier"] for licence in listed}
        seen = verify(service, counter, code(service, one, made["identifier"], "registered_on")).json()
        assert (seen["result"], seen["fields"]["registered_on"]) == (0, "2020-05-20")
    assert problem(present(service, outsider, made["identifier"])) == (404, "not-found")
