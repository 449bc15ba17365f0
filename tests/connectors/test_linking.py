"""Records that may be of one subject: proposed by likeness, certain by identifier, never merged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from connectors.linking import LIKENESS, LinkReport, find_links, score
from connectors.mapping import parse_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from exchange.registers import links
from exchange.registers.schemas import load_registers
from foundation.identifiers import CitizenId, Uscc
from tests.connectors.test_pipeline import VAULT

Bring = Callable[..., None]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERSONS = """
source: p
title: p
contact: p
register: persons
format: delimited
columns:
  - {column: id, field: citizen_id, kind: citizen-id}
  - {column: name, field: name}
  - {column: born, field: birth_date, kind: date}
  - {column: address, field: address}
  - {column: status, field: status}
"""
ENTITIES = """
source: e
title: e
contact: e
register: legal_entities
format: delimited
columns:
  - {column: code, field: code, kind: uscc}
  - {column: number, field: registration_number}
  - {column: name, field: name}
  - {column: address, field: address}
"""


def person(number: int) -> str:
    return CitizenId.compute("990101", date(1980, 2, 29), number).reveal()


@pytest.fixture
def bring(database_url: str, tmp_path: Path) -> Bring:
    def bring(mapping_text: str, *rows: str) -> None:
        mapping = parse_mapping("x", mapping_text)
        path = tmp_path / "rows.csv"
        header = ",".join(column.column for column in mapping.columns)
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        report = run(mapping, FileSource(path, mapping), database=database_url, vault=VAULT)
        assert report.inserted == len(rows), report

    return bring


def find(address: str, register: str) -> LinkReport:
    return find_links(address, VAULT, load_registers()[register], NOW)


def waiting(address: str, register: str = "persons") -> list[links.Found]:
    with psycopg.connect(address) as connection:
        return links.waiting(connection, register, 100)


def test_name_birth_date_and_address_propose_and_merge_nothing(bring: Bring, database_url: str) -> None:
    born = "1980-02-29"
    bring(
        PERSONS,
        f"{person(1)},张三,{born},北街1号2单元,resident",
        f"{person(2)},张三,{born},北街1号2单元,resident",
        f"{person(3)},张三,{born},南山路88号,resident",
        f"{person(4)},李四,{born},北街1号2单元,resident",
        f"{person(5)},张三,,北街1号2单元,resident",
    )
    assert find(database_url, "persons") == LinkReport("persons", 5, 0, 1, 1)
    (found,) = waiting(database_url)
    assert {found.link.subject, found.link.other} == {
        VAULT.blind_index("citizen-id", person(n)) for n in (1, 2)
    }
    assert (found.link.kind, found.link.score, found.decision) == ("candidate", 1.0, None)
    assert found.link.evidence == {"name": 1.0, "birth_date": 1.0, "address": 1.0}
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM exchange.person").fetchone() == (5,)


def test_a_decision_stays_when_the_search_comes_again(bring: Bring, database_url: str) -> None:
    bring(PERSONS, *(f"{person(n)},张三,1980-02-29,北街1号,resident" for n in (1, 2)))
    find(database_url, "persons")
    (found,) = waiting(database_url)
    with psycopg.connect(database_url) as connection:
        pair = found.link.subject, found.link.other
        assert links.decide(connection, "persons", *pair, "different", "王五", NOW)
        assert not links.decide(connection, "persons", *reversed(pair), "same", "王五", NOW)
    assert find(database_url, "persons").new == 0
    assert waiting(database_url) == []


def test_a_record_that_names_the_old_number_of_another_is_linked_for_certain(
    bring, database_url: str
) -> None:
    code = Uscc.compute("91990101MB2A00001").text
    bring(ENTITIES, f"{code},4401011234567,示范公司,新街1号", ",4401011234567,示范公司,旧街22号三楼")
    assert find(database_url, "legal_entities") == LinkReport("legal_entities", 2, 1, 0, 1)
    assert waiting(database_url, "legal_entities") == [], "what is certain waits for nobody"


def test_a_key_that_too_many_share_says_nothing(
    bring: Bring, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "LARGEST_GROUP", 2)
    bring(PERSONS, *(f"{person(n)},张三,1980-02-29,北街1号,resident" for n in (1, 2, 3)))
    assert find(database_url, "persons").candidates == 0


@pytest.mark.parametrize(
    ("address", "other", "expected"),
    [
        ("北街1号", "北街1号", 1.0),
        ("北街1号", "北街2号", 0.875),
        ("北街1号", "x", 0.5),
        (None, "北街1号", 0.5),
    ],
)
def test_the_address_decides_the_rest_of_the_score(address: str | None, other: str, expected: float) -> None:
    same = {"name": "张三", "birth_date": "1980-02-29"}
    found, evidence = score(same | {"address": address}, same | {"address": other}, LIKENESS["persons"])
    assert found == expected
    assert ("address" in evidence) == (address is not None)
