"""The clock moved on, for what is forgotten in the end."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import orjson

from exchange import forgetting
from exchange.ports import Exchange
from foundation import database
from tests.conftest import Service


def forget_after(service: Service, days: float) -> dict[str, int]:
    """Forget as the service would so many days from now; return what was recorded of it: kind → how many."""
    moment = datetime.now(UTC) + timedelta(days=days)

    async def work() -> None:
        async with database.pool(service.address, 2) as pool:
            given = {"pool": pool, "settings": service.settings}
            made = Exchange(**{each.name: given.get(each.name) for each in fields(Exchange)})
            await forgetting.forget(made, moment)

    asyncio.run(work())
    rows = service.sql("SELECT content FROM exchange.access_record WHERE recorded_at = %s", moment)
    told = [orjson.loads(content) for (content,) in rows]
    assert all(each["event"] == "content-forgotten" and each["basis"] for each in told)
    return {each["what"]: each["number"] for each in told}
