"""Claims that no row of a register answers, about many: all rows of a part are looked up together, and as one is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.queries import elsewhere
from exchange.queries.answer import TYPE
from exchange.registers import entries
from exchange.registers.entries import Entry
from foundation import database
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, verify_compact
from tests.conftest import MARKET, Service
from tests.exchange.batches.conftest import PART_ROWS, PEOPLE, STRANGER, Asking, lines
from tests.exchange.queries.asking import ask, bring
from tests.license_registry.conftest import HOLDER, issued, operate, published_keys
from zhengtong.held_licences import RegisteredLicences

COUPLE, FORMER_COUPLE = (0, 1), (2, 3)
DISABLED, PUNISHED, FORGIVEN, LEADING = 4, 5, 6, 7
OTHER_ENTITY = "91350100M000100Y43"
NEVER_HEARD_OF = "no-such-entry"


def marriage(service: Service, number: str, first: int, second: int) -> str:
    registrar = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    made = issued(
        service,
        registrar,
        licence_type="marriage-certificate",
        number=number,
        fields={
            "holder_name": f"人{first}",
            "holder_code": PEOPLE[first],
            "co_holders": [{"holder_name": f"人{second}", "holder_code": PEOPLE[second]}],
            "registered_on": "2020-05-20",
        },
        valid_until=None,
        presenter=None,
    )
    return str(made["identifier"])


@pytest.fixture(scope="module")
def facts(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Licences held alone, with others and no longer; entries in force and lifted; a representative."""
    registrar = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    marriage(service, "J990101-2020-000001", *COUPLE)
    ended = marriage(service, "J990101-2020-000002", *FORMER_COUPLE)
    assert operate(service, registrar, ended, "05", "04").is_success
    issued(
        service,
        registrar,
        licence_type="disability-certificate",
        number=None,
        division="990100",
        fields={
            "holder_name": f"人{DISABLED}",
            "holder_code": PEOPLE[DISABLED],
            "category": "视力",
            "grade": "一级",
        },
        valid_until=None,
        presenter=None,
    )
    credential = {
        "licence_type": "business-licence",
        "licence_number": "91990101MA0000001",
        "holder_code": HOLDER,
        "holder_name": "示范市东湖茶业有限公司",
        "representative_name": f"人{LEADING}",
        "representative_id": PEOPLE[LEADING],
        "issuer_code": "91350100M000100Y43",
        "issued_on": "2020-01-01",
        "valid_to": "2099-01-01",
        "state": "01",
    }
    folder: Path = tmp_path_factory.mktemp("credentials")
    assert bring(service, folder, "credentials", orjson.dumps([credential])) == 1
    vault = open_vault(service.settings, datetime.now(UTC))

    async def add() -> None:
        async with database.pool(service.address, 1) as pool:
            for person, source, lifted in (
                (PUNISHED, "credit", None),
                (PUNISHED, "market", None),
                (FORGIVEN, "credit", date(2024, 1, 1)),
            ):
                subject = vault.blind_index("citizen-id", PEOPLE[person])
                told = ("penalty", MARKET, date(2023, 1, 1), None, "罚款", source, lifted)
                assert await entries.add(pool, vault, Entry(uuid.uuid4(), subject, *told), datetime.now(UTC))

    asyncio.run(add())


ABOUT_ALL: dict[str, Any] = {
    "married": {"is": "licence-in-force", "value": "marriage-certificate"},
    "disabled": {"is": "licence-in-force", "value": "disability-certificate"},
    "clean": {"is": "no-entry", "value": "penalty"},
    "unheard": {"is": "no-entry", "value": NEVER_HEARD_OF},
}
SOME: dict[str, Any] = {
    "leads": {"is": "representative-of", "value": HOLDER},
    "leads_other": {"is": "representative-of", "value": OTHER_ENTITY},
}


def claimed(number: int) -> dict[str, Any]:
    """Rows differ in what they claim: all of it, some, or beside what stands in the register."""
    if number % 3 == 0:
        return {**ABOUT_ALL, **SOME}
    return {**ABOUT_ALL, "name": f"人{number}"} if number % 3 == 1 else {**SOME, "clean": ABOUT_ALL["clean"]}


def test_a_part_is_looked_up_at_once_and_answers_as_single_questions_do(
    service: Service,
    client: Callable[..., Asking],
    facts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking = client("many-elsewhere", fields=["name", "licences", "entries", "represents"])
    asked: list[str] = []
    in_force, standing = RegisteredLicences.in_force, entries.standing

    async def counted_licences(self: RegisteredLicences, *given: Any) -> list[bool]:
        asked.append("licences")
        return await in_force(self, *given)

    async def counted_entries(*given: Any) -> list[entries.Standing]:
        asked.append("entries")
        return await standing(*given)

    people = [*PEOPLE[: 2 * PART_ROWS], STRANGER, *PEOPLE[:5]]
    rows = [{"subject": person, "claims": claimed(number)} for number, person in enumerate(people)]
    with monkeypatch.context() as patch:
        patch.setattr(RegisteredLicences, "in_force", counted_licences)
        patch.setattr(elsewhere.entries, "standing", counted_entries)
        sent = asking.send(lines(*rows), key="elsewhere-at-once")
        assert sent.status_code == 202, sent.text
        asking.wait(sent.json()["id"])
    assert sorted(asked) == ["entries"] * 3 + ["licences"] * 3

    _statement, answers = asking.read(sent.json()["id"])
    keys = published_keys(service)
    for row, answer in zip(rows, answers, strict=True):
        single = ask(service, asking.system, "verifications", **row)
        assert single.status_code == 200, single.text
        content = orjson.loads(
            verify_compact(single.json()["answer"], keys, TYPE, frozenset({Algorithm.ES256})).payload
        )
        assert answer["results"] == single.json()["results"]
        assert answer.get("sources") == content.get("sources")

    def of(person: int, claim: str) -> tuple[str, str | None]:
        answer = answers[person]
        return answer["results"][claim], answer["sources"].get(claim)

    assert [of(person, "married")[0] for person in (*COUPLE, FORMER_COUPLE[1], DISABLED)] == [
        "match",
        "match",
        "mismatch",
        "mismatch",
    ]
    assert [of(person, "disabled")[0] for person in (0, DISABLED)] == ["mismatch", "match"]
    assert of(PUNISHED, "clean") == ("mismatch", "credit, market")
    assert of(FORGIVEN, "clean") == ("match", "entries")
    assert of(0, "unheard") == ("unknown", None)
    assert [of(person, "leads")[0] for person in (6, 5, 8)] == ["mismatch"] * 3
    assert of(6, "leads_other") == ("unknown", None)


def test_who_represents_an_entity_is_found_among_many(client: Callable[..., Asking], facts: None) -> None:
    asking = client("many-represented", fields=["represents"])
    rows = [
        {"subject": PEOPLE[person], "claims": {"leads": {"is": "representative-of", "value": code}}}
        for person, code in ((LEADING, HOLDER), (LEADING, OTHER_ENTITY), (DISABLED, HOLDER))
    ]
    sent = asking.send(lines(*rows), key="represented")
    assert sent.status_code == 202, sent.text
    asking.wait(sent.json()["id"])
    _statement, answers = asking.read(sent.json()["id"])
    assert [row["results"]["leads"] for row in answers] == ["match", "unknown", "mismatch"]
