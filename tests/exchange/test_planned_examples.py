"""Every example matter is published and planned for: each of its questions can be asked, and is."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.catalog.derived import derived_fields
from exchange.matters.examples import bring_in_examples, load_examples
from exchange.matters.publishing import publish
from foundation import database
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service
from tests.exchange.matters.test_publishing import CATALOGUE
from tests.exchange.test_verification import HEADER, PERSON, ROW

pytest.importorskip("exchange.plans", reason="plans are in another room, which is not there")

SUBJECTS = {
    "citizen-id": PERSON,
    "uscc": str(Uscc.compute("91990101MA0000001")),
    "licence": "food-permit:JY1",
}
INPUTS = {"text": "张三丰", "date": "1980-02-29", "integer": 1, "boolean": True, "division": "990101"}
NEVER = {"not-askable", "no-grant", "quota", "source-failed", "late", "input-missing", "subject-missing"}
"""Reasons that would tell of an example that is described wrongly, or of a question that failed."""


@pytest.fixture(scope="module")
def hall(service: Service, tmp_path_factory: pytest.TempPathFactory) -> System:
    """Return a system that may ask all that the examples ask; the examples are published, one person is known."""
    path: Path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode("gb18030"))
    mapping, now = load_mapping("population"), datetime.now(UTC)
    run(mapping, FileSource(path, mapping), database=service.address, vault=open_vault(service.settings, now))

    async def publish_all() -> None:
        async with database.pool(service.address, 2) as pool:
            for code, version in await bring_in_examples(pool, "test", now):
                await publish(pool, CATALOGUE, code, version, "test", now)

    asyncio.run(publish_all())
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    for resource in CATALOGUE.values():
        reply = bureau.call(
            service.http,
            "POST",
            "/exchange/v1/grants",
            {
                "client_id": "hall",
                "resource": resource.id,
                "fields": [*resource.fields, *derived_fields(resource.subject_kind)],
                "matters": [matter.code for matter in load_examples()],
                "purpose": "办事",
                "legal_basis": "国务院令第809号",
                "modes": ["verify", "query"],
                "valid_from": (now - timedelta(hours=1)).isoformat(),
                "valid_until": (now + timedelta(hours=1)).isoformat(),
            },
        )
        assert reply.status_code == 201, reply.text
    return service.system("hall", Role.DEPARTMENT_SYSTEM)


def test_no_example_asks_what_cannot_be_asked(service: Service, hall: System) -> None:
    states: Counter[str] = Counter()
    for matter in load_examples():
        body: dict[str, Any] = {
            "case": "2025-1",
            "subjects": {role: SUBJECTS[kind] for role, kind in matter.subjects.items()},
            "inputs": {name: INPUTS[each["type"]] for name, each in matter.inputs.items()},
        }
        headers = {
            "Authorization": f"Bearer {hall.token(service.http, 'urn:zhengtong:exchange')}",
            "Idempotency-Key": uuid.uuid4().hex,
        }
        reply = service.http.post(f"/exchange/v1/matters/{matter.code}/plan", json=body, headers=headers)
        assert reply.status_code == 200, (matter.code, reply.text)
        planned = {each["id"]: each for each in reply.json()["materials"]}
        assert planned.keys() == {each.id for each in matter.materials}
        for each in planned.values():
            assert not NEVER.intersection(each["reasons"]), (matter.code, each)
            states[each["state"]] += 1
        if "identity" in planned and matter.subjects["applicant"] == "citizen-id":
            assert planned["identity"]["state"] in {"settled", "to-bring"}, matter.code
    assert states["settled"] > 20, states
    assert states["by-consent"] and states["by-commitment"] and states["may-follow"], states
