"""A city's exchange as a department of a higher-level one: two houses, each with its own database and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from foundation.identifiers import CitizenId
from foundation.identity.clients import Client as Registered
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, put, serving
from tests.zhengtong.conftest import HEADER, PERSON, ROW
from zhengtong.client import Client, ProblemError, Statement, read_keys, verify_answer, verify_receipt

STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
PROVINCE = "11990000MB2A000017"
RESOURCE = "persons-basic"
CLAIMS = {"name": "张三丰", "marital_status": "single"}


def house(stack: ExitStack, server: str, template: str, home: Path) -> Service:
    address = stack.enter_context(fresh_database(server, template))
    settings = Settings(
        home=home, database_url=address, listen_port=free_port(), sequence_interval_seconds=0.05,
        ledger_origin=f"zhengtong.example/{home.name}",
    )  # fmt: skip
    return stack.enter_context(serving(settings, address))


@pytest.fixture(scope="module")
def province_and_city(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service]]:
    with ExitStack() as stack:
        province = house(stack, server_address, template, tmp_path_factory.mktemp("province"))
        city = house(stack, server_address, template, tmp_path_factory.mktemp("city"))
        path = tmp_path_factory.mktemp("data") / "population.csv"
        path.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode("gb18030"))
        mapping = load_mapping("population")
        vault = open_vault(province.settings, datetime.now(UTC))
        assert run(mapping, FileSource(path, mapping), database=province.address, vault=vault).inserted == 1
        connect(province, city)
        yield province, city


def grant(service: Service, client_id: str, fields: list[str]) -> None:
    bureau = service.system("bureau", Role.SHARING_AUTHORITY)
    now = datetime.now(UTC)
    with Client(service.settings.base_url, "bureau", bureau.key, key_id="1") as calling:
        calling.give_grant(
            client_id=client_id,
            resource=RESOURCE,
            fields=fields,
            matters=["withdrawal", "here-only"] if client_id == "fund" else ["withdrawal"],
            purpose="公积金提取",
            legal_basis="国务院令第809号",
            valid_from=now - timedelta(hours=1),
            valid_until=now + timedelta(hours=1),
            further={"modes": ["verify", "query"]},
        )


def connect(province: Service, city: Service) -> None:
    """Register the city at the province with the keys that the city shows, and the province as a source of the city."""
    bureau = city.system("bureau", Role.SHARING_AUTHORITY)
    listed = bureau.call(city.http, "GET", "/exchange/v1/live-sources").json()
    registered = Registered(
        "city", "示范市", "11990100MB2A00009Q", frozenset({Role.DEPARTMENT_SYSTEM}), listed["cascade_keys"]
    )
    put(province.address, registered)
    grant(province, "city", ["name", "marital_status"])
    city.system("fund", Role.DEPARTMENT_SYSTEM)
    grant(city, "fund", ["name", "marital_status", "address"])
    assert register(province, city).status_code == 200


def register(province: Service, city: Service, **changes: Any) -> httpx.Response:
    body = {
        "kind": "cascade",
        "department": PROVINCE,
        "address": province.settings.base_url,
        "client_id": "city",
        "jwks": province.http.get("/jwks.json").json(),
        "timeout_ms": 5000,
        **changes,
    }
    bureau = city.system("bureau", Role.SHARING_AUTHORITY)
    return bureau.call(city.http, "PUT", f"/exchange/v1/live-sources/{RESOURCE}", body)


@pytest.fixture
def fund(province_and_city: tuple[Service, Service]) -> Iterator[Client]:
    _province, city = province_and_city
    system = city.system("fund", Role.DEPARTMENT_SYSTEM)
    with Client(city.settings.base_url, "fund", system.key, key_id="1") as calling:
        yield calling


def records(service: Service) -> list[dict[str, Any]]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 3")
    return [orjson.loads(content) for (content,) in rows]


def test_the_upper_answer_stands_inside_ours_and_both_hold_without_either_house(
    province_and_city: tuple[Service, Service], fund: Client
) -> None:
    province, city = province_and_city
    answered = fund.verify(RESOURCE, PERSON, CLAIMS, matter="withdrawal", case="2025-1")
    assert dict(answered.results) == {"name": "match", "marital_status": "mismatch"}
    ours = fund.check(answered.answer)
    assert ours.claims["source"] == {"live": True, "kind": "cascade", "department": PROVINCE}

    upper_keys = read_keys(province.http.get("/jwks.json").json())
    upper: Statement = verify_answer(ours.source_answer, upper_keys, issuer=province.settings.base_url)
    assert upper.results == ours.results
    assert upper.claims["client"] == "city"
    assert upper.is_about(PERSON)
    assert upper.claims["as_of"] == ours.claims["as_of"]
    # Two receipts, in two logs.
    proof = fund.prove(answered.answer)
    log_key = (city.settings.ledger_folder / "log.vkey").read_text()
    assert verify_receipt(ours, proof, log_key).origin == city.settings.ledger_origin
    assert upper.receipt.log == province.settings.ledger_origin
    assert (records(city)[0]["client"], records(province)[0]["client"]) == ("fund", "city")


def test_fields_are_disclosed_as_the_upper_exchange_masks_them(
    province_and_city: tuple[Service, Service], fund: Client
) -> None:
    province, city = province_and_city
    found = fund.query(RESOURCE, PERSON, ["name", "marital_status"], matter="withdrawal", case="1")
    assert (found.found, found.values["name"]) == (True, "张*")
    ours = fund.check(found.answer)
    upper = verify_answer(ours.source_answer, read_keys(province.http.get("/jwks.json").json()))
    assert upper.claims["values"] == ours.claims["values"] == dict(found.values)
    assert upper.claims["masked"] == ours.claims["masked"]
    assert [each[0]["event"] for each in (records(city), records(province))] == ["query", "query"]
    nobody = fund.query(RESOURCE, STRANGER, ["name"], matter="withdrawal", case="1")
    assert (nobody.found, dict(nobody.values)) == (False, {})


def test_an_unknown_subject_is_unknown(fund: Client) -> None:
    found = fund.verify(RESOURCE, STRANGER, CLAIMS, matter="withdrawal", case="1")
    assert set(found.results.values()) == {"unknown"}


@pytest.mark.parametrize(
    ("claims", "matter", "code", "reason"),
    [
        ({"name": "x"}, "here-only", "source-refused", "matter-not-granted"),
        ({"address": "x"}, "withdrawal", "source-refused", "field-not-granted"),
        ({"name": "x"}, "nowhere", "matter-not-granted", None),
    ],
)
def test_what_is_not_granted_there_or_here_is_refused(
    fund: Client, claims: dict[str, str], matter: str, code: str, reason: str | None
) -> None:
    with pytest.raises(ProblemError) as raised:
        fund.verify(RESOURCE, PERSON, claims, matter=matter, case="1")
    assert raised.value.code == code
    assert reason is None or reason in str(raised.value.problem.detail)


def test_an_answer_by_keys_that_are_not_registered_is_refused(
    province_and_city: tuple[Service, Service], fund: Client
) -> None:
    province, city = province_and_city
    register(province, city, jwks=city.http.get("/jwks.json").json())
    with pytest.raises(ProblemError, match="source-answer-invalid"):
        fund.verify(RESOURCE, PERSON, CLAIMS, matter="withdrawal", case="1")
    register(province, city)


def test_two_exchanges_that_take_each_other_as_the_source_do_not_go_round_for_ever(
    province_and_city: tuple[Service, Service], fund: Client
) -> None:
    province, city = province_and_city
    listed = province.system("bureau", Role.SHARING_AUTHORITY).call(
        province.http, "GET", "/exchange/v1/live-sources"
    )
    keys = listed.json()["cascade_keys"]
    put(
        city.address,
        Registered("province", "示范省", PROVINCE, frozenset({Role.DEPARTMENT_SYSTEM}), keys),
    )
    grant(city, "province", ["name", "marital_status"])
    assert register(city, province, client_id="province").status_code == 200
    before = len(city.sql("SELECT 1 FROM exchange.access_record"))
    with pytest.raises(ProblemError) as raised:
        fund.verify(RESOURCE, PERSON, CLAIMS, matter="withdrawal", case="round")
    assert raised.value.code in {"source-unavailable", "source-refused"}
    assert len(city.sql("SELECT 1 FROM exchange.access_record")) - before < 100
    bureau = province.system("bureau", Role.SHARING_AUTHORITY)
    bureau.call(province.http, "DELETE", f"/exchange/v1/live-sources/{RESOURCE}")
