"""What changed is told exactly once: of whom it was asked, in which fields were granted, whatever dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from exchange.registers import links
from exchange.subscriptions import feed_tables, following
from exchange.subscriptions.following import append_change, follow
from exchange.subscriptions.spread import spread
from exchange.subscriptions.subscription import Scope
from license_registry.issuing.issue import issue
from license_registry.lifecycle.change import Wanted, change_state
from license_registry.lifecycle.states import Operation, State
from license_registry.lifecycle.versions import VersionRequest, new_version
from tests.exchange.subscriptions.conftest import ENTITIES, ENTITY, OTHER, PEOPLE, PERSON, City, Story
from tests.license_registry.conftest import AUTHORITY, HOLDER, request
from zhengtong.licence_changes import FollowedLicences

Told = Callable[[Story], None]
ALL_OF_PERSONS = ("person-died", "address-changed", "person-changed")


def test_changes_of_named_people_are_told_by_reference_and_without_values(told: Told) -> None:
    async def story(city: City) -> None:
        city.people()
        city.people(OTHER)
        await city.give()
        feed = await city.subscribe(*ALL_OF_PERSONS, case17=PERSON)
        assert await city.tell() == 0, "what was before is not told"
        city.people(address="东湖路2号", name="张三")
        city.people(OTHER, address="东湖路2号")
        assert await city.tell() == 2
        page = await city.read(feed)
        assert [(event["kind"], event["fields"]) for event in page.events] == [
            ("address-changed", ["address"]),
            ("person-changed", ["name"]),
        ]
        assert {event["reference"] for event in page.events} == {"case17"}
        assert [event["sequence"] for event in page.events] == [1, 2]
        assert (page.next, page.head) == (2, 2)
        assert all(value not in str(page) for value in (PERSON, "东湖路", "张三"))
        assert await city.tell() == 0
        city.people(address="东湖路2号", name="张三", status="死亡", died="2025-01-02")
        assert await city.tell() == 1
        (event,) = (await city.read(feed, after=2)).events
        assert (event["kind"], event["fields"]) == ("person-died", ["status"]), "died_on is not granted"

    told(story)


def test_fields_that_are_not_granted_are_not_told(told: Told) -> None:
    async def story(city: City) -> None:
        city.people()
        await city.give(fields=frozenset({"name"}))
        feed = await city.subscribe(*ALL_OF_PERSONS, a=PERSON)
        city.people(address="东湖路2号", marital="离婚")
        assert await city.tell() == 0
        city.people(address="东湖路2号", marital="离婚", name="张三")
        assert await city.tell() == 1
        ((kind, fields),) = [(e["kind"], e["fields"]) for e in (await city.read(feed)).events]
        assert (kind, fields) == ("person-changed", ["name"])

    told(story)


def test_who_is_told_of_all_gets_a_pseudonym_and_the_identifier_only_by_reading(told: Told) -> None:
    async def story(city: City) -> None:
        city.people()
        await city.give()
        feed = await city.subscribe("person-changed", scope=Scope.ALL)
        city.people(name="张三")
        city.people(OTHER)  # new: that is no change
        city.people(name="张")
        assert await city.tell() == 2
        first, second = (await city.read(feed)).events
        assert first["pseudonym"] == second["pseudonym"] != PERSON
        assert first["identifier"] == second["identifier"] == PERSON
        for (content,) in city.sql("SELECT to_jsonb(e)::text FROM exchange.feed_event e"):
            assert PERSON not in content

    told(story)


def test_only_subjects_in_the_divisions_of_the_grant(told: Told) -> None:
    async def story(city: City) -> None:
        city.people()
        city.people(OTHER, division="990203")
        await city.give(divisions=frozenset({"9902"}))
        await city.subscribe("person-changed", scope=Scope.ALL)
        await city.subscribe("person-changed", a=PERSON, b=OTHER)
        city.people(name="张三")
        assert await city.tell() == 0
        city.people(OTHER, division="990203", name="张三")
        assert await city.tell() == 2

    told(story)


def test_entities_are_renamed_and_struck_off(told: Told) -> None:
    async def story(city: City) -> None:
        kept = (ENTITIES[1], "留下", "西路", "王")
        city.entities((ENTITY, "甲", "东路", "张"), kept)
        await city.give(
            resource="legal-entities-basic", fields=frozenset({"name", "representative_name", "address"})
        )
        feed = await city.subscribe(
            "entity-renamed", "representative-changed", "entity-struck-off", "entity-restored", e=ENTITY
        )
        city.entities((ENTITY, "乙", "西路", "李"), kept)
        city.entities(kept)
        assert await city.tell() == 3
        assert [(e["kind"], e["fields"]) for e in (await city.read(feed)).events] == [
            ("entity-renamed", ["name"]),
            ("representative-changed", ["representative_name"]),
            ("entity-struck-off", []),
        ]
        city.entities((ENTITY, "丙", "西路", "李"), kept)  # it comes back by another name
        assert await city.tell() == 2
        city.entities(kept)
        city.entities((ENTITY, "丙", "西路", "李"), kept)
        city.entities((ENTITY, "丁", "西路", "李"), kept)
        assert await city.tell() == 3
        assert [(e["kind"], e["fields"]) for e in (await city.read(feed, after=3)).events] == [
            ("entity-restored", []),
            ("entity-renamed", ["name"]),
            ("entity-struck-off", []),
            ("entity-restored", []),
            ("entity-renamed", ["name"]),
        ]
        assert city.sql("SELECT count(*) FROM exchange.register_return") == [(0,)]

    told(story)


def test_dying_at_any_step_loses_nothing_and_tells_nothing_twice(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement that writes dies once, before and after it was done; the next round goes on."""

    class Died(Exception):
        pass

    async def story(city: City) -> None:
        city.people(*PEOPLE)
        await city.give()
        feed = await city.subscribe("person-changed", **{f"r{n}": each for n, each in enumerate(PEOPLE)})
        monkeypatch.setattr(following, "RANGE", 3)
        expected = 0
        for name in ("add_changes", "move_cursor", "add_events", "drop_changes"):
            for late in (False, True):
                real = getattr(feed_tables, name)
                expected += len(PEOPLE)
                city.people(*PEOPLE, name=f"张{expected}")
                dying = True

                async def once(*given: object, real: object = real, late: bool = late) -> object:
                    nonlocal dying
                    if dying and not late:
                        dying = False
                        raise Died
                    result = await real(*given)  # type: ignore[operator]
                    if dying:
                        dying = False
                        raise Died
                    return result

                monkeypatch.setattr(feed_tables, name, once)
                with pytest.raises(Died):
                    await city.tell()
                await city.tell()
                monkeypatch.setattr(feed_tables, name, real)
                page = await city.read(feed, limit=1000)
                assert [event["sequence"] for event in page.events] == list(range(1, expected + 1))

    told(story)


