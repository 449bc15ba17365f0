"""Rows are found by the other identifiers that they name, exactly as long as they name them, and by what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.linking import find_links
from connectors.mapping import load_mapping
from connectors.pipeline import Report, run
from connectors.sources.files import FileSource
from exchange.registers import aliases, links
from exchange.registers.lookup import Lookups, RegisterRow, find_many
from exchange.registers.schemas import load_registers, opened
from foundation import database
from foundation.identifiers import Uscc
from tests.conftest import fresh_database
from tests.connectors.test_pipeline import VAULT

ENTITIES = load_registers()["legal_entities"]
CODES = [Uscc.compute(f"91990101MB2A0000{number}").text for number in range(1, 6)]
OLD, OLDER = "4401011234567", "4401017654321"
MAPPING = """
source: {source}
title: {source}
contact: {source}
register: legal_entities
format: delimited
lead_rank: {rank}
{more}
columns:
  - {{column: code, field: code, kind: uscc}}
  - {{column: number, field: registration_number}}
  - {{column: name, field: name}}
"""


def by(identifier: str) -> bytes:
    kind = "uscc" if len(identifier) == 18 else "registration-number"
    return VAULT.blind_index(kind, identifier)


@dataclass(frozen=True, slots=True)
class City:
    """A register of entities, filled by sources, and asked by any identifier."""

    address: str
    folder: Path

    def bring(self, *rows: str, source: str = "market", rank: int = 10, more: str = "") -> Report:
        (self.folder / f"{source}.yaml").write_text(MAPPING.format(source=source, rank=rank, more=more))
        path = self.folder / f"{source}.csv"
        path.write_text("\n".join(["code,number,name", *rows]) + "\n", encoding="utf-8")
        mapping = load_mapping(source, self.folder)
        return run(
            mapping,
            FileSource(path, mapping),
            database=self.address,
            vault=VAULT,
            sources_folder=self.folder,
            batch_rows=3,
        )

    def find(self, *identifiers: str) -> list[RegisterRow | None]:
        """Look all of them up, one by one and together, which must be the same."""

        async def work() -> tuple[list[RegisterRow | None], dict[bytes, RegisterRow]]:
            subjects = [by(each) for each in identifiers]
            async with database.pool(self.address, 2) as pool:
                lookups = Lookups(pool, [ENTITIES])
                async with lookups.running():
                    one_by_one = await asyncio.gather(*(lookups.find(ENTITIES, each) for each in subjects))
                return list(one_by_one), await find_many(pool, ENTITIES, subjects)

        found, together = asyncio.run(work())
        assert found == [together.get(by(each)) for each in identifiers]
        return found

    def names(self, *identifiers: str) -> list[str | None]:
        """Return the names of the entities that identifiers lead to, opened as an answer opens them."""
        return [
            None if row is None else opened(VAULT, ENTITIES, row.subject, row.content, row.sealed)["name"]
            for row in self.find(*identifiers)
        ]

    def decide(self, one: str, other: str, decision: str) -> bool:
        pair = sorted([by(one), by(other)])
        with psycopg.connect(self.address) as connection:
            return links.decide(
                connection, "legal_entities", pair[0], pair[1], decision, "王五", datetime.now(UTC)
            )

    def ask(self, work: Callable[[Any], Any]) -> Any:
        async def asked() -> Any:
            async with database.pool(self.address, 1) as pool:
                return await work(pool)

        return asyncio.run(asked())

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def ground(server_address: str, template: str) -> Iterator[str]:
    with fresh_database(server_address, template) as address:
        yield address


@pytest.fixture
def city(ground: str, tmp_path: Path) -> City:
    found = City(ground, tmp_path)
    found.sql(
        "TRUNCATE exchange.alias, exchange.alias_history, exchange.link, exchange.legal_entity,"
        " exchange.legal_entity_history, exchange.legal_entity_contribution, exchange.ingest_run,"
        " exchange.ingest_cursor CASCADE"
    )
    return found


def test_a_company_is_found_by_the_old_number_that_its_row_names(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},示范公司", f"{CODES[1]},,别的公司")
    old, new, other, nobody = city.find(OLD, CODES[0], CODES[1], OLDER)
    assert old is not None
    assert new is not None
    assert other is not None
    assert nobody is None
    assert (old.subject, old.merged) == (by(CODES[0]), True)
    assert (new.subject, new.merged, other.merged) == (by(CODES[0]), False, False)
    assert city.names(OLD, CODES[0]) == ["示范公司", "示范公司"]


def test_an_alias_lives_exactly_as_long_as_the_row_names_it(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},甲")
    city.bring(f"{CODES[0]},{OLD},甲乙")
    ((began,),) = city.sql("SELECT valid_from FROM exchange.alias")
    city.bring(f"{CODES[0]},{OLDER},甲乙")
    assert city.names(OLD, OLDER) == [None, "甲乙"]
    ((alias, since, until),) = city.sql("SELECT alias, valid_from, valid_until FROM exchange.alias_history")
    assert (alias, since) == (by(OLD), began), "what names the same went on"
    assert since < until
    city.bring(f"{CODES[0]},,甲乙")
    assert city.names(OLD, OLDER, CODES[0]) == [None, None, "甲乙"]
    city.bring(f"{CODES[0]},{OLD},甲乙")
    assert city.names(OLD) == ["甲乙"]


def test_a_row_that_contradicts_its_file_names_nothing(city: City) -> None:
    report = city.bring(
        f"{CODES[0]},{OLD},甲", f"{CODES[1]},,乙", f"{CODES[2]},,丙", f"{CODES[0]},{OLDER},丁"
    )
    assert report.reasons == {"conflict-within-source": 1}
    assert city.names(OLD, OLDER) == ["甲", None]


def test_a_number_that_two_rows_name_leads_nowhere_and_stewards_are_told(city: City) -> None:
    assert city.bring(f"{CODES[0]},{OLD},甲").findings == {}
    report = city.bring(f"{CODES[1]},{OLD},乙", f"{CODES[2]},{OLDER},丙")
    assert report.findings == {"identifier-of-several": 1}
    assert city.names(OLD, OLDER, CODES[0], CODES[1]) == [None, "丙", "甲", "乙"]
    assert find_links(city.address, VAULT, ENTITIES, datetime.now(UTC)).ambiguous == 1
    with psycopg.connect(city.address) as connection:
        listed = aliases.listed(connection, "legal_entities", only_ambiguous=True, limit=9)
    assert {each.subject for each in listed} == {by(CODES[0]), by(CODES[1])}
    assert {(each.alias, each.subjects) for each in listed} == {(by(OLD), 2)}
    assert city.decide(CODES[0], OLD, "different")
    assert city.names(OLD) == ["乙"], "a person has said whose it is not"


def test_a_row_of_its_own_goes_before_an_alias(city: City) -> None:
    city.bring(f",{OLD},旧档", f"{CODES[0]},{OLD},新档")
    (old,) = city.find(OLD)
    assert old is not None
    assert (old.subject, old.merged) == (by(OLD), False)
    more = "snapshot: {ended_share: 1.0}"
    city.bring(f"{CODES[0]},{OLD},新档", more=more)
    assert city.names(OLD) == ["新档"], "the old row is gone; the number leads on"
    city.bring(f"{CODES[1]},,别的", more=more)
    assert city.names(OLD, CODES[0]) == [None, None]
    assert city.sql("SELECT count(*) FROM exchange.alias") == [(0,)]


def test_of_a_row_that_several_sources_make_the_number_that_leads_counts(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},甲", source="first", rank=20)
    city.bring(f"{CODES[0]},{OLDER},甲", source="second", rank=10, more="snapshot: {ended_share: 1.0}")
    assert city.names(OLD, OLDER) == [None, "甲"]
    city.bring(f"{CODES[1]},,乙", source="second", rank=10, more="snapshot: {ended_share: 1.0}")
    assert city.names(OLD, OLDER) == ["甲", None], "the second speaks of it no more"


def test_a_decision_is_followed_and_undone_at_once(city: City) -> None:
    city.bring(f"{CODES[0]},,甲公司", f"{CODES[1]},,甲公司")
    city.sql('UPDATE exchange.legal_entity SET content = content || \'{"address": "x"}\'')
    assert find_links(city.address, VAULT, ENTITIES, datetime.now(UTC)).candidates == 1
    assert city.decide(CODES[0], CODES[1], "same")
    assert [row.merged for row in city.find(*CODES[:2]) if row] == [False, False], "both have their own rows"
    city.sql(f"DELETE FROM exchange.legal_entity WHERE subject = '\\x{by(CODES[0]).hex()}'")
    (row,) = city.find(CODES[0])
    assert row is not None
    assert (row.subject, row.merged) == (by(CODES[1]), True)
    assert city.decide(CODES[0], CODES[1], "different")
    assert city.names(*CODES[:2]) == [None, "甲公司"]


def test_a_decision_against_what_a_row_names_outlasts_its_next_versions(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},甲")
    assert not city.decide(CODES[0], OLDER, "different"), "there is nothing to decide"
    assert city.decide(CODES[0], OLD, "different")
    assert city.names(OLD) == [None]
    city.bring(f"{CODES[0]},{OLD},甲乙")
    find_links(city.address, VAULT, ENTITIES, datetime.now(UTC))
    assert city.names(OLD, CODES[0]) == [None, "甲乙"]
    assert city.decide(CODES[0], OLD, "same")
    assert city.names(OLD) == ["甲乙"]


def test_rows_from_before_there_were_aliases_get_theirs_by_a_search(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},甲")
    city.sql("TRUNCATE exchange.alias")
    assert city.names(OLD) == [None]
    find_links(city.address, VAULT, ENTITIES, datetime.now(UTC))
    assert city.names(OLD) == ["甲"]


def test_who_asked_and_who_is_meant(city: City) -> None:
    city.bring(f"{CODES[0]},{OLD},甲", f"{CODES[1]},{OLDER},乙", f"{CODES[2]},{OLDER},丙")
    assert city.ask(lambda pool: aliases.row_of(pool, ENTITIES.table, by(OLD))) == by(CODES[0])
    assert city.ask(lambda pool: aliases.row_of(pool, ENTITIES.table, by(OLDER))) == by(OLDER)
    both = sorted([by(CODES[0]), by(OLD)])
    for each in (CODES[0], OLD):
        assert city.ask(lambda pool, of=each: aliases.asked_by(pool, ENTITIES.table, by(of))) == both
        assert sorted(city.ask(lambda pool, of=each: aliases.identifiers_of(pool, by(of)))) == both
    assert city.ask(lambda pool: aliases.identifiers_of(pool, by(CODES[1]))) == [by(CODES[1])]
