"""What tests of asking share: a register of one person, grants, questions over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
ROW = f"{PERSON},张三丰,男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号院2号楼,2001-05-06,正常,"


def bring(service: Service, folder: Path, source: str, content: bytes) -> int:
    """Bring a file into its register; returns how many rows are new."""
    mapping = load_mapping(source)
    path = folder / f"{source}.{'json' if mapping.format == 'json-array' else 'csv'}"
    path.write_bytes(content)
    vault = open_vault(service.settings, datetime.now(UTC))
    report = run(mapping, FileSource(path, mapping), database=service.address, vault=vault)
    assert not report.quarantined, report
    return report.inserted


def bring_person(service: Service, folder: Path) -> None:
    assert bring(service, folder, "population", f"{HEADER}\r\n{ROW}\r\n".encode("gb18030")) == 1


def give(service: Service, client: str, **changes: Any) -> dict[str, Any]:
    """Give a grant and return it."""
    now = datetime.now(UTC)
    body = {
        "client_id": client,
        "resource": "persons-basic",
        "fields": ["name"],
        "matters": ["withdrawal"],
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


def ask(service: Service, system: System, path: str, **members: Any) -> httpx.Response:
    body = {
        "resource": "persons-basic",
        "subject": PERSON,
        "matter": "withdrawal",
        "case": "2025-1",
        **members,
    }
    return system.call(service.http, "POST", f"/exchange/v1/{path}", body)


def code_of(reply: httpx.Response) -> str:
    return str(reply.json()["type"]).removeprefix("urn:zhengtong:problem:")


def last_record(service: Service) -> dict[str, Any]:
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 1"
    )
    record: dict[str, Any] = orjson.loads(content)
    return record
