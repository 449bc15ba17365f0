"""The registry's events for auditors: complete, provable against the published log, for that role alone."""

from __future__ import annotations

import time

import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.ledger import DirectoryTiles, VerifierKey, read_records, verify_log
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, issue, issued, operate, problem

EXPORT = "/registry/v1/audit/records.jsonl"


def sequenced(service: Service) -> None:
    """Wait until all that happened is in the tree."""
    deadline = time.monotonic() + 10
    while service.sql("SELECT count(*) FROM ledger.pending") != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_export_tells_everything_and_the_log_proves_it(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    operate(service, authority, made, "03")
    issue(service, authority, licence_type="nothing")
    person = service.person(PERSON)
    wanted = {"identifier": made, "disclose": ["established_on"], "purpose": "用证", "matter": "m"}
    code = service.http.post("/registry/v1/presentations", json=wanted, headers=person).json()["code"]
    counter = service.system("counter", Role.COUNTER)
    checked = counter.call(
        service.http, "POST", "/registry/v1/presentations/verify", {"code": code, "case": "1"}
    )
    assert checked.json()["result"] == 2
    auditor = service.system("audit-office", Role.AUDITOR)
    assert auditor.call(service.http, "GET", EXPORT).status_code == 200
    sequenced(service)

    reply = auditor.call(service.http, "GET", EXPORT)
    assert reply.headers["content-type"].startswith("application/jsonl")
    lines = [orjson.loads(line) for line in reply.content.splitlines()]
    assert [line["record"]["event"] for line in lines] == [
        "issued",
        "state-changed",
        "presented",
        "presentation-verified",
        "audit-export",
    ]
    assert lines[-1]["record"]["client"] == "audit-office"
    assert [line["leaf_index"] for line in lines] == sorted(line["leaf_index"] for line in lines)

    sequenced(service)
    folder = service.settings.ledger_folder
    key = VerifierKey.parse((folder / "log.vkey").read_text().strip())
    report = verify_log(DirectoryTiles(folder), key, read_records(reply.content.splitlines()))
    assert (report.ok, report.records_checked) == (True, 5)

    altered = reply.content.replace(b'"state_after":"02"', b'"state_after":"01"')
    assert altered != reply.content
    report = verify_log(DirectoryTiles(folder), key, read_records(altered.splitlines()))
    assert [problem.leaf_index for problem in report.problems] == [lines[1]["leaf_index"]]


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.AUDITOR, Role.PERSON}])
def test_no_other_role_exports(service: Service, role: Role) -> None:
    before = service.sql("SELECT count(*) FROM license_registry.event")
    reply = service.system(f"system-{role}", role).call(service.http, "GET", EXPORT)
    assert problem(reply) == (403, "role-missing")
    assert service.sql("SELECT count(*) FROM license_registry.event") == before


def test_nor_does_a_person_or_a_stranger(service: Service) -> None:
    reply = service.http.get(EXPORT, headers=service.person(PERSON))
    assert problem(reply) == (403, "role-missing")
    assert problem(service.http.get(EXPORT)) == (401, "token-missing")