def test_several_processes_follow_at_once(told: Told) -> None:
    async def story(city: City) -> None:
        city.people(*PEOPLE)
        await city.give()
        feed = await city.subscribe("person-changed", **{f"r{n}": each for n, each in enumerate(PEOPLE)})
        for turn in range(4):
            city.people(*PEOPLE, name=f"张{turn}")
        licences = FollowedLicences(city.registry)

        async def work() -> None:
            for _round in range(6):
                await follow(city.exchange, licences)
                await spread(city.exchange, datetime.now(UTC))

        await asyncio.gather(*(work() for _process in range(3)))
        events = (await city.read(feed, limit=1000)).events
        assert [event["sequence"] for event in events] == list(range(1, 4 * len(PEOPLE) + 1))
        assert len({event["id"] for event in events}) == len(events)

    told(story)


def test_a_change_that_commits_late_is_not_missed(told: Told) -> None:
    """A run is under way, and other registers move on; who follows meanwhile neither waits nor passes it over."""

    async def story(city: City) -> None:
        city.people()
        city.people(OTHER)
        await city.give()
        await city.subscribe("person-changed", a=PERSON, b=OTHER)
        with psycopg.connect(city.address) as slow:
            slow.execute(
                "INSERT INTO exchange.person_history (subject, version, content, sealed, fingerprint, source, run_id,"
                " origin_part, origin_row, provenance, valid_from, valid_until) SELECT subject, version, content,"
                " sealed, fingerprint, source, run_id, origin_part, origin_row, provenance, valid_from, now()"
                " FROM exchange.person WHERE subject = %s",
                [city.subject()],
            )
            slow.execute("DELETE FROM exchange.person WHERE subject = %s", [city.subject()])
            assert await city.tell() == 0
            slow.commit()
        assert await city.tell() == 1

    told(story)


