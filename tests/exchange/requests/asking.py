"""Share requests as departments make them, and what is said of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson

from demonstration.parties import System
from exchange.catalog.resources import load_catalogue
from exchange.requests.overdue import Round
from foundation.identifiers import CitizenId
from tests.conftest import Service

PERSONS = load_catalogue()["persons-basic"]
ASKING, THIRD = "11990100MB2B00001X", "11990100MB2C00001X"
SUBJECT = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()

Round_ = Callable[[datetime], Round]


def body(**changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "resource": "persons-basic",
        "fields": ["name", "birth_date"],
        "matters": ["withdrawal"],
        "modes": ["verify"],
        "per_day": 100,
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "until": (datetime.now(UTC) + timedelta(days=400)).isoformat(),
        **changes,
    }


def scope(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: given[name] for name in ("fields", "matters", "modes", "per_day", "until")} | changes


def post(service: Service, system: System, path: str, json: Any = None) -> httpx.Response:
    return system.call(service.http, "POST", f"/exchange/v1/requests{path}", json)


def ok(reply: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    found: dict[str, Any] = reply.json()
    return found


def refused(reply: httpx.Response, status: int, code: str) -> None:
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:zhengtong:problem:{code}"), reply.text


def ask(service: Service, system: System, **changes: Any) -> dict[str, Any]:
    return ok(post(service, system, "", body(**changes)), 201)


def verify(service: Service, system: System, field: str = "name") -> httpx.Response:
    question = {
        "resource": "persons-basic",
        "subject": SUBJECT,
        "claims": {field: "1980-02-29" if field == "birth_date" else "x"},
        "matter": "withdrawal",
        "case": "2026-1",
    }
    return system.call(service.http, "POST", "/exchange/v1/verifications", question)


def records(service: Service, request_id: str) -> list[dict[str, Any]]:
    found = [
        orjson.loads(content)
        for (content,) in service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    ]
    return [each for each in found if each.get("request") == request_id]
