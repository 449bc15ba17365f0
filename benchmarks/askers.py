"""Many clients with many grants, and what they ask: the load of `benchmarks.verification`."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import psycopg
from psycopg.types.json import Jsonb

from benchmarks import load
from demonstration import city
from demonstration.parties import System
from foundation import database
from foundation.identity.principals import Role
from foundation.identity.tables import put_client

AUDIENCE = "urn:zhengtong:exchange"
MATTER = "housing-fund-withdrawal"
PURPOSE = "住房公积金提取资格核验"
GRANTS_OF_A_CLIENT = 5


def register_clients(address: str, count: int) -> list[System]:
    """Register department systems, each with a key of its own and five grants; one of them is for what is asked."""
    systems = [
        System(
            f"system-{number:04d}", f"系统 {number}", city.office_code(2), frozenset({Role.DEPARTMENT_SYSTEM})
        )
        for number in range(count)
    ]

    async def one() -> None:
        engine = database.engine(address)
        await put_client(engine, systems[0].registration(), datetime.now(UTC))
        await engine.dispose()

    asyncio.run(one())
    now = datetime.now(UTC)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO identity.client (client_id, name, department, roles, jwks, registered_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (
                    each.client_id,
                    each.name,
                    each.department,
                    ["department-system"],
                    Jsonb(dict(each.registration().jwks)),
                    now,
                )
                for each in systems[1:]
            ],
        )
        cursor.executemany(
            "INSERT INTO exchange.share_grant (id, client_id, resource, fields, matters, purpose, legal_basis,"
            " valid_from, valid_until, granted_by, granted_at, modes, clear_fields, quota_per_day, quota_per_minute,"
            " divisions, changed) VALUES (%s, %s, %s, %s, %s, %s, '国务院令第809号', %s, %s, 'data-bureau', %s, %s,"
            " '{}', %s, %s, '{}', 0)",
            [grant for number, each in enumerate(systems) for grant in _grants(number, each.client_id, now)],
        )
    return systems


def _grants(number: int, client_id: str, now: datetime) -> list[tuple[Any, ...]]:
    until = now + timedelta(days=1)
    quotas = (10**9, 10**6) if number % 3 == 0 else (None, None)
    fields = ["name", "marital_status", "residence_division"]
    modes = ["verify", "query"]
    asked = (
        uuid.uuid4(),
        client_id,
        "persons-basic",
        fields,
        [MATTER],
        PURPOSE,
        now,
        until,
        now,
        modes,
        *quotas,
    )
    others = [
        (uuid.uuid4(), client_id, resource, ["holder_name" if resource == "credentials-basic" else "name"],
         [f"matter-{number}-{turn}"], PURPOSE, now, until, now, ["verify"], None, None)
        for turn, resource in enumerate(
            ["persons-basic", "legal-entities-basic", "legal-entities-basic", "credentials-basic"]
        )
    ]  # fmt: skip
    return [*others, asked]


def tokens(base_url: str, systems: Sequence[System]) -> list[str]:
    """Return an access token of each system, fetched anew: those of another service are none here."""
    for each in systems:
        each.tokens.clear()
    with httpx.Client(base_url=base_url) as http:
        return [each.token(http, AUDIENCE) for each in systems]


def verification(person: city.Person, number: int) -> dict[str, Any]:
    return {
        "resource": "persons-basic",
        "subject": person.citizen_id,
        "claims": {
            "name": person.name,
            "marital_status": "married",
            "residence_division": person.residence_division,
        },
        "matter": MATTER,
        "case": f"公积金提取 2025-{number:06d}",
    }


def query(person: city.Person, number: int) -> dict[str, Any]:
    return {
        "resource": "persons-basic",
        "subject": person.citizen_id,
        "fields": ["name", "marital_status", "residence_division"],
        "matter": MATTER,
        "case": f"公积金提取 2025-{number:06d}",
    }


def requests(
    path: str,
    body: Callable[[city.Person, int], dict[str, Any]],
    people: Sequence[city.Person],
    bearers: Sequence[str],
) -> list[bytes]:
    """Return one request about each of these people, from the clients in turn."""
    made = []
    for number, person in enumerate(people):
        headers = {"Authorization": f"Bearer {bearers[number % len(bearers)]}"}
        made.append(load.post(path, orjson.dumps(body(person, number)), headers))
    return made


def sample(plan: city.CityPlan, count: int) -> list[city.Person]:
    """Return some of the people of a city, the same each time."""
    everybody = list(city.people(plan))
    return random.Random(1).sample(everybody, min(count, len(everybody)))
