"""Codes as pictures, codes for several licences, signed codes: over HTTP, read back from real pictures."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from license_registry.verifying.images import read_qr
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, STRANGER, issued, operate, problem
from zhengtong.verifying import trust_bundle, verify

PATH = "/registry/v1/presentations"
OCCASION = {"purpose": "办理食品经营许可", "matter": "food-permit"}


@pytest.fixture(scope="module")
def person(service: Service) -> dict[str, str]:
    return service.person(PERSON)


def post(service: Service, person: dict[str, str], path: str, **wanted: Any) -> httpx.Response:
    return service.http.post(PATH + path, json={**OCCASION, **wanted}, headers=person)


def check(service: Service, counter: System, text: str) -> httpx.Response:
    return counter.call(service.http, "POST", f"{PATH}/verify", {"code": text, "case": "2025-7"})


def decoded(reply: httpx.Response) -> str:
    assert reply.status_code == 201, reply.text
    kind, data = reply.json()["picture"].split(",")
    assert kind == "data:image/png;base64"
    return read_qr(base64.b64decode(data))


def test_the_picture_of_a_code_is_what_the_counter_scans(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    text = decoded(post(service, person, "", identifier=identifier, picture=True))
    assert check(service, counter, text).json()["identifier"] == identifier
    assert problem(check(service, counter, text)) == (409, "code-used")


def test_one_code_shows_all_that_a_matter_asks_for(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    issued(service, authority)
    newest = issued(service, authority)["identifier"]
    asked = [{"licence_type": "business-licence", "fields": ["established_on"]}]
    made = post(service, person, "/for-matter", asked=asked * 2, picture=True)
    assert made.json()["identifiers"] == [newest, newest]
    seen = check(service, counter, decoded(made)).json()
    (further,) = seen["further"]
    for each in (seen, further):
        assert each["result"] == 0
        assert each["identifier"] == newest
        assert each["fields"]["established_on"] == "2001-05-06"
        assert "business_scope" not in each["fields"]


def test_each_licence_of_a_code_has_its_own_result(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    good, bad = (issued(service, authority)["identifier"] for _ in range(2))
    made = post(service, person, "", identifier=good, further=[{"identifier": bad}])
    assert operate(service, authority, bad, "05", "07").status_code == 200
    seen = check(service, counter, made.json()["code"]).json()
    assert (seen["result"], seen["further"][0]["result"]) == (0, 3)
    assert "吊销" in seen["further"][0]["reasons"]["status"]
    events = service.sql(
        "SELECT identifier FROM license_registry.event WHERE kind = 'presentation-verified'"
        " AND identifier = ANY(%s)",
        [good, bad],
    )
    assert {identifier for (identifier,) in events} == {good, bad}


def test_what_a_matter_asks_for_and_is_lacking_is_named(service: Service) -> None:
    stranger = service.person(STRANGER)
    asked = [{"licence_type": "business-licence"}]
    reply = post(service, stranger, "/for-matter", asked=asked)
    assert problem(reply) == (409, "licence-lacking")
    assert reply.json()["pointer"] == "/asked/0"
    reply = post(service, stranger, "/for-matter", asked=[{"licence_type": "dog-licence"}])
    assert problem(reply) == (404, "licence-type-unknown")


def test_a_signed_code_is_verified_alone_and_at_the_counter_once(
    service: Service, authority: System, counter: System, person: dict[str, str], tmp_path: Any
) -> None:
    identifier = issued(service, authority)["identifier"]
    wanted = {"identifier": identifier, "disclose": ["representative_name"], "picture": True}
    made = post(service, person, "/offline", **wanted)
    text = decoded(made)
    assert text == made.json()["qr"]
    (tmp_path / "photo.png").write_bytes(base64.b64decode(made.json()["picture"].split(",")[1]))
    run = CliRunner()
    bundle, root = str(tmp_path / "bundle"), str(tmp_path / "root")
    assert run.invoke(trust_bundle, ["export", bundle], obj=service.settings).exit_code == 0
    assert run.invoke(trust_bundle, ["root", root], obj=service.settings).exit_code == 0
    arguments = [str(tmp_path / "photo.png"), "--bundle", bundle, "--root", root, "--json"]
    done = run.invoke(verify, arguments, obj=service.settings)
    found = orjson.loads(done.stdout)
    assert done.exit_code == 0, done.stdout
    assert all(found["checks"].values())
    assert found["fields"]["representative_name"] == "张三丰"
    assert found["presented"]["purpose"] == OCCASION["purpose"]
    seen = check(service, counter, text).json()
    assert (seen["result"], seen["matter"]) == (0, "food-permit")
    assert seen["fields"]["representative_name"] == "张三丰"
    assert problem(check(service, counter, text)) == (409, "code-used")


def test_a_signed_code_tells_the_state_of_this_moment_at_the_counter(
    service: Service, authority: System, counter: System, person: dict[str, str]
) -> None:
    identifier = issued(service, authority)["identifier"]
    text = post(service, person, "/offline", identifier=identifier).json()["code"]
    assert operate(service, authority, identifier, "03").status_code == 200
    assert check(service, counter, text).json()["result"] == 2
    forged = text[:-3] + ("AAA" if text[-3:] != "AAA" else "BBB")
    assert problem(check(service, counter, forged)) == (422, "credential-invalid")


def test_more_than_a_qr_code_holds_is_refused(
    service: Service, authority: System, person: dict[str, str]
) -> None:
    fields = {
        "holder_name": "示范市东湖茶业有限公司",
        "holder_code": "",
        "established_on": "2001-05-06",
        "business_scope": "".join(chr(0x4E00 + i * 37 % 20000) for i in range(1900)),
    }
    from tests.license_registry.conftest import HOLDER

    identifier = issued(service, authority, fields={**fields, "holder_code": HOLDER})["identifier"]
    reply = post(service, person, "/offline", identifier=identifier, disclose=["business_scope"])
    assert problem(reply) == (422, "code-too-large")