def test_who_subscribes_to_nothing_costs_nothing_and_history_is_passed_over(told: Told) -> None:
    async def story(city: City) -> None:
        city.people()
        city.people(name="张三")
        assert await city.tell() == 0
        ((position,),) = city.sql("SELECT position FROM exchange.feed_cursor WHERE source = 'persons'")
        ((head,),) = city.sql("SELECT max(sequence) FROM exchange.person_history")
        assert position == head
        await city.give()
        await city.subscribe("person-changed", scope=Scope.ALL)
        assert await city.tell() == 0

    told(story)


def sequence(city: City) -> None:
    """Give all that waits its place in the log, as the sequencer does."""
    city.sql(
        "WITH moved AS (DELETE FROM ledger.pending RETURNING id, entry)"
        " INSERT INTO ledger.entry (leaf_index, entry) SELECT (SELECT count(*) FROM ledger.entry)"
        " + row_number() OVER (ORDER BY id) - 1, entry FROM moved"
    )


def test_what_becomes_of_licences_is_told_in_the_order_of_the_log(told: Told) -> None:
    async def story(city: City) -> None:
        kinds = (
            "licence-issued",
            "licence-suspended",
            "licence-revoked",
            "licence-changed",
            "licence-expired",
        )
        await city.give(resource="licence.business-licence", fields=frozenset({"holder_name"}))
        one = await city.subscribe(*kinds, holder=HOLDER)
        everybody = await city.subscribe(*kinds, scope=Scope.ALL)
        now = datetime.now(UTC)
        made = (await issue(city.registry, AUTHORITY, request(), now)).licence
        await change_state(city.registry, AUTHORITY, made.identifier, Wanted(Operation.SUSPEND, "查处"), now)
        assert await city.tell() == 0, "not before they have their place in the log"
        sequence(city)
        assert await city.tell() == 4
        await change_state(city.registry, AUTHORITY, made.identifier, Wanted(Operation.RETURN, "发还"), now)
        wanted = VersionRequest(Operation.CHANGE, "住所变更", fields={})
        changed = (await new_version(city.registry, AUTHORITY, made.identifier, wanted, now)).licence
        cancel = Wanted(Operation.CANCEL, "吊销", target=State.REVOKED)
        await change_state(city.registry, AUTHORITY, changed.identifier, cancel, now)
        sequence(city)
        assert await city.tell() == 6
        events = (await city.read(one)).events
        assert [event["kind"] for event in events] == [
            "licence-issued",
            "licence-suspended",
            "licence-changed",
            "licence-changed",
            "licence-revoked",
        ]
        assert {event["reference"] for event in events} == {"holder"}
        assert {event["identifier"] for event in (await city.read(everybody)).events} == {HOLDER}
        assert await city.tell() == 0

    told(story)


def test_each_holder_of_one_licence_is_told_of_under_their_own_reference(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give(resource="licence.marriage-certificate", fields=frozenset({"holder_name"}))
        kinds = ("licence-issued", "licence-suspended", "licence-revoked")
        first = await city.subscribe(*kinds, husband=PERSON)
        second = await city.subscribe(*kinds, wife=OTHER)
        both = await city.subscribe(*kinds, one=PERSON, other=OTHER)
        everybody = await city.subscribe(*kinds, scope=Scope.ALL)
        fields = {
            "holder_name": "张三丰",
            "holder_code": PERSON,
            "co_holders": [{"holder_name": "李四光", "holder_code": OTHER}],
            "registered_on": "2020-05-20",
        }
        wanted = request(
            licence_type="marriage-certificate",
            number="J990101-2020-000001",
            fields=fields,
            valid_until=None,
            presenter=None,
        )
        now = datetime.now(UTC)
        made = (await issue(city.registry, AUTHORITY, wanted, now)).licence
        cancel = Wanted(Operation.CANCEL, "撤销", target=State.RESCINDED)
        await change_state(city.registry, AUTHORITY, made.identifier, cancel, now)
        sequence(city)
        assert await city.tell() == 2 + 2 + 4 + 4
        for feed, reference in ((first, "husband"), (second, "wife")):
            events = (await city.read(feed)).events
            assert [(each["kind"], each["reference"]) for each in events] == [
                ("licence-issued", reference),
                ("licence-revoked", reference),
            ]
            assert all("identifier" not in each for each in events)
        assert (
            sorted(each["reference"] for each in (await city.read(both)).events)
            == ["one"] * 2 + ["other"] * 2
        )
        told_all = (await city.read(everybody)).events
        by_pseudonym = {each["pseudonym"]: each["identifier"] for each in told_all}
        assert sorted(by_pseudonym.values()) == sorted([PERSON, OTHER])
        assert sorted(each["identifier"] for each in told_all) == sorted([PERSON, OTHER] * 2)
        subjects = {record["subject"] for record in city.records("notified")}
        assert {city.subject(PERSON).hex(), city.subject(OTHER).hex()} <= subjects

    told(story)


def test_following_scans_no_history(told: Told) -> None:
    async def story(city: City) -> None:
        from exchange.registers.schemas import load_registers
        from exchange.subscriptions.history_query import _steps

        asked = _steps(load_registers()["persons"].table)
        for name, value in (("$1", "5"), ("$2", "9"), ("$3", "false"), ("$4", "'person'")):
            asked = asked.replace(name, value)
        with psycopg.connect(city.address) as connection:
            connection.execute("SET enable_seqscan = off")
            plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + asked))
        assert "Seq Scan" not in plan
        assert "person_history_sequence" in plan

    told(story)


