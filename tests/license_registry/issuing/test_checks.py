"""What is checked before issuing: holders against the registers, several holders, numbers, dates, versions of types."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from exchange.registers.schemas import place
from foundation.errors import DomainError
from foundation.identifiers import CitizenId
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import canonical_json
from license_registry import tables
from license_registry.catalog.types import load_types, type_of, type_of_credential
from license_registry.credentials import sd_jwt
from license_registry.issuing.issue import IssueRequest, issue
from license_registry.issuing.metadata import metadata
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy
from tests.license_registry.conftest import AUTHORITY, HOLDER, NOW, PERSON, STRANGER, registry, request

CHILD = CitizenId.compute("990103", date(2010, 3, 1), 11).reveal()
MARRIED = {
    "licence_type": "marriage-certificate",
    "fields": {
        "holder_name": "张三丰",
        "holder_code": PERSON,
        "co_holders": [{"holder_name": "李四光", "holder_code": STRANGER}],
        "registered_on": "2020-05-20",
    },
    "valid_until": None,
    "presenter": None,
}


def registered(
    address: str, vault: Vault, code: str, name: str, *, status: str = "resident", gone: bool = False
) -> None:
    """Bring somebody into the register of people, or an entity into that of entities or its history."""
    person = code in (PERSON, STRANGER, CHILD)
    table = "person" if person else "legal_entity"
    subject = vault.blind_index("citizen-id" if person else "uscc", code)
    clear: dict[str, Any] = {"status": status} if person else {"name": name, "code": code}
    sealed = vault.seal(canonical_json({"name": name}), place(table, subject)) if person else None
    columns = "subject, version, content, sealed, fingerprint, source, run_id, origin_row, valid_from"
    with psycopg.connect(address) as connection:
        connection.execute(
            f"INSERT INTO exchange.{table}{'_history' if gone else ''} ({columns}{', valid_until' if gone else ''})"
            f" VALUES (%s, 1, %s, %s, %s, 'test', %s, 1, now(){', now()' if gone else ''})",
            [subject, Jsonb(clear), sealed, bytes(16), uuid.uuid4()],
        )


def attempt(
    settings: Settings, address: str, work: Callable[[Registry], Awaitable[Any]], *, required: bool = True
) -> Any:
    async def inside() -> Any:
        mode = settings.model_copy(update={"holder_register": "required" if required else "if-known"})
        async with registry(mode, address) as ports:
            return await work(ports)

    return asyncio.run(inside())


def refusal(
    settings: Settings, address: str, wanted: IssueRequest, *, required: bool = True
) -> tuple[str, str | None]:
    """Code and place of the refusal; nothing may have been kept."""

    async def work(ports: Registry) -> tuple[str, str | None]:
        with pytest.raises(DomainError) as refused:
            await issue(ports, AUTHORITY, wanted, NOW)
        assert await ports.pool.fetchval("SELECT count(*) FROM license_registry.licence") == 0
        assert not list(settings.objects_folder.rglob("*.sdjwt"))
        return refused.value.code, refused.value.pointer

    found: tuple[str, str | None] = attempt(settings, address, work, required=required)
    return found


def test_a_holder_is_one_that_the_register_has_under_this_name(
    settings: Settings, database_url: str, vault: Vault
) -> None:
    wanted = request(number="A1")
    assert refusal(settings, database_url, wanted) == ("holder-unknown", "/fields/holder_code")
    registered(database_url, vault, HOLDER, "示范市西湖茶业有限公司")
    told = ("holder-differs", "/fields/holder_name")
    assert refusal(settings, database_url, wanted) == told
    # Also where a holder need not be in a register: what the register says counts.
    assert refusal(settings, database_url, wanted, required=False) == told
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """UPDATE exchange.legal_entity SET content = content || '{"name": "示范市东湖茶业有限公司 "}'"""
        )
    assert attempt(settings, database_url, lambda ports: issue(ports, AUTHORITY, wanted, NOW)).fresh


def test_a_holder_that_its_register_no_longer_names_gets_nothing(
    settings: Settings, database_url: str, vault: Vault
) -> None:
    registered(database_url, vault, HOLDER, "示范市东湖茶业有限公司", gone=True)
    assert refusal(settings, database_url, request()) == ("holder-ended", "/fields/holder_code")


def test_the_dead_get_nothing_and_each_of_several_holders_is_looked_up(
    settings: Settings, database_url: str, vault: Vault
) -> None:
    wanted = request(number="J990101-2020-000001", **MARRIED)
    registered(database_url, vault, PERSON, "张三丰")
    assert refusal(settings, database_url, wanted) == ("holder-unknown", "/fields/co_holders/0/holder_code")
    registered(database_url, vault, STRANGER, "李四光", status="dead")
    assert refusal(settings, database_url, wanted) == ("holder-ended", "/fields/co_holders/0/holder_code")


def test_a_licence_of_two_is_found_for_both_and_neither_gets_another(
    settings: Settings, database_url: str, vault: Vault
) -> None:
    registered(database_url, vault, PERSON, "张三丰")
    registered(database_url, vault, STRANGER, "李四光")

    async def work(ports: Registry) -> None:
        made = await issue(ports, AUTHORITY, request(number="J990101-2020-000001", **MARRIED), NOW)
        for code in (PERSON, STRANGER):
            subject = ports.vault.blind_index("citizen-id", code)
            assert await tables.of_holders(ports.pool, [subject]) == [made.licence]
        # The holder presents, where nobody else is named.
        assert made.licence.presenter == ports.vault.blind_index("citizen-id", PERSON)
        turned = {
            **MARRIED["fields"],
            "holder_name": "李四光",
            "holder_code": STRANGER,
            "co_holders": [{"holder_name": "王五", "holder_code": CHILD}],
        }
        with pytest.raises(DomainError) as refused:
            await issue(
                ports, AUTHORITY, request(number="J990101-2020-000002", **{**MARRIED, "fields": turned}), NOW
            )
        assert (refused.value.code, refused.value.pointer) == ("licence-in-force", "/fields/holder_code")

        told = metadata(made.licence, ports.types["marriage-certificate"], ports.vault)
        assert told["CZZT"] == ["张三丰", "李四光"]
        assert told["CZZTDM"] == [PERSON, STRANGER]
        assert (told["CZZTDMLXDM"], told["ZZMC"], told["ZZBH"]) == ("111", "结婚证", "J990101-2020-000001")
        assert told["lead_copy"]["sm3"] == (made.licence.object_sm3 or b"").hex()
        assert len(bytes.fromhex(told["lead_copy"]["sm3"])) == 32

    attempt(settings, database_url, work)


def test_two_holders_are_wanted_and_two_different_ones(settings: Settings, database_url: str) -> None:
    alone = {name: value for name, value in MARRIED["fields"].items() if name != "co_holders"}
    wanted = request(number="J990101-2020-000001", **{**MARRIED, "fields": alone})
    assert refusal(settings, database_url, wanted) == ("holder-invalid", "/fields/co_holders")
    twice = {**MARRIED["fields"], "co_holders": [{"holder_name": "张三丰", "holder_code": PERSON}]}
    wanted = request(number="J990101-2020-000001", **{**MARRIED, "fields": twice})
    place = "/fields/co_holders/0/holder_code"
    assert refusal(settings, database_url, wanted) == ("holder-invalid", place)


DRIVER = {
    "licence_type": "driving-licence",
    "number": "990100000001",
    "fields": {
        "holder_name": "张三丰",
        "holder_code": PERSON,
        "birth_date": "1980-02-29",
        "vehicle_classes": "C1",
        "first_licensed_on": "2001-05-06",
    },
    "valid_until": "2025-12-31",
    "presenter": None,
}
DISABLED = {
    "licence_type": "disability-certificate",
    "number": None,
    "fields": {"holder_name": "张三丰", "holder_code": PERSON, "category": "视力", "grade": "一级"},
    "valid_until": None,
    "presenter": None,
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"number": "A"}, ("licence-number-invalid", "/number")),
        ({"number": None}, ("licence-number-invalid", "/number")),
        ({"valid_until": "2026-06-30"}, ("validity-invalid", "/valid_until")),
        ({"issued_on": date(2025, 7, 1)}, ("validity-invalid", "/issued_on")),
        (
            {"issued_on": date(2025, 6, 1), "first_issued_on": date(2025, 6, 2)},
            ("validity-invalid", "/first_issued_on"),
        ),
        ({"origin": "digitised"}, ("validity-invalid", "/issued_on")),
        (DISABLED, ("licence-number-invalid", "/division")),
    ],
)
def test_number_and_dates_follow_the_rules_of_the_type(
    settings: Settings, database_url: str, changes: dict[str, Any], told: tuple[str, str]
) -> None:
    wanted = request(**{**DRIVER, **changes})
    assert refusal(settings, database_url, wanted, required=False) == told


def test_a_paper_in_force_is_taken_over_with_its_own_dates_and_marked(
    settings: Settings, database_url: str
) -> None:
    old = {
        "number": "老字第12号",
        "origin": "digitised",
        "valid_until": "2031-01-02",
        "issued_on": date(2011, 3, 4),
        "first_issued_on": date(2001, 5, 6),
    }

    async def work(ports: Registry) -> None:
        made = (await issue(ports, AUTHORITY, request(**{**DRIVER, **old}), NOW)).licence
        assert (made.origin, made.issued_on, made.first_issued_on) == (
            "digitised",
            date(2011, 3, 4),
            date(2001, 5, 6),
        )
        credential = sd_jwt.verify(await lead_copy(ports, made), ports.keys.verification_keys("credential"))
        assert credential.claims["origin"] == "digitised"
        assert credential.claims["valid_until"] == "2031-01-02"

    attempt(settings, database_url, work, required=False)


def test_a_number_is_made_where_the_type_makes_it_and_once_for_equal_requests(
    settings: Settings, database_url: str
) -> None:
    async def work(ports: Registry) -> None:
        wanted = request(**DISABLED, division="990100")
        several = await asyncio.gather(*(issue(ports, AUTHORITY, wanted, NOW) for _ in range(8)))
        assert sorted(each.fresh for each in several) == [False] * 7 + [True]
        (made,) = {each.licence.identifier: each.licence for each in several}.values()
        assert made.number == f"CJ9901002025{made.identifier.split('.')[-3][4:]}"
        # Ten years, the last day included.
        assert (made.valid_from, made.valid_until) == (date(2020, 1, 1), date(2029, 12, 31))

    attempt(settings, database_url, work, required=False)


def next_version(tmp_path: Path, type_id: str, schema: Mapping[str, Any]) -> Path:
    """A city's folder with version 2 of a type: another type code, further fields."""
    folder = tmp_path / "types" / type_id / "2"
    shipped = Path(str(resources.files("schemas"))) / "licence_types" / type_id / "1"
    shutil.copytree(shipped, folder)
    told = json.loads((folder / "type.json").read_text(encoding="utf-8"))
    told |= {"version": 2, "vct": f"urn:zhengtong:licence:{type_id}:2", "name_en": "Newer"}
    told["type_code"] = {"value": "11100000000013127D008", "confidence": "guess"}
    (folder / "type.json").write_text(json.dumps(told), encoding="utf-8")
    fields = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    fields["properties"] |= schema
    fields["required"] += list(schema)
    (folder / "schema.json").write_text(json.dumps(fields), encoding="utf-8")
    return tmp_path / "types"


