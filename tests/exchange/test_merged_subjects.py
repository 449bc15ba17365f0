"""Whoever asks by another identifier of a subject is answered from its row, says so, and is seen by whom it is about."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import orjson
import psycopg
import pytest
from joserfc.jwk import ECKey

from connectors.mapping import parse_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System
from exchange.batches import work
from exchange.queries.answer import TYPE, subject_matches
from exchange.registers import entries, links
from exchange.registers.entries import Entry
from exchange.registers.links import Link
from foundation import database
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Role
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, PublicKey, verify_compact
from tests.conftest import Service
from tests.exchange.batches.conftest import Asking, lines
from tests.exchange.queries.asking import PERSON, ask, bring_person, give, last_record

CODE = Uscc.compute("91990101MB2A00001").text
OLD, OF_SEVERAL = "4401011234567", "4401017654321"
FORMER = CitizenId.compute("990101", date(1980, 2, 28), 123).reveal()
ENTITIES = """
source: market
title: 法人
contact: 市场监管局
register: legal_entities
format: delimited
columns:
  - {column: code, field: code, kind: uscc}
  - {column: number, field: registration_number}
  - {column: name, field: name}
"""


@pytest.fixture(scope="module")
def vault_of(service: Service) -> Vault:
    return open_vault(service.settings, datetime.now(UTC))


@pytest.fixture(scope="module", autouse=True)
def registers(service: Service, vault_of: Vault, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    bring_person(service, folder)
    mapping = parse_mapping("market", ENTITIES)
    others = [Uscc.compute(f"91990101MB2A0000{number}").text for number in (2, 3)]
    rows = [f"{CODE},{OLD},示范公司", *(f"{other},{OF_SEVERAL},别的公司" for other in others)]
    path = folder / "market.csv"
    path.write_text("\n".join(["code,number,name", *rows]) + "\n", encoding="utf-8")
    assert run(mapping, FileSource(path, mapping), database=service.address, vault=vault_of).inserted == 3


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(work, "LOOKS_EVERY_SECONDS", 0.05)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def asking(service: Service) -> System:
    modes = ["verify", "query", "batch"]
    give(
        service,
        "tax-office",
        resource="legal-entities-basic",
        fields=["name", "entries"],
        modes=modes,
    )
    give(service, "tax-office", modes=modes)
    return service.system("tax-office", Role.DEPARTMENT_SYSTEM)


def said(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    keys = {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}
    verified = verify_compact(body["answer"], keys, TYPE, frozenset({Algorithm.ES256}))
    found: dict[str, Any] = orjson.loads(verified.payload)
    return found


def entity(service: Service, asking: System, subject: str, **claims: Any) -> dict[str, Any]:
    reply = ask(
        service,
        asking,
        "verifications",
        resource="legal-entities-basic",
        subject=subject,
        claims=claims or {"name": "示范公司"},
    )
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_a_company_is_verified_by_its_old_number(service: Service, asking: System, vault_of: Vault) -> None:
    body = entity(service, asking, OLD)
    assert body["results"] == {"name": "match"}
    answer = said(service, body)
    assert answer["merged"] is True
    assert subject_matches(answer, OLD), "it is about what was asked"
    assert not subject_matches(answer, CODE)
    record = last_record(service)
    assert (record["merged"], record["subject"]) == (
        True,
        vault_of.blind_index("registration-number", OLD).hex(),
    )
    body = entity(service, asking, CODE)
    assert (body["results"], "merged" in said(service, body)) == ({"name": "match"}, False)
    assert "merged" not in last_record(service)


def test_a_number_of_several_companies_is_known_of_none(service: Service, asking: System) -> None:
    body = entity(service, asking, OF_SEVERAL, name="别的公司")
    assert (body["results"], "merged" in said(service, body)) == ({"name": "unknown"}, False)


def test_a_query_follows_too(service: Service, asking: System) -> None:
    reply = ask(
        service, asking, "queries", resource="legal-entities-basic", subject=OLD, fields=["name"]
    ).json()
    assert (reply["found"], reply["values"]) == (True, {"name": "示范公司"})
    assert said(service, reply)["merged"] is True


def test_entries_about_the_company_stand_against_its_old_number(
    service: Service, asking: System, vault_of: Vault
) -> None:
    clean = {"clean": {"is": "no-entry", "value": "serious-violation"}}
    new = Entry(
        uuid.uuid4(),
        vault_of.blind_index("uscc", CODE),
        "serious-violation",
        "市场监管局",
        date(2025, 1, 1),
        None,
        "列入",
        "market",
    )

    async def add() -> None:
        async with database.pool(service.address, 1) as pool:
            assert await entries.add(pool, vault_of, new, datetime.now(UTC))

    asyncio.run(add())
    assert entity(service, asking, CODE, **clean)["results"] == {"clean": "mismatch"}
    assert entity(service, asking, OLD, **clean)["results"] == {"clean": "mismatch"}
    many = Asking(service, asking, ECKey.generate_key("P-256"))
    content = lines(*({"subject": each, "claims": clean} for each in (OLD, CODE, OF_SEVERAL)))
    batch = many.send(content, key=str(uuid.uuid4()), resource="legal-entities-basic").json()["id"]
    many.wait(batch)
    assert [row["results"]["clean"] for row in many.read(batch)[1]] == ["mismatch", "mismatch", "match"]


def test_a_batch_answers_by_old_numbers_as_single_questions_do(
    service: Service, asking: System, vault_of: Vault
) -> None:
    many = Asking(service, asking, ECKey.generate_key("P-256"))
    content = lines(
        *({"subject": each, "claims": {"name": "示范公司"}} for each in (OLD, CODE, OF_SEVERAL)),
    )
    sent = many.send(content, key=str(uuid.uuid4()), resource="legal-entities-basic")
    assert sent.status_code == 202, sent.text
    batch = sent.json()["id"]
    many.wait(batch)
    _, rows = many.read(batch)
    assert [(row["results"]["name"], row.get("merged")) for row in rows] == [
        ("match", True),
        ("match", None),
        ("unknown", None),
    ]
    assert subject_matches(rows[0], OLD)
    records = service.sql(
        "SELECT subject, content FROM exchange.access_record WHERE convert_from(content, 'UTF8') LIKE %s",
        "%batch-verify%",
    )
    merged = {subject: orjson.loads(content).get("merged") for subject, content in records}
    assert merged[vault_of.blind_index("registration-number", OLD)] is True
    assert merged[vault_of.blind_index("uscc", CODE)] is None


def test_a_person_sees_who_asked_by_their_former_number(
    service: Service, asking: System, vault_of: Vault
) -> None:
    def former() -> str:
        reply = ask(service, asking, "verifications", subject=FORMER, claims={"name": "张三丰"})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["results"]["name"])

    def seen() -> int:
        view = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON))
        return sum(each["event"] == "verify" for each in view.json()["accesses"])

    pair = sorted(vault_of.blind_index("citizen-id", each) for each in (PERSON, FORMER))

    def decide(decision: str) -> None:
        with psycopg.connect(service.address) as connection:
            links.put(connection, "persons", [Link(*pair, "candidate", 0.9, {})], datetime.now(UTC))
            assert links.decide(connection, "persons", *pair, decision, "王五", datetime.now(UTC))

    assert (former(), seen()) == ("unknown", 0)
    decide("same")
    assert (former(), seen()) == ("match", 2), "whoever asked before asked about them as well"
    decide("different")
    assert (former(), seen()) == ("unknown", 0)
