"""Statements that run over all licences walk an index: what they cost follows what they find, not how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date
from typing import Any

import asyncpg
import pytest

from license_registry.lifecycle import tables as life_tables
from license_registry.linked_change import tables as linked_tables

LICENCES = 50_000

FILL = f"""
INSERT INTO license_registry.licence (identifier, type_code, number, issuer, holder, state, state_since, valid_from,
    valid_until, issued_at, status_index, object_key, object_sha256, request_digest, sealed, type_version, issued_on,
    first_issued_on, origin)
SELECT 'licence ' || n, 'type', n::text, 'issuer', decode(md5((n / 3)::text), 'hex'),
    CASE WHEN n % 10 = 0 THEN '04' ELSE '01' END, now(), '2020-01-01', date '2025-01-01' + n % 3650, now(), n, '', '',
    '', '', 1, '2020-01-01', '2020-01-01', 'issued'
FROM generate_series(1, {LICENCES}) AS n
"""


class Noted:
    """Takes the place of a connection, and notes the statement that would have run."""

    def __init__(self) -> None:
        self.asked: tuple[str, tuple[Any, ...]] = ("", ())

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        self.asked = (statement, values)
        return []


QUESTIONS: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
    "licence_ending": lambda c: life_tables.over(c, date(2025, 1, 20), 200, ["another type"]),
    "licence_ending ": lambda c: life_tables.ending_unreminded(
        c, date(2025, 1, 20), date(2025, 1, 27), 7, 200
    ),
    "licence_holder": lambda c: linked_tables.holders_after(c, bytes(16), 500),
    "licence_holder ": lambda c: linked_tables.licences_standing(c, bytes(16), None),
}


@pytest.mark.parametrize("index", list(QUESTIONS))
def test_the_plan_walks_the_index(database_url: str, index: str) -> None:
    async def story() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(FILL)
            await connection.execute("ANALYZE license_registry.licence")
            noted = Noted()
            await QUESTIONS[index](noted)
            statement, values = noted.asked
            rows = await connection.fetch(f"EXPLAIN {statement}", *values)
            plan = "\n".join(row[0] for row in rows)
            assert index.strip() in plan, plan
            assert "Seq Scan on licence" not in plan, plan
        finally:
            await connection.close()

    asyncio.run(story())
