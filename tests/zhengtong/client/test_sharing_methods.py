"""The client against a running house: share requests, archives of cases, licences by short names; in both clients."""

from __future__ import annotations

import asyncio
import inspect
import io
import time
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from demonstration.parties import System, sign_in
from exchange.catalog.resources import load_catalogue
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.archives.closing import CODE, carried_through, close, prepare
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from tests.license_registry.conftest import HOLDER, PERSON, issued
from tests.license_registry.disclosing.test_disclosing import grant
from tests.zhengtong.client.scripted import Asked, Reply, scripted
from tests.zhengtong.client.test_client import client_of
from tests.zhengtong.client.test_sending import client as scripted_client
from tests.zhengtong.client.test_sending import token
from zhengtong.client import AsyncClient, Client, ProblemError, ReplyUnreadable, Unreachable, Use

OWNER = load_catalogue()["persons-basic"].department
ASKING = "11990100MB2B00001X"
CASE = "2025/client-1"
USE = Use("办理税务登记", "tax-registration", "2025-77")
NAME = "示范市东湖茶业有限公司"


@pytest.fixture(scope="module")
def asking(service: Service) -> Iterator[Client]:
    with client_of(service, service.system("asking", Role.DEPARTMENT_SYSTEM, department=ASKING)) as calling:
        yield calling


@pytest.fixture(scope="module")
def owner(service: Service) -> Iterator[Client]:
    with client_of(service, service.system("police", Role.DEPARTMENT_SYSTEM, department=OWNER)) as calling:
        yield calling


@pytest.fixture(scope="module")
def bureau(service: Service) -> Iterator[Client]:
    with client_of(service, service.system("data-bureau", Role.SHARING_AUTHORITY)) as calling:
        yield calling


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "matters": ["withdrawal"],
        "per_day": 100,
        "until": datetime.now(UTC) + timedelta(days=400),
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        **changes,
    }


def test_a_request_goes_from_asking_to_its_grant_and_its_end(
    asking: Client, owner: Client, bureau: Client
) -> None:
    asked = asking.request_resource(
        "persons-basic", ["name"], **wanted(further={"modes": ["verify", "batch"]})
    )
    assert (asked.state, asked.step, asked.owner, asked.department) == ("submitted", "check", OWNER, ASKING)
    assert asked.document["asked"]["modes"] == ["batch", "verify"]
    assert asked.due_on is not None and asked.due_on > date(2025, 1, 1)
    assert bureau.check_request(asked.id, complete=False, reason="缺依据").state == "returned"
    again = asking.resubmit_request(asked.id, "persons-basic", ["name", "birth_date"], **wanted())
    assert again.state == "submitted"
    assert bureau.check_request(asked.id, complete=True).state == "checked"
    scope = {name: again.document["asked"][name] for name in ("matters", "modes", "per_day", "until")}
    part = owner.answer_request(
        asked.id, "grant-in-part", scope={**scope, "fields": ["name"]}, reason="出生日期不需要"
    )
    assert part.state == "granted-in-part"
    provided = owner.provide_request(asked.id)
    assert provided.grant in {each.id for each in asking.grants()}
    # What was done last, said again, changes nothing.
    assert owner.provide_request(asked.id).grant == provided.grant
    assert asking.dispute_request(asked.id, "需要出生日期").state == "disputed"
    assert bureau.decide_request(asked.id, "owner", reason="最小够用").state == "provided"
    shown = asking.share_request(asked.id)
    assert [each["action"] for each in shown.history][:2] == ["submit", "return"]
    assert asked.id in {each.id for each in owner.share_requests(state="provided")}
    assert asking.share_requests(state="provided", before=datetime(2025, 1, 1, tzinfo=UTC)) == ()
    assert bureau.end_request(asked.id, "不再需要").state == "ended"
    assert any(each["department"] == OWNER for each in bureau.request_statistics())


def test_a_request_is_refused_or_withdrawn(asking: Client, owner: Client, bureau: Client) -> None:
    first, second = (
        asking.request_resource("persons-basic", ["name"], request_id=uuid.uuid4(), **wanted())
        for _ in range(2)
    )
    assert asking.withdraw_request(first.id).state == "withdrawn"
    bureau.check_request(second.id, complete=True)
    refused = owner.answer_request(second.id, "refuse", reason="不予提供", legal_basis="第十二条")
    assert (refused.state, refused.reason) == ("refused", "不予提供")
    with pytest.raises(ProblemError) as raised:
        owner.provide_request(second.id)
    assert raised.value.code == "request-state-wrong"


def test_notices_of_terms_are_read_and_seen(service: Service, owner: Client, asking: Client) -> None:
    item = uuid.uuid4()
    service.sql(
        "INSERT INTO exchange.request_notice (kind, item, department, step, due_on, created_at)"
        " VALUES ('request', %s, %s, 'answer', '2025-01-02', now())",
        item,
        OWNER,
    )
    (notice,) = owner.term_notices(unseen=True)
    assert (notice.item, notice.step, notice.due_on) == (item, "answer", date(2025, 1, 2))
    assert asking.term_notices() == ()
    owner.see_term_notice(notice.id)
    owner.see_term_notice(notice.id)
    assert owner.term_notices(unseen=True) == ()
    assert owner.term_notices()[0].seen_at is not None


@pytest.fixture(scope="module")
def office(service: Service) -> Iterator[Client]:
    system = service.system("tax-office", Role.DEPARTMENT_SYSTEM, Role.COUNTER)
    sharing = service.system("data-bureau", Role.SHARING_AUTHORITY)
    fields = ["holder_name", "representative_name"]
    assert grant(service, sharing, system, fields=fields, history=True).status_code == 201
    with client_of(service, system) as calling:
        yield calling


