"""A house with a few people, a client that may ask about many, and ways to send and read batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from joserfc.jwk import ECKey

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.batches import accept, work
from exchange.batches.reading import read_result
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.signing import PublicKey
from tests.conftest import Service

HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
PEOPLE = [CitizenId.compute("990101", date(1980, 2, 29), number).reveal() for number in range(40)]
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
PART_ROWS = 10


def population() -> str:
    """Return the register as a CSV: the odd ones are married, the last ten live in another district."""
    rows = [
        f"{person},人{number},男,1980-02-29,汉族,{'已婚' if number % 2 else '未婚'},,H{number},户主,990101,"
        f"{'990101' if number < 30 else '990202'},东湖路{number}号,2001-05-06,正常,"
        for number, person in enumerate(PEOPLE)
    ]
    return "\r\n".join([HEADER, *rows, ""])


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Cut batches into parts of ten rows, and look for them often."""
    patch = pytest.MonkeyPatch()
    patch.setattr(accept, "PART_ROWS", PART_ROWS)
    patch.setattr(work, "LOOKS_EVERY_SECONDS", 0.05)
    yield
    patch.undo()


@dataclass
class Asking:
    """A department that asks about many."""

    service: Service
    system: System
    key: ECKey

    @property
    def private(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=True))

    def headers(self, **more: str) -> dict[str, str]:
        token = self.system.token(self.service.http, "urn:zhengtong:exchange")
        return {"Authorization": f"Bearer {token}", **more}

    def question(self, **changes: Any) -> dict[str, Any]:
        return {
            "mode": "verify",
            "resource": "persons-basic",
            "matter": "withdrawal",
            "case": "2025-1",
            "result_key": self.key.as_dict(private=False),
            **changes,
        }

    def send(
        self,
        subjects: bytes,
        *,
        key: str,
        kind: str = "application/x-ndjson",
        **changes: Any,
    ) -> httpx.Response:
        return self.service.http.post(
            "/exchange/v1/batches",
            headers=self.headers(**{"Idempotency-Key": key}),
            data={"question": orjson.dumps(self.question(**changes)).decode()},
            files={"subjects": ("subjects", subjects, kind)},
        )

    def get(self, path: str) -> httpx.Response:
        return self.service.http.get(f"/exchange/v1/batches/{path}", headers=self.headers())

    def post(self, path: str) -> httpx.Response:
        return self.service.http.post(f"/exchange/v1/batches/{path}", headers=self.headers())

    def wait(self, batch: str, *states: str) -> dict[str, Any]:
        """Wait until a batch is in one of these states."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            shown: dict[str, Any] = self.get(batch).json()
            if shown["state"] in (states or ("done",)):
                return shown
            time.sleep(0.05)
        raise AssertionError(shown)

    def read(self, batch: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return statement and rows of a result, checked."""
        reply = self.get(f"{batch}/result")
        assert reply.status_code == 200, reply.text
        return opened(self.service, self.private, reply.content)


def opened(
    service: Service, key: Mapping[str, Any], content: bytes
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    keys = {each["kid"]: PublicKey.from_jwk(each) for each in service.http.get("/jwks.json").json()["keys"]}
    answers = read_result(content.splitlines(), key, keys)
    rows = [orjson.loads(line) for part in answers.parts for line in part.splitlines()]
    return dict(answers.statement), rows


def lines(*rows: Any) -> bytes:
    return b"".join(row if isinstance(row, bytes) else orjson.dumps(row) + b"\n" for row in rows)


@pytest.fixture(scope="module", autouse=True)
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes(population().encode("gb18030"))
    mapping = load_mapping("population")
    vault = open_vault(service.settings, datetime.now(UTC))
    assert run(mapping, FileSource(path, mapping), database=service.address, vault=vault).inserted == 40


Give = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def give(service: Service) -> Give:
    """Return what gives grants."""

    def work(client: str, **changes: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        body = {
            "client_id": client,
            "resource": "persons-basic",
            "fields": ["name", "marital_status", "birth_date", "residence_division"],
            "matters": ["withdrawal"],
            "purpose": "公积金提取",
            "legal_basis": "国务院令第809号",
            "modes": ["verify", "query", "batch"],
            "valid_from": (now - timedelta(hours=1)).isoformat(),
            "valid_until": (now + timedelta(hours=1)).isoformat(),
            **changes,
        }
        reply = service.system("data-bureau", Role.SHARING_AUTHORITY).call(
            service.http, "POST", "/exchange/v1/grants", body
        )
        assert reply.status_code == 201, reply.text
        given: dict[str, Any] = reply.json()
        return given

    return work


@pytest.fixture(scope="module")
def client(service: Service, give: Give) -> Callable[..., Asking]:
    """Return what makes clients with a grant of their own."""

    def work(name: str, **changes: Any) -> Asking:
        give(name, **changes)
        return Asking(service, service.system(name, Role.DEPARTMENT_SYSTEM), ECKey.generate_key("P-256"))

    return work


@pytest.fixture(scope="module")
def asking(client: Callable[..., Asking]) -> Asking:
    return client("housing-fund")
