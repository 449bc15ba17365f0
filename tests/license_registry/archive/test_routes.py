"""Archives over HTTP: the same package by the same id, of licences that the authority issued, recorded."""

from __future__ import annotations

import base64
import hashlib
import io
import uuid
import zipfile
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import issued, problem

PATH = "/registry/v1/archives"
PAPER = base64.b64encode("申请书".encode()).decode()


@pytest.fixture(scope="module")
def licence(service: Service, authority: System) -> str:
    return str(issued(service, authority)["identifier"])


def send(service: Service, system: System, licence: str, **changes: Any) -> httpx.Response:
    body = {
        "id": str(uuid.uuid4()),
        "matter": "food-permit",
        "case": "2025-7",
        "licences": [licence],
        "documents": {"申请书.txt": PAPER},
        **changes,
    }
    return system.call(service.http, "POST", PATH, body)


def test_a_package_is_made_once_and_fetched(service: Service, authority: System, licence: str) -> None:
    name = str(uuid.uuid4())
    made = send(service, authority, licence, id=name)
    assert made.status_code == 201, made.text
    assert send(service, authority, licence, id=name).json() == made.json()
    reply = authority.call(service.http, "GET", f"{PATH}/{name}/package")
    assert hashlib.sha256(reply.content).hexdigest() == made.json()["sha256"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as package:
        assert package.read("documents/申请书.txt").decode() == "申请书"
        assert f"licences/{licence}.sdjwt" in package.namelist()
    assert made.json() in authority.call(service.http, "GET", PATH).json()["archives"]
    rows = service.sql("SELECT content FROM license_registry.event WHERE kind = 'archive-fetched'")
    assert [orjson.loads(content)["object_key"] for (content,) in rows] == [f"archives/{name}.zip"]
    rows = service.sql("SELECT 1 FROM license_registry.event WHERE kind = 'archived'")
    assert len(rows) == 1


def test_an_id_is_of_one_package(service: Service, authority: System, licence: str) -> None:
    name = str(uuid.uuid4())
    assert send(service, authority, licence, id=name).status_code == 201
    for change in ({"case": "2025-8"}, {"documents": {}}, {"matter": "other"}):
        assert problem(send(service, authority, licence, id=name, **change)) == (409, "archive-stands")


def test_only_own_licences_and_sound_answers_are_archived(
    service: Service, authority: System, licence: str
) -> None:
    other = service.system("other", Role.ISSUING_AUTHORITY, department="11990100MB2A00009X")
    assert problem(send(service, other, licence)) == (403, "issuer-mismatch")
    assert problem(send(service, authority, "1.2.3")) == (404, "not-found")
    assert problem(send(service, authority, licence, answers=["a.b.c"])) == (422, "answer-invalid")
    for path in ("../up", ".hidden", "a/b", ""):
        refused = send(service, authority, licence, documents={path: PAPER})
        assert problem(refused) == (422, "invalid-request")
    name = str(uuid.uuid4())
    assert send(service, authority, licence, id=name).status_code == 201
    assert problem(other.call(service.http, "GET", f"{PATH}/{name}/package")) == (404, "not-found")
    assert other.call(service.http, "GET", PATH).json() == {"archives": []}
    counter = service.system("counter", Role.COUNTER)
    assert problem(counter.call(service.http, "GET", PATH)) == (403, "role-missing")