def test_licences_are_known_by_their_short_names(
    service: Service, authority_of: System, office: Client
) -> None:
    made = issued(service, authority_of)
    held = {each.identifier: each for each in office.licences_of_holder(HOLDER, USE)}
    assert (held[made["identifier"]].state, held[made["identifier"]].result) == ("01", None)
    assert office.licences_of_holder(HOLDER, USE, type_code="11100000MB0143028R009") == ()

    seen = office.licence_data(made["identifier"], USE)
    assert (seen.result, seen.state, seen.data["CZZT"]) == (0, "01", [NAME])
    with pytest.raises(ProblemError, match="disclosure-not-granted"):
        office.licence_data(made["identifier"], Use("x", "another-matter", "1"))

    told = office.see_history(made["identifier"], matter=USE.matter, case=USE.case)
    assert [each["identifier"] for each in told["versions"]] == [made["identifier"]]
    assert told["changes"] == []

    checked = office.check_licence_data(
        made["identifier"], {"ZZBH": "别的", "CZZT": [NAME], "ZZYXQJZRQ": "2099-12-31"}, USE
    )
    assert (checked.result, checked.valid, checked.differing, checked.lacking) == (6, False, ("ZZBH",), ())

    file = office.make_licence_file(made["identifier"], USE)
    copy = office.fetch_licence_file(file)
    with pytest.raises(ProblemError, match="link-spent"):
        office.fetch_licence_file(file)
    found = office.check_licence_file(copy, USE)
    assert (found.result, found.valid, found.kind) == (0, True, "marked-copy")
    assert found.data is not None and found.data["ZZBS"] == made["identifier"]

    with Client(service.settings.base_url, id_token=sign_in(service.http, PERSON, "张三丰")) as person:
        code = person.present(made["identifier"], ["business_scope"], purpose="登记", matter=USE.matter)
    (shown,) = office.licence_data_by_code(code.code, USE)
    assert (shown.result, shown.data["KZ_business_scope"]) == (0, "茶叶种植")
    with pytest.raises(ProblemError, match="code-used"):
        office.licence_data_by_code(code.code, USE)


@pytest.fixture(scope="module")
def authority_of(service: Service) -> System:
    return service.system("market-regulator", Role.ISSUING_AUTHORITY)


def test_the_package_of_a_closed_case_is_fetched(service: Service, fund: System) -> None:
    prepare(service, fund)
    carried_through(service, fund, CASE)
    outcome = close(service, fund, CASE)
    with client_of(service, fund) as calling:
        deadline = time.monotonic() + 30
        while (archive := calling.case_archives(CASE)[0]).state != "packed":
            assert time.monotonic() < deadline, archive
            time.sleep(0.1)
        assert (str(archive.outcome), archive.matter, archive.problem) == (outcome, CODE, None)
        content = calling.case_package(CASE, CODE)
        assert "manifest.json" in {
            name.rpartition("/")[2] for name in zipfile.ZipFile(io.BytesIO(content)).namelist()
        }
        assert calling.retry_case_archive(CASE, CODE).sha256 == archive.sha256
        with pytest.raises(ProblemError, match="not-found"):
            calling.case_package(CASE, "another-matter")


def test_what_is_not_what_was_announced_is_refused_and_what_works_once_is_sent_once() -> None:
    package = "/exchange/v1/cases/2025%2F1/archive/package?matter=m"
    made = {
        "ZZBS": "1",
        "link": "https://elsewhere.example/registry/v1/downloads/secret",
        "link_expires_at": "2025-01-01T00:00:00+00:00",
        "sha256": "00" * 32,
    }

    def script(asked: Asked, _turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        if asked.path.endswith("/files"):
            return Reply(201, made)
        if asked.path == "/registry/v1/sharing/data-by-code":
            return Reply(hang_up=True)
        return Reply(body={"of": "another"}, headers={"Repr-Digest": "sha-256=:AAAA:"})

    with scripted(script) as server, scripted_client(server.address) as calling:
        with pytest.raises(ReplyUnreadable):
            calling.case_package("2025/1", "m")
        assert len(server.of(package)) == 1
        file = calling.make_licence_file("1", USE)
        with pytest.raises(ReplyUnreadable):
            calling.fetch_licence_file(file)
        # Fetched where the client calls, wherever the link points.
        assert len(server.of("/registry/v1/downloads/secret")) == 1
        with pytest.raises(Unreachable):
            calling.licence_data_by_code("ABCDEFGH", USE)
        assert len(server.of("/registry/v1/sharing/data-by-code")) == 1


def test_both_clients_have_the_same_methods() -> None:
    def methods(of: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(of, inspect.isfunction)
        return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}

    blocking, concurrent = methods(Client), methods(AsyncClient)
    assert blocking.pop("close") == concurrent.pop("aclose")
    assert blocking == concurrent


def test_the_asynchronous_client_does_the_same(service: Service, office: Client, fund: System) -> None:
    system = service.system("tax-office", Role.DEPARTMENT_SYSTEM, Role.COUNTER)

    async def work() -> tuple[int, int]:
        async with AsyncClient(
            service.settings.base_url, system.client_id, system.key, key_id="1"
        ) as calling:
            asked = await calling.request_resource("persons-basic", ["name"], **wanted())
            assert (await calling.withdraw_request(asked.id)).state == "withdrawn"
            listed = await calling.share_requests(state="withdrawn")
            held = await calling.licences_of_holder(HOLDER, USE)
            return sum(each.id == asked.id for each in listed), len(held)

    mine, held = asyncio.run(work())
    assert (mine, held > 0) == (1, True)
