"""No citizen ID in clear: not in the registry's tables, the names of its objects, the objects, the logs, the metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.telemetry import configure_logging
from license_registry.issuing.issue import issue as issue_inside
from license_registry.presenting.present import lead_copy
from tests.conftest import Service
from tests.license_registry.conftest import (
    AUTHORITY,
    NOW,
    PERSON,
    STRANGER,
    body,
    issued,
    operate,
    personal,
    registry,
    request,
)

SECRETS = (PERSON, STRANGER, PERSON[:17], "张三丰")


def dump(address: str) -> str:
    """All rows of the registry and the ledger as text; bytes as they are and, where they are text, as text."""
    found = []
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema IN ('license_registry', 'ledger')"
        ).fetchall()
        for schema, table in tables:
            for row in connection.execute(f'SELECT * FROM "{schema}"."{table}"'):
                found.append(f"{schema}.{table}")
                found.extend(
                    bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    for value in row
                )
    return "\n".join(found)


def stored(settings: Settings) -> str:
    """Names and contents of all objects."""
    paths = [path for path in settings.objects_folder.rglob("*") if path.is_file()]
    assert paths
    return "\n".join(f"{path}\n{path.read_bytes().decode('utf-8', 'replace')}" for path in paths)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of the process, written to a file at its finest as the service writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("DEBUG", tmp_path)
    yield tmp_path / "zhengtong.jsonl"
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def written(log: Path, last: str) -> str:
    """The log, once it holds the line of the last request: lines are written a little after their requests."""
    deadline = time.monotonic() + 10
    while last not in (text := log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline, "the last request was not logged"
        time.sleep(0.02)
    return text


def test_the_life_of_a_licence_leaves_no_citizen_id(
    service: Service, authority: System, counter: System, log: Path
) -> None:
    made = issued(service, authority)["identifier"]
    person = service.person(PERSON)
    wanted = {
        "identifier": made,
        "disclose": ["representative_name"],
        "purpose": "用证",
        "matter": "m",
    }
    code = service.http.post("/registry/v1/presentations", json=wanted, headers=person).json()["code"]
    verified = {"code": code, "case": "1"}
    path = "/registry/v1/presentations/verify"
    assert (
        counter.call(service.http, "POST", path, verified).json()["fields"]["representative_name"] == "张三丰"
    )
    service.http.get(f"/registry/v1/me/licences/{made}/credential", headers=person)
    operate(service, authority, made, "05", "07")
    # What is refused leaves none either, wherever the ID was put.
    for changes in (
        {"presenter": PERSON[:17] + "?"},
        {"number": PERSON},
        {"fields": {**body()["fields"], "holder_code": PERSON}},
        {"fields": {**body()["fields"], PERSON: "x"}},
        {"licence_type": PERSON},
    ):
        refused = authority.call(service.http, "POST", "/registry/v1/licences", body(**changes))
        assert refused.status_code in {404, 422}
    refused = counter.call(service.http, "POST", path, {"code": PERSON, "case": PERSON})
    assert refused.status_code == 422
    service.http.get(f"/registry/v1/me/licences/{PERSON}/credential", headers=person)
    auditor = service.system("audit-office", Role.AUDITOR)
    exported = auditor.call(service.http, "GET", "/registry/v1/audit/records.jsonl").text

    dumped, logged = dump(service.address), written(log, '"route":"/registry/v1/audit/records.jsonl"')
    # The dump and the log do hold what they are searched for in: a licence and its requests.
    assert made in dumped
    assert '"route":"/registry/v1/presentations/verify"' in logged
    for text in (dumped, logged, stored(service.settings), exported, service.http.get("/metrics").text):
        for secret in SECRETS:
            assert secret not in text


def test_a_holder_who_is_a_citizen_is_nowhere_in_clear(settings: Settings, database_url: str) -> None:
    fields = {"holder_name": "张三丰", "holder_code": PERSON, "issued_on": "2025-01-02"}

    async def work() -> str:
        async with registry(settings, database_url) as ports:
            made = await issue_inside(
                personal(ports), AUTHORITY, request(licence_type="personal", fields=fields), NOW
            )
            return await lead_copy(ports, made.licence)

    credential = asyncio.run(work())
    assert len(credential) > 500
    for text in (dump(database_url), stored(settings)):
        for secret in SECRETS:
            assert secret not in text
