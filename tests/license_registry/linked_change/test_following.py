"""Following real registers: what a connector brings in becomes tasks for the authorities of that holder's licences."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.types.json import Jsonb

from exchange.registers.schemas import place
from foundation.identifiers import Uscc
from foundation.identity.principals import Principal, Role
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import canonical_json
from license_registry import tables as registry_tables
from license_registry.issuing.errors import HolderEnded
from license_registry.issuing.issue import issue
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.rules import DEFAULT, Cause, Reaction, rules_of
from license_registry.lifecycle.states import Operation, State
from license_registry.linked_change import follow as following
from license_registry.linked_change import tables
from license_registry.linked_change.follow import Followed, FollowingAlready, causes, follow
from license_registry.linked_change.standing import MergedAlready, merge
from license_registry.linked_change.tables import Seen
from license_registry.ports import Registry
from license_registry.presenting.present import Occasion, present
from license_registry.presenting.present import Wanted as Shown
from tests.license_registry.conftest import AUTHORITY, HOLDER, NOW, PERSON, registry, request
from zhengtong.followed import FollowedRegisters

NAME = "示范市东湖茶业有限公司"
AT_COUNTER = Occasion("办事", "m")
FOOD = {
    "licence_type": "food-permit",
    "number": "JY19901010000011",
}


@dataclass(slots=True)
class Register:
    """The registers as a connector writes them: versions, the old one into the history, ended ones out of the table."""

    address: str
    vault: Vault
    at: datetime = NOW - timedelta(days=30)

    def subject(self, table: str, code: str) -> bytes:
        return self.vault.blind_index("citizen-id" if table == "person" else "uscc", code)

    def put(self, table: str, code: str, at: datetime, /, **record: Any) -> None:
        subject = self.subject(table, code)
        secret = {n: record.pop(n) for n in ("representative_name",) if n in record}
        if table == "person":
            secret |= {n: record.pop(n) for n in ("name", "address") if n in record}
        sealed = self.vault.seal(canonical_json(secret), place(table, subject)) if secret else None
        with psycopg.connect(self.address) as connection:
            version = self._keep(connection, table, subject, at)
            connection.execute(
                f"INSERT INTO exchange.{table} (subject, version, content, sealed, fingerprint, source, run_id,"
                " origin_row, valid_from) VALUES (%s, %s, %s, %s, %s, 'test', %s, 1, %s)",
                [subject, version, Jsonb(record), sealed, bytes(16), uuid.uuid4(), at],
            )

    def end(self, table: str, code: str, at: datetime) -> None:
        with psycopg.connect(self.address) as connection:
            self._keep(connection, table, self.subject(table, code), at)

    def _keep(self, connection: psycopg.Connection[Any], table: str, subject: bytes, at: datetime) -> int:
        columns = (
            "subject, version, content, sealed, fingerprint, source, run_id, origin_part, origin_row, provenance,"
            " valid_from"
        )
        connection.execute(
            f"INSERT INTO exchange.{table}_history ({columns}, valid_until) SELECT {columns}, %s"
            f" FROM exchange.{table} WHERE subject = %s",
            [at, subject],
        )
        connection.execute(f"DELETE FROM exchange.{table} WHERE subject = %s", [subject])
        found = connection.execute(
            f"SELECT coalesce(max(version), 0) + 1 FROM exchange.{table}_history WHERE subject = %s",
            [subject],
        ).fetchone()
        assert found is not None
        return int(found[0])


Story = Callable[[Registry, Register], Any]


@pytest.fixture
def told(settings: Settings, database_url: str, vault: Vault) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def work() -> None:
            async with registry(settings, database_url) as ports:
                await story(ports, Register(database_url, ports.vault))

        asyncio.run(work())

    return run


async def followed(ports: Registry, now: datetime = NOW, batch: int = 500) -> Followed:
    return await follow(ports, FollowedRegisters(ports.pool, ports.vault), now, batch=batch)


async def made(ports: Registry, **changes: Any) -> str:
    return (await issue(ports, AUTHORITY, request(**changes), NOW)).licence.identifier


async def open_tasks(ports: Registry) -> set[tuple[str, str, str]]:
    found = await tables.tasks(ports.pool, None, "open", 1000)
    return {(each.identifier, each.cause.value, each.reaction.value) for each in found}


LATER = NOW + timedelta(days=1)


def test_a_change_of_an_entity_raises_tasks_by_the_rules_of_each_type(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, register: Register) -> None:
        entity = {"name": NAME, "code": HOLDER, "address": "东湖路1号", "representative_name": "张三丰"}
        register.put("legal_entity", HOLDER, register.at, **entity)
        business, food = await made(ports), await made(ports, **_food(ports))
        assert await followed(ports) == Followed(1, 0, 0)
        entity |= {"address": "东湖路2号", "representative_name": "李四光"}
        register.put("legal_entity", HOLDER, LATER, **entity)
        assert await followed(ports, LATER) == Followed(1, 1, 4)
        assert await open_tasks(ports) == {
            (business, "address", "change"),
            (business, "representative", "change"),
            (food, "address", "review"),
            (food, "representative", "change"),
        }
        assert await followed(ports, LATER) == Followed(1, 0, 0)
        # Something else of the entity, that no licence tells.
        register.put("legal_entity", HOLDER, LATER, **entity, business_scope="茶叶")
        assert await followed(ports, LATER) == Followed(1, 0, 0)
        # The record tells what, never the values.
        contents = await ports.pool.fetch(
            "SELECT content FROM license_registry.event WHERE kind = 'task-raised'"
        )
        assert len(contents) == 4
        for row in contents:
            assert set(orjson.loads(row["content"])) >= {"cause", "reaction", "task"}
            assert "东湖路" not in bytes(row["content"]).decode()

    told(story)


def _food(ports: Registry) -> dict[str, Any]:
    properties = ports.types["food-permit"].schema["properties"]
    known = {"holder_name": NAME, "holder_code": HOLDER}
    fields = {
        name: known.get(name, _example(properties[name]))
        for name in ports.types["food-permit"].schema["required"]
    }
    return {**FOOD, "fields": fields, "valid_from": "2024-01-01", "valid_until": "2028-12-31"}


def _example(told: dict[str, Any]) -> Any:
    if "enum" in told:
        return told["enum"][0]
    return "2024-01-01" if told.get("format") == "date" else "示范"


def test_an_entity_that_its_register_no_longer_names_is_struck_off(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, register: Register) -> None:
        register.put("legal_entity", HOLDER, register.at, name=NAME, code=HOLDER)
        business = await made(ports)
        assert await followed(ports) == Followed(1, 0, 0)
        register.end("legal_entity", HOLDER, LATER)
        assert await followed(ports, LATER) == Followed(1, 1, 1)
        assert await open_tasks(ports) == {(business, "struck_off", "change")}
        assert await followed(ports, LATER) == Followed(1, 0, 0)
        with pytest.raises(HolderEnded, match="no longer in its register"):
            await made(ports)
        presenter = Principal(
            "p", "", frozenset({Role.PERSON}), ports.vault.blind_index("citizen-id", PERSON)
        )
        with pytest.raises(HolderEnded, match="no longer in its register"):
            await present(ports, presenter, [Shown(business, ("established_on",))], AT_COUNTER, LATER)
        # It comes back, as it was.
        register.put("legal_entity", HOLDER, LATER, name=NAME, code=HOLDER)
        assert (await followed(ports, LATER)).tasks == 0
        await present(ports, presenter, [Shown(business, ("established_on",))], AT_COUNTER, LATER)

    told(story)


def test_a_death_reaches_every_licence_of_the_person(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, register: Register) -> None:
        person = {"name": "张三丰", "address": "东湖路1号"}
        register.put("person", PERSON, register.at, **person, status="resident")
        own = replace(ports.types["business-licence"], on_change=ports.types["driving-licence"].on_change)
        types = {
            **ports.types,
            "personal": replace(
                own,
                id="personal",
                type_code="11100000MB0143028R002",
                holder_code_type="111",
                annual_report=None,
                schema=_personal(own.schema),
            ),
        }
        ports = replace(ports, types=types)
        fields = {"holder_name": "张三丰", "holder_code": PERSON}
        licence = await made(ports, licence_type="personal", fields=fields, presenter=None)
        assert await followed(ports) == Followed(1, 0, 0)
        # Moved out of the city: nothing.
        register.put("person", PERSON, LATER, **person, status="moved-out")
        assert await followed(ports, LATER) == Followed(1, 0, 0)
        register.put("person", PERSON, LATER, **person, status="dead")
        assert await followed(ports, LATER) == Followed(1, 1, 1)
        assert await open_tasks(ports) == {(licence, "death", "change")}
        holder = Principal("p", "", frozenset({Role.PERSON}), ports.vault.blind_index("citizen-id", PERSON))
        with pytest.raises(HolderEnded, match="dead"):
            await present(ports, holder, [Shown(licence, ())], AT_COUNTER, LATER)
        with pytest.raises(HolderEnded, match="dead"):
            await made(ports, licence_type="personal", fields=fields, presenter=None)
        # Gone from the register of people afterwards: it stays the one death.
        register.end("person", PERSON, LATER)
        assert (await followed(ports, LATER)).tasks == 0

    told(story)


def _personal(schema: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["holder_name", "holder_code"],
        "properties": {"holder_name": {"type": "string"}, "holder_code": {"type": "string"}},
    }


def test_what_changed_before_it_was_first_followed_is_seen_too_and_what_was_issued_after_is_left(
    told: Callable[[Story], None],
) -> None:
    async def story(ports: Registry, register: Register) -> None:
        register.put("legal_entity", HOLDER, register.at, name=NAME, code=HOLDER, address="东湖路1号")
        early = await made(ports)
        register.put("legal_entity", HOLDER, LATER, name=NAME, code=HOLDER, address="东湖路2号")
        after = (await issue(ports, AUTHORITY, request(), LATER + timedelta(hours=1))).licence.identifier
        assert await followed(ports, LATER) == Followed(1, 1, 1)
        assert await open_tasks(ports) == {(early, "address", "change")}
        assert after != early

    told(story)


def test_licences_that_have_ended_raise_nothing(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, register: Register) -> None:
        register.put("legal_entity", HOLDER, register.at, name=NAME, code=HOLDER)
        stands, ended, frozen = [await made(ports) for _turn in range(3)]
        await change_state(ports, AUTHORITY, ended, Wanted(Operation.CANCEL, "注销", State.CANCELLED), NOW)
        await change_state(
            ports, AUTHORITY, frozen, Wanted(Operation.OTHER, "冻结", description="司法冻结"), NOW
        )
        assert await followed(ports) == Followed(1, 0, 0)
        register.put("legal_entity", HOLDER, LATER, name="示范市东湖茶业集团", code=HOLDER)
        await followed(ports, LATER)
        assert await open_tasks(ports) == {(stands, "name", "change"), (frozen, "name", "change")}

    told(story)


def test_a_walk_that_dies_goes_on_where_it_was_and_two_walks_do_not_meet(
    told: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    async def story(ports: Registry, register: Register) -> None:
        codes = [str(Uscc.compute(f"91990101MA00{turn:05d}")) for turn in range(10, 17)]
        for code in codes:
            register.put("legal_entity", code, register.at, name=NAME, code=code)
            fields = {"holder_name": NAME, "holder_code": code, "established_on": "2001-05-06"}
            await made(ports, fields=fields)
        assert await followed(ports, batch=2) == Followed(7, 0, 0)
        for code in codes:
            register.put("legal_entity", code, LATER, name=f"{NAME}二", code=code)
        put = tables.put_seen
        turns = iter(range(100))

        async def dying(*arguments: Any) -> None:
            if next(turns) == 3:  # the second of the second batch
                raise Died
            await put(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(following.tables, "put_seen", dying)
            with pytest.raises(Died):
                await followed(ports, LATER, batch=2)
        assert len(await open_tasks(ports)) == 2
        async with following._alone(ports):
            with pytest.raises(FollowingAlready):
                await followed(ports, LATER, batch=2)
        assert await followed(ports, LATER, batch=2) == Followed(5, 5, 5)
        assert await followed(ports, LATER, batch=2) == Followed(7, 0, 0)
        assert len(await open_tasks(ports)) == 7

    told(story)


def test_a_holder_merged_into_another_gets_and_shows_nothing(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, register: Register) -> None:
        survivor = str(Uscc.compute("91990101MA0000002"))
        operator = Principal("operator", "", frozenset({Role.OPERATOR}))
        business = await made(ports)
        presenter = Principal(
            "p", "", frozenset({Role.PERSON}), ports.vault.blind_index("citizen-id", PERSON)
        )
        await present(ports, presenter, [Shown(business, ())], AT_COUNTER, NOW)
        assert await merge(ports, operator, "001", HOLDER, survivor, "吸收合并", NOW) == 1
        with pytest.raises(HolderEnded, match="merged"):
            await present(ports, presenter, [Shown(business, ())], AT_COUNTER, NOW)
        with pytest.raises(HolderEnded, match="merged"):
            await made(ports)
        assert await open_tasks(ports) == {(business, "struck_off", "change")}
        for code, into in ((HOLDER, survivor), (survivor, HOLDER)):
            with pytest.raises(MergedAlready):
                await merge(ports, operator, "001", code, into, "吸收合并", NOW)
        found = await registry_tables.find(ports.pool, business)
        assert found is not None
        assert found.state is State.VALID, "what becomes of it the authority decides"

    told(story)


LIVING = Seen(1, "living", b"n", b"a", b"r")


@pytest.mark.parametrize(
    ("code_type", "before", "after", "expected"),
    [
        ("001", LIVING, LIVING, set()),
        ("001", LIVING, replace(LIVING, version=2, name=b"m"), {Cause.NAME}),
        ("001", LIVING, replace(LIVING, address=None), {Cause.ADDRESS}),
        ("001", LIVING, replace(LIVING, standing="ended"), {Cause.STRUCK_OFF}),
        ("111", LIVING, replace(LIVING, standing="ended"), set()),
        ("111", LIVING, replace(LIVING, standing="dead", name=b"m"), {Cause.DEATH}),
        ("111", replace(LIVING, standing="dead"), replace(LIVING, standing="dead", name=b"m"), set()),
        ("111", replace(LIVING, standing="dead"), LIVING, set()),
        ("001", replace(LIVING, standing="ended"), replace(LIVING, name=b"m"), {Cause.NAME}),
    ],
)
def test_what_counts_as_a_change(code_type: str, before: Seen, after: Seen, expected: set[Cause]) -> None:
    assert causes(code_type, before, after) == expected


def test_every_type_has_a_rule_for_every_cause(told: Callable[[Story], None]) -> None:
    async def story(ports: Registry, _register: Register) -> None:
        for each in ports.types.values():
            rules = rules_of(ports.types, each.type_code)
            assert set(rules.on_change) == set(Cause)
            assert all(isinstance(reaction, Reaction) for reaction in rules.on_change.values())
        assert rules_of(ports.types, "none") == DEFAULT

    told(story)
