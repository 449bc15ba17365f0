"""Grants over HTTP: given, changed and ended; their modes, quotas, hours and divisions hold in what is asked."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from alembic import command

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.grants import tables
from exchange.grants.grant import Mode, covering_grant
from foundation import database
from foundation.civil import CHINA
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service, fresh_database

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
ROW = f"{PERSON},张三丰,男,1980-02-29,汉族,已婚,,H1,户主,990101,990102,东湖路1号,2001-05-06,正常,"


@pytest.fixture(scope="module", autouse=True)
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode("gb18030"))
    mapping = load_mapping("population")
    vault = open_vault(service.settings, datetime.now(UTC))
    assert run(mapping, FileSource(path, mapping), database=service.address, vault=vault).inserted == 1


def give(service: Service, client: str, **changes: Any) -> httpx.Response:
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
    return bureau(service).call(service.http, "POST", "/exchange/v1/grants", body)


def bureau(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


def change(service: Service, grant_id: str, **members: Any) -> httpx.Response:
    return bureau(service).call(service.http, "PATCH", f"/exchange/v1/grants/{grant_id}", members)


def asked(service: Service, client: str, subject: str = PERSON, field: str = "name") -> str:
    system = service.system(client, Role.DEPARTMENT_SYSTEM)
    body = {
        "resource": "persons-basic",
        "subject": subject,
        "claims": {field: "张三丰"},
        "matter": "withdrawal",
        "case": "2025-1",
    }
    reply = system.call(service.http, "POST", "/exchange/v1/verifications", body)
    if reply.status_code == 200:
        return str(reply.json()["results"][field])
    assert PERSON not in reply.text
    return str(reply.json()["type"]).removeprefix("urn:zhengtong:problem:")


def test_a_grant_is_shown_as_it_was_given(service: Service) -> None:
    members = {
        "modes": ["batch", "query"],
        "clear_fields": ["name"],
        "quota_per_day": 1000,
        "quota_per_minute": 60,
        "hours": {"from": "08:30", "to": "17:30"},
        "divisions": ["9901", "990203"],
        "request": str(uuid.uuid4()),
    }
    given = give(service, "shown", **members)
    assert given.status_code == 201
    assert {name: given.json()[name] for name in members} == members
    shown = service.system("shown", Role.DEPARTMENT_SYSTEM).call(service.http, "GET", "/exchange/v1/grants")
    assert shown.json()["grants"] == [given.json()]
    assert asked(service, "shown") == "mode-not-granted"


def test_a_change_is_recorded_takes_effect_and_leaves_the_rest(service: Service) -> None:
    given = give(service, "changing", quota_per_day=1000).json()
    assert asked(service, "changing") == "match"
    changed = change(service, given["id"], fields=["name", "sex"], quota_per_day=None)
    assert changed.json() == {**given, "fields": ["name", "sex"], "quota_per_day": None}
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 1"
    )
    record = orjson.loads(content)
    assert (record["event"], record["details"]) == ("grant-changed", changed.json())
    assert asked(service, "changing", field="sex") == "mismatch"
    for members, code in (
        ({"fields": ["shoe_size"]}, "field-unknown"),
        ({"clear_fields": ["address"]}, "grant-malformed"),
        ({"fields": None}, "invalid-request"),
        ({"client_id": "other"}, "invalid-request"),
        ({"hours": {"from": "08:00", "to": "08:00"}}, "invalid-request"),
        ({"divisions": ["99011"]}, "invalid-request"),
    ):
        refused = change(service, given["id"], **members)
        assert refused.json()["type"] == f"urn:zhengtong:problem:{code}", members
    assert bureau(service).call(service.http, "DELETE", f"/exchange/v1/grants/{given['id']}").is_success
    assert change(service, given["id"], fields=["name"]).status_code == 404
    assert asked(service, "changing") == "not-granted"


def test_a_quota_lets_through_what_it_says_though_all_ask_at_once(service: Service) -> None:
    give(service, "hasty", quota_per_day=7)
    asked(service, "hasty", field="address")  # a refusal takes nothing
    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(lambda _n: asked(service, "hasty"), range(20)))
    assert sorted(said) == ["match"] * 7 + ["quota-exceeded"] * 13


def test_a_full_quota_leaves_another_grant_to_be_used(service: Service) -> None:
    give(service, "twofold", quota_per_day=1)
    give(service, "twofold", quota_per_day=2)
    assert [asked(service, "twofold") for _ in range(4)] == ["match"] * 3 + ["quota-exceeded"]


def test_outside_its_hours_a_grant_does_not_hold(service: Service) -> None:
    now = datetime.now(CHINA)
    begin, end = now + timedelta(hours=2), now + timedelta(hours=4)
    given = give(service, "early", hours={"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"}).json()
    assert asked(service, "early") == "outside-hours"
    change(service, given["id"], hours=None)
    assert asked(service, "early") == "match"


def test_a_subject_elsewhere_and_an_unknown_one_are_refused_alike(service: Service) -> None:
    given = give(service, "local", divisions=["990103"]).json()
    assert asked(service, "local") == "subject-not-covered"
    assert asked(service, "local", STRANGER) == "subject-not-covered"
    change(service, given["id"], divisions=["99", "0000"])
    assert asked(service, "local") == "match"
    assert asked(service, "local", STRANGER) == "subject-not-covered"


def test_changes_are_numbered_in_the_order_of_their_commits(database_url: str) -> None:
    values = (
        "'a', 'persons-basic', '{name}', '{m}', 'p', 'l', now(), now(), 'b', now(), '{verify}', '{}', '{}', 0"
    )
    statement = (
        "INSERT INTO exchange.share_grant (id, client_id, resource, fields, matters, purpose, legal_basis, valid_from,"
        f" valid_until, granted_by, granted_at, modes, clear_fields, divisions, changed) VALUES (%s, {values})"
        " RETURNING changed"
    )
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        assert first.execute(statement, [uuid.uuid4()]).fetchone() == (1,)
        second.execute("SET lock_timeout = '100ms'")
        # The number is not given twice, nor out of turn: the other waits until the first has committed.
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(statement, [uuid.uuid4()])
        second.rollback()
        first.commit()
        assert second.execute(statement, [uuid.uuid4()]).fetchone() == (2,)
        second.commit()
        assert second.execute("SELECT number FROM exchange.grant_change").fetchone() == (2,)


def test_a_grant_of_before_still_lets_verify(server_address: str) -> None:
    with fresh_database(server_address, "template1") as address:
        command.upgrade(database._alembic(address), "0010")
        grant_id = uuid.uuid4()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO exchange.share_grant VALUES (%s, 'a', 'persons-basic', '{name}', '{m}', 'p', 'l',"
                " now(), now() + interval '1 day', NULL, 'b', now())",
                [grant_id],
            )
        database.migrate(address)

        async def read() -> Any:
            engine = database.engine(address)
            found = await tables.find(engine, grant_id)
            await engine.dispose()
            return found

        grant = asyncio.run(read())
    assert (grant.modes, grant.hours, grant.divisions) == (frozenset({Mode.VERIFY}), None, frozenset())
    now = datetime.now(UTC)
    assert covering_grant([grant], Mode.VERIFY, frozenset({"name"}), "m", now) == grant
