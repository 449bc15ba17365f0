"""A person in the register, a matter that needs them, a department with grants for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.matters.tables import publish, put_draft
from foundation import database
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from foundation.signing import PublicKey
from license_registry.verifying.file import Ways, verify_bytes
from license_registry.verifying.trust import Trust, TrustedKey
from license_registry.verifying.verdict import Verdict
from tests.conftest import MARKET, Service

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
SPOUSE = CitizenId.compute("990101", date(1981, 3, 1), 246).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
ROWS = (
    f"{PERSON},张三丰,男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,",
    f"{SPOUSE},李四娘,女,1981-03-01,汉族,已婚,,H1,配偶,990101,990102,东湖路1号,2001-05-06,正常,",
)
FIELDS = ["name", "marital_status", "birth_date", "residence_division"]

_keys = itertools.count(1)


def bring_in(settings: Settings, address: str, folder: Path) -> None:
    path = folder / "population.csv"
    path.write_bytes("\r\n".join([HEADER, *ROWS, ""]).encode("gb18030"))
    mapping = load_mapping("population")
    vault = open_vault(settings, datetime.now(UTC))
    assert run(mapping, FileSource(path, mapping), database=address, vault=vault).inserted == len(ROWS)


def grant(service: Service, client: str, matter: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    body = {
        "client_id": client,
        "resource": "persons-basic",
        "fields": FIELDS,
        "matters": [matter],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (now - timedelta(hours=1)).isoformat(),
        "valid_until": (now + timedelta(hours=1)).isoformat(),
        **changes,
    }
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    reply = bureau.call(service.http, "POST", "/exchange/v1/grants", body)
    assert reply.status_code == 201, reply.text
    given: dict[str, Any] = reply.json()
    return given


def claims(role: str = "applicant", resource: str = "persons-basic", **named: Any) -> dict[str, Any]:
    return {"claims": {"resource": resource, "subject": role, "claims": named}}


def material(name: str, evidence: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": f"材料{name}", "evidence": evidence, **more}


def matter(code: str, *materials: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "code": code,
        "version": 1,
        "title": "住房公积金提取",
        "department": MARKET,
        "department_name": "示范市住房公积金管理中心",
        "purpose": "公积金提取",
        "subjects": {
            "applicant": {"kind": "citizen-id"},
            "spouse": {"kind": "citizen-id", "required": False},
        },
        "inputs": {
            "name": {"title": "姓名", "type": "text"},
            "marital_status": {"title": "婚姻状况", "type": "text", "required": False},
            "born": {"title": "出生日期", "type": "date", "required": False},
        },
        "materials": list(materials),
        **changes,
    }


def put_matter(address: str, document: dict[str, Any]) -> None:
    async def work() -> None:
        async with database.pool(address, 1) as pool, pool.acquire() as connection:
            now = datetime.now(UTC)
            assert await put_draft(connection, document, "steward", now)
            assert await publish(connection, document["code"], document["version"], "steward", now)

    asyncio.run(work())


def send(
    service: Service, system: System, code: str, key: str | None = None, **changes: Any
) -> httpx.Response:
    token = system.token(service.http, "urn:zhengtong:exchange")
    body = {
        "case": f"2025-{code}",
        "subjects": {"applicant": PERSON},
        "inputs": {"name": "张三丰", "marital_status": "married"},
        **changes,
    }
    return service.http.post(
        f"/exchange/v1/matters/{code}/plan",
        json=body,
        headers={
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": key or f"key-{next(_keys)}",
        },
    )


def planned(service: Service, system: System, code: str, **changes: Any) -> dict[str, Any]:
    reply = send(service, system, code, **changes)
    assert reply.status_code == 200, reply.text
    plan: dict[str, Any] = reply.json()
    return plan


def offline(service: Service, statement: str) -> Verdict:
    """Verify a statement as `zhengtong verify` does, knowing the published keys and nothing else."""
    found = service.http.get("/jwks.json").json()["keys"]
    keys = {key["kid"]: TrustedKey(PublicKey.from_jwk(key), None) for key in found}
    return verify_bytes(statement.encode(), "statement", Trust(keys), datetime.now(UTC), Ways())


def states(plan: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in plan["materials"]}


@pytest.fixture(scope="module")
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    bring_in(service.settings, service.address, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fund(service: Service, register: None) -> System:
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module")
def setting_up(service: Service, fund: System) -> Callable[..., str]:
    """Publish a matter, and give the department a grant for it."""

    def work(code: str, *materials: dict[str, Any], granted: bool = True, **changes: Any) -> str:
        put_matter(service.address, matter(code, *materials, **changes))
        if granted:
            grant(service, fund.client_id, code)
        return code

    return work
