"""Who is new in a register: told to who asks for it, once, before all that changes of them, and a flood to nobody else."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from exchange.registers.tables import lock_register
from exchange.subscriptions import feed_tables, following
from exchange.subscriptions.subscription import Scope
from tests.exchange.subscriptions.conftest import ENTITIES, OTHER, PEOPLE, PERSON, City, Story

Told = Callable[[Story], None]


def test_a_named_subject_is_told_of_when_it_comes_and_only_to_who_asks(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give()
        asking = await city.subscribe("record-added", "person-changed", a=PERSON)
        other = await city.subscribe("person-changed", b=PERSON)
        assert await city.tell() == 0
        city.people(PERSON, OTHER)
        city.people(PERSON, name="张三")  # before anybody looks
        assert await city.tell() == 3
        events = (await city.read(asking)).events
        assert [(each["kind"], each["reference"], each["fields"]) for each in events] == [
            ("record-added", "a", []),
            ("person-changed", "a", ["name"]),
        ]
        assert all("identifier" not in each for each in events)
        assert [each["kind"] for each in (await city.read(other)).events] == ["person-changed"]
        city.people(PERSON, OTHER, name="李四")  # known by now
        assert await city.tell() == 2
        assert city.sql("SELECT count(*) FROM exchange.register_addition") == [(0,)]
        assert [each["kind"] for each in city.records("notified")].count("record-added") == 1

    told(story)


def test_a_load_that_nobody_asked_for_leaves_nothing(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give()
        await city.subscribe("person-changed", scope=Scope.ALL)
        await city.subscribe("record-added", a=PERSON)
        city.people(*PEOPLE[1:])
        ((kept,),) = city.sql("SELECT sum(octet_length(subjects)) / 16 FROM exchange.register_addition")
        assert kept == len(PEOPLE) - 1
        assert await city.tell() == 0
        assert city.sql("SELECT count(*) FROM exchange.register_addition") == [(0,)]
        assert city.sql("SELECT count(*) FROM exchange.change") == [(0,)]

    told(story)


def test_all_in_scope_are_told_of_in_pieces_and_once_though_it_dies(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(Exception):
        pass

    async def story(city: City) -> None:
        monkeypatch.setattr(following, "ADDED_AT_ONCE", 2)
        await city.give(divisions=frozenset({"990102"}))
        feed = await city.subscribe("record-added", scope=Scope.ALL)
        for one, two in zip(PEOPLE[:6:2], PEOPLE[1:6:2], strict=True):
            city.people(one, two)
        city.people(PEOPLE[6], division="990103")
        real = feed_tables.move_cursor
        lived = 0

        async def dying(*given: object) -> None:
            nonlocal lived
            lived += 1
            if lived == 2:
                raise Died
            await real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(feed_tables, "move_cursor", dying)
        with pytest.raises(Died):
            await city.tell()
        await city.tell()
        events = (await city.read(feed)).events
        # Elsewhere is out of the scope of the grant.
        assert sorted(each["identifier"] for each in events) == sorted(PEOPLE[:6])
        assert {each["kind"] for each in events} == {"record-added"}
        assert len({each["pseudonym"] for each in events}) == 6

    told(story)


def test_who_comes_back_is_not_new(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give(resource="legal-entities-basic", fields=frozenset({"name", "address"}))
        feed = await city.subscribe("record-added", "entity-struck-off", "entity-restored", e=ENTITIES[0])
        one, two = ((code, "甲", "东路", "张") for code in ENTITIES[:2])
        city.entities(one, two)
        city.entities(two)
        city.entities(one, two)
        await city.tell()
        assert [each["kind"] for each in (await city.read(feed)).events] == [
            "record-added",
            "entity-struck-off",
            "entity-restored",
        ]

    told(story)


def test_who_subscribes_while_a_load_goes_on_misses_nobody(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give()
        with psycopg.connect(city.address) as loading:
            # As a long load: it holds the register, and what it brings is not seen yet.
            lock_register(loading, "person")
            loading.execute(
                "INSERT INTO exchange.register_addition VALUES ('person', nextval(pg_get_serial_sequence("
                "'exchange.person_history', 'sequence')), %s, now())",
                [city.subject()],
            )
            loading.execute(
                "INSERT INTO exchange.person (subject, version, content, fingerprint, source, run_id, origin_row,"
                " valid_from) VALUES (%s, 1, '{}', '', 'x', gen_random_uuid(), 1, now())",
                [city.subject()],
            )
            assert await city.tell() == 0
            feed = await city.subscribe("record-added", a=PERSON)
            assert await city.tell() == 0
        assert await city.tell() == 1
        assert [each["reference"] for each in (await city.read(feed)).events] == ["a"]

    told(story)
