"""Marked copies: for whom, for what, until when; their links once, ten minutes, for whom they were made."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import issued, problem
from tests.license_registry.disclosing.test_disclosing import grant
from zhengtong.keeping import scrub_command
from zhengtong.verifying import verify

ROOT = "/registry/v1"


@pytest.fixture(scope="module")
def department(service: Service) -> System:
    system = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    sharing = service.system("data-bureau", Role.SHARING_AUTHORITY)
    assert grant(service, sharing, system).status_code == 201
    return system


def copy(service: Service, department: System, identifier: str) -> dict[str, Any]:
    wanted = {"identifier": identifier, "matter": "tax-registration", "case": "2025-77"}
    reply = department.call(service.http, "POST", f"{ROOT}/department/copies", wanted)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def fetch(service: Service, system: System, made: dict[str, Any]) -> httpx.Response:
    return system.call(service.http, "GET", made["link"].removeprefix(service.settings.base_url))


def test_a_copy_says_for_whom_for_what_and_until_when(
    service: Service, authority: System, department: System, tmp_path: Any
) -> None:
    identifier = issued(service, authority)["identifier"]
    made = copy(service, department, identifier)
    reply = fetch(service, department, made)
    assert hashlib.sha256(reply.content).hexdigest() == made["sha256"]
    (tmp_path / "copy").write_bytes(reply.content)
    done = CliRunner().invoke(verify, [str(tmp_path / "copy"), "--json"], obj=service.settings)
    found = orjson.loads(done.stdout)
    assert (done.exit_code, found["kind"], found["result"]) == (0, "marked-copy", 0)
    assert found["fields"]["representative_name"] == "张三丰"
    assert "business_scope" not in found["fields"]
    mark = found["presented"]
    assert (mark["JZJZZZ"], mark["JZJZZSY"], mark["case"]) == (
        department.department,
        "税务登记核验",
        "2025-77",
    )
    assert mark["JZJYXQJZSJ"] == made["valid_until"]
    ((content,),) = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier = %s AND kind = 'copy-made'", identifier
    )
    assert orjson.loads(content)["copy_sha256"] == made["sha256"]
    forged = reply.content[:-4] + b"AAAA"
    (tmp_path / "copy").write_bytes(forged)
    assert CliRunner().invoke(verify, [str(tmp_path / "copy")], obj=service.settings).exit_code == 1


def test_a_link_works_once_of_many_at_once(service: Service, authority: System, department: System) -> None:
    made = copy(service, department, issued(service, authority)["identifier"])
    other = service.system("other-office", Role.DEPARTMENT_SYSTEM)
    assert problem(fetch(service, other, made)) == (410, "link-spent")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: fetch(service, department, made), range(6)))
    assert sorted(reply.status_code for reply in replies) == [200] + [410] * 5


def test_a_link_works_for_ten_minutes(service: Service, authority: System, department: System) -> None:
    made = copy(service, department, issued(service, authority)["identifier"])
    lives = datetime.fromisoformat(made["link_expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < lives <= timedelta(minutes=10)
    service.sql("UPDATE license_registry.download SET expires_at = now() WHERE used_at IS NULL")
    assert problem(fetch(service, department, made)) == (410, "link-spent")


def test_an_altered_copy_is_not_given_out_and_its_link_not_used_up(
    service: Service, authority: System, department: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    made = copy(service, department, identifier)
    path = service.settings.objects_folder / "copies" / f"{made['copy']}.jws"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert problem(fetch(service, department, made)) == (500, "object-altered")
    done = CliRunner().invoke(scrub_command, ["--json"], obj=service.settings)
    (finding,) = orjson.loads(done.stdout)["findings"]
    assert (finding["licence"], finding["kind"]) == (identifier, "object-altered")
    path.write_bytes(whole)
    assert fetch(service, department, made).status_code == 200


def test_without_a_grant_there_is_no_copy(service: Service, authority: System) -> None:
    other = service.system("other-office", Role.DEPARTMENT_SYSTEM)
    wanted = {"identifier": issued(service, authority)["identifier"], "matter": "m", "case": "1"}
    reply = other.call(service.http, "POST", f"{ROOT}/department/copies", wanted)
    assert problem(reply) == (403, "disclosure-not-granted")
