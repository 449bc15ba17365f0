"""Scrubbing: whatever was done to an object, the next run finds it and names it to auditors, in the log."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import issued
from zhengtong.keeping import scrub_command


def scrubbed(service: Service) -> Result:
    return CliRunner().invoke(scrub_command, ["--json"], obj=service.settings)


def path(service: Service, identifier: str) -> Path:
    return service.settings.objects_folder / "licences" / f"{identifier}.sdjwt"


def test_nothing_wrong_is_said_so(service: Service, authority: System) -> None:
    for _ in range(3):
        issued(service, authority)
    done = scrubbed(service)
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    assert told["read"] >= 3
    assert told["findings"] == []


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "remove", "empty"])
def test_what_was_done_to_an_object_is_found_and_named_to_auditors(
    service: Service, authority: System, damage: str
) -> None:
    identifier, other = (issued(service, authority)["identifier"] for _ in range(2))
    file = path(service, identifier)
    whole = file.read_bytes()
    match damage:
        case "flip":
            file.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
        case "cut":
            file.write_bytes(whole[:100])
        case "swap":
            file.write_bytes(path(service, other).read_bytes())
        case "remove":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
    kind = "object-missing" if damage == "remove" else "object-altered"
    done = scrubbed(service)
    assert done.exit_code == 1
    assert orjson.loads(done.stdout)["findings"] == [
        {"licence": identifier, "object": f"licences/{identifier}.sdjwt", "kind": kind}
    ]
    # In the log, and so in what auditors export and check against the tree.
    auditor = service.system("auditor", Role.AUDITOR)
    entries = service.sql(
        "SELECT count(*) FROM license_registry.event v WHERE v.identifier = %s AND v.kind = %s"
        " AND (EXISTS (SELECT FROM ledger.entry e WHERE e.entry = v.entry)"
        " OR EXISTS (SELECT FROM ledger.pending p WHERE p.entry = v.entry))",
        identifier,
        kind,
    )
    assert entries == [(1,)]
    import time

    time.sleep(1)
    export = auditor.call(service.http, "GET", "/registry/v1/audit/records.jsonl").text
    assert any(
        record["record"]["event"] == kind and record["record"]["licence"] == identifier
        for record in map(orjson.loads, export.splitlines())
    )
    file.write_bytes(whole)
    assert scrubbed(service).exit_code == 0
