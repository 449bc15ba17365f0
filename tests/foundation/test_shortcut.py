"""The short way of a hot route comes out as the declared route does: the same status, problem, places and headers."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import httpx
import orjson
import pytest
from fastapi import Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message

import exchange.app
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.shortcut import Shortcut, read_body
from tests.conftest import Service
from zhengtong.house import open_house

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
GOOD: dict[str, Any] = {
    "resource": "persons-basic",
    "subject": PERSON,
    "claims": {"name": "张三丰"},
    "matter": "withdrawal",
    "case": "2025-1",
}
JSON = "application/json"

REQUESTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "no grant": (orjson.dumps(GOOD), {}),
    "unknown resource": (orjson.dumps({**GOOD, "resource": "weather"}), {}),
    "wrong check character": (orjson.dumps({**GOOD, "subject": PERSON[:-1] + "0"}), {}),
    "no token": (orjson.dumps(GOOD), {"authorization": ""}),
    "unknown token": (orjson.dumps(GOOD), {"authorization": "Bearer abc"}),
    "another scheme": (orjson.dumps(GOOD), {"authorization": "Basic abc"}),
    "empty": (b"", {}),
    "broken": (b"{", {}),
    "an array": (b"[]", {}),
    "a number": (b"1", {}),
    "invalid UTF-8": (b'{"resource": "\xff"}', {}),
    "a member too many": (orjson.dumps({**GOOD, "more": 1}), {}),
    "no claims": (orjson.dumps({**GOOD, "claims": {}}), {}),
    "a claim of another type": (orjson.dumps({**GOOD, "claims": {"name": [1]}}), {}),
    "NUL in a text": (orjson.dumps({**GOOD, "case": "a\0b"}), {}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_short_way_comes_out_as_the_declared_route(service: Service, name: str) -> None:
    content, changed = REQUESTS[name]
    asking = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
    token = asking.token(service.http, "urn:zhengtong:exchange")
    headers = {"authorization": f"Bearer {token}", "content-type": JSON, **changed}

    async def story() -> tuple[httpx.Response, httpx.Response]:
        async with open_house(service.settings, service.address) as house:
            short = exchange.app.create_app(house.exchange, house.exchange_guard)
            assert isinstance(short, Shortcut)
            replies = []
            for app in (short, short.app):
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                async with httpx.AsyncClient(transport=transport, base_url="http://house") as http:
                    replies.append(await http.post("/v1/verifications", content=content, headers=headers))
            return replies[0], replies[1]

    shortly, declared = asyncio.run(story())
    assert shortly.status_code == declared.status_code >= 400
    assert shortly.headers.get("www-authenticate") == declared.headers.get("www-authenticate")
    one, other = shortly.json(), declared.json()
    assert one["type"] == other["type"]
    assert one.get("pointer") == other.get("pointer")
    if "errors" in other and other["type"].endswith("invalid-request"):
        assert [error["pointer"] for error in one["errors"]] == [
            error["pointer"] for error in other["errors"]
        ]


class _Case(BaseModel):
    case: str


def _arriving(*messages: Message) -> Request:
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return Request({"type": "http", "method": "POST", "headers": [(b"content-type", JSON.encode())]}, receive)


def test_a_body_may_come_in_pieces() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b'{"case": ', "more_body": True},
        {"type": "http.request", "body": b'"2025-1"', "more_body": True},
        {"type": "http.request", "body": b"}"},
    ]
    assert asyncio.run(read_body(_arriving(*pieces), _Case)) == _Case(case="2025-1")


def test_who_goes_away_before_the_body_is_whole_is_not_answered() -> None:
    begun: Message = {"type": "http.request", "body": b'{"case": ', "more_body": True}
    with pytest.raises(ClientDisconnect):
        asyncio.run(read_body(_arriving(begun, {"type": "http.disconnect"}), _Case))