def test_licences_of_an_old_version_stay_readable_and_their_numbers_taken(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    points = {
        "points": {
            "title": "累积记分", "x-title-en": "Points", "type": "string", "x-disclosure": "selective",
            "x-confidence": "guess",
        }
    }  # fmt: skip

    async def work(ports: Registry) -> None:
        old = (await issue(ports, AUTHORITY, request(**DRIVER), NOW)).licence
        ports = replace(ports, types=load_types(next_version(tmp_path, "driving-licence", points)))
        # The same request fits the new version no more; with what it asks for, the number is still taken.
        with pytest.raises(DomainError) as refused:
            await issue(ports, AUTHORITY, request(**DRIVER), NOW)
        assert (refused.value.code, refused.value.pointer) == ("licence-fields-invalid", "/fields/points")
        wanted = {**DRIVER, "fields": {**DRIVER["fields"], "points": "0"}}
        with pytest.raises(DomainError) as refused:
            await issue(ports, AUTHORITY, request(**wanted), NOW)
        assert (refused.value.code, refused.value.pointer) == ("licence-in-force", "/number")
        wanted["fields"] |= {"holder_name": "李四光", "holder_code": STRANGER}
        new = (await issue(ports, AUTHORITY, request(**{**wanted, "number": "990100000002"}), NOW)).licence
        assert (old.type_version, new.type_version) == (1, 2)
        assert new.type_code == "11100000000013127D008" != old.type_code

        keys = ports.keys.verification_keys("credential")
        for made, name in ((old, "Driving licence"), (new, "Newer")):
            credential = sd_jwt.verify(await lead_copy(ports, made), keys)
            by_row = type_of(ports.types, made.type_code, made.type_version)
            assert type_of_credential(ports.types, credential.claims["vct"]) is by_row
            assert by_row.name_en == name
            by_row.require_valid(dict(credential.disclosed))
            assert metadata(made, by_row, ports.vault)["licence_type_version"] == by_row.version

    attempt(settings, database_url, work, required=False)


def test_the_licence_states_when_it_was_issued(settings: Settings, database_url: str) -> None:
    async def work(ports: Registry) -> None:
        # In the evening by UTC it is the next day in China.
        late = datetime(2025, 6, 30, 20, 0, tzinfo=UTC)
        made = (await issue(ports, AUTHORITY, request(), late)).licence
        assert made.issued_on == made.first_issued_on == date(2025, 7, 1)
        assert made.origin == "issued"

    attempt(settings, database_url, work, required=False)