def test_other_rooms_append_changes_in_their_own_transactions(told: Told) -> None:
    async def story(city: City) -> None:
        await city.give()
        feed = await city.subscribe("person-changed", a=PERSON)
        now = datetime.now(UTC)
        facts = {"topic": "persons", "fields": ["name"], "division": "990102"}
        async with city.exchange.pool.acquire() as connection:
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await append_change(connection, "person-changed", city.subject(), facts, now)
                    raise ZeroDivisionError
            assert await city.tell() == 0
            await append_change(connection, "person-changed", city.subject(), facts, now)
        assert await city.tell() == 1
        assert (await city.read(feed)).events[0]["fields"] == ["name"]

    told(story)


def test_what_is_old_is_forgotten_and_told_to_be(told: Told) -> None:
    async def story(city: City) -> None:
        from exchange.subscriptions.rounds import forget
        from exchange.subscriptions.subscription import FeedForgotten

        city.people()
        await city.give()
        feed = await city.subscribe("person-changed", a=PERSON)
        city.people(name="张三")
        assert await city.tell() == 1
        days = timedelta(days=city.settings.feed_days)
        assert await forget(city.exchange, city.now() + days - timedelta(hours=1)) == 0
        assert await forget(city.exchange, city.now() + days + timedelta(hours=1)) == 1
        city.people(name="张")
        assert await city.tell() == 1
        with pytest.raises(FeedForgotten):
            await city.read(feed)
        assert [event["sequence"] for event in (await city.read(feed, after=1)).events] == [2]
        assert city.records("notified")[0]["reason"] == "feed-forgotten"

    told(story)


def test_who_named_another_identifier_is_told_of_the_row_until_it_leads_there_no_more(told: Told) -> None:
    """What ends the identifier with its row is told, too; what comes after a decision against it is not."""
    number, mapping = "4401011234567", "source: numbers\ntitle: n\ncontact: n\nregister: legal_entities\n"
    mapping += "format: delimited\nsnapshot: {ended_share: 1.0}\ncolumns:\n  - {column: code, field: code, kind: uscc}\n"
    mapping += "  - {column: number, field: registration_number}\n  - {column: name, field: name}\n"

    async def story(city: City) -> None:
        (city.settings.sources_folder / "numbers.yaml").write_text(mapping, encoding="utf-8")

        def bring(*rows: str) -> None:
            city._bring("numbers", "\n".join(["code,number,name", *rows, ""]).encode())

        bring(f"{ENTITY},{number},甲")
        await city.give(resource="legal-entities-basic", fields=frozenset({"name"}))
        feed = await city.subscribe("entity-renamed", "entity-struck-off", old=number, new=ENTITY)
        bring(f"{ENTITY},{number},甲乙")
        assert await city.tell() == 2
        page = await city.read(feed)
        assert sorted(event["reference"] for event in page.events) == ["new", "old"]
        subjects = {record["subject"] for record in city.records("notified")}
        assert city.exchange.vault.blind_index("registration-number", number).hex() in subjects
        bring(f"{ENTITIES[1]},,别的")
        assert await city.tell() == 2, "it has left the register, and the number with it"
        bring(f"{ENTITY},{number},甲")
        await city.tell()
        with psycopg.connect(city.address) as connection:
            one = city.exchange.vault.blind_index("registration-number", number)
            pair = sorted([one, city.exchange.vault.blind_index("uscc", ENTITY)])
            assert links.decide(
                connection, "legal_entities", pair[0], pair[1], "different", "王五", city.now()
            )
        bring(f"{ENTITY},{number},丙")
        assert await city.tell() == 1
        assert (await city.read(feed, after=4)).events[-1]["reference"] == "new"

    told(story)
