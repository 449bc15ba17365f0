"""Replies of a route that ends say so, whatever they are."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI, Response

from foundation.deprecation import NOTICE_DAYS, deprecated
from foundation.errors import NotFound
from foundation.problems import install
from foundation.telemetry import Door

SINCE = date(2025, 1, 1)
SUNSET = SINCE + timedelta(days=NOTICE_DAYS)


def get(path: str) -> httpx.Response:
    app = FastAPI(title="t", version="1")

    @app.get("/old")
    @deprecated(since=SINCE, sunset=SUNSET, successor="/exchange/v2/old")
    def old() -> dict[str, int]:
        return {}

    @app.get("/old-bytes")
    @deprecated(since=SINCE, sunset=SUNSET, successor="/exchange/v2/old")
    def old_bytes() -> Response:
        return Response(b"x")

    @app.get("/old-refusing")
    @deprecated(since=SINCE, sunset=SUNSET, successor="/exchange/v2/old")
    def refusing() -> dict[str, int]:
        raise NotFound("no such thing")

    @app.get("/new")
    def new() -> dict[str, int]:
        return {}

    install(app, {})

    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(Door(app, 1000))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.get(path)

    return asyncio.run(work())


@pytest.mark.parametrize(("path", "status"), [("/old", 200), ("/old-bytes", 200), ("/old-refusing", 404)])
def test_every_reply_of_a_deprecated_route_tells_when_it_ends(path: str, status: int) -> None:
    reply = get(path)
    assert reply.status_code == status
    assert reply.headers["deprecation"] == f"@{int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())}"
    assert reply.headers["sunset"] == "Mon, 30 Jun 2025 00:00:00 GMT"
    assert reply.headers["link"] == '</exchange/v2/old>; rel="successor-version"'


def test_other_routes_do_not() -> None:
    assert not {"deprecation", "sunset", "link"} & set(get("/new").headers)


def test_nobody_is_surprised() -> None:
    with pytest.raises(ValueError, match="180 days"):
        deprecated(since=SINCE, sunset=SUNSET - timedelta(days=1), successor="/x")
