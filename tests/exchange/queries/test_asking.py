"""Comparisons and queries over HTTP: what is answered, from where, how it is signed, and that it is recorded."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from demonstration.parties import System
from exchange.audit.receipt import answer_digest
from exchange.queries.answer import TYPE, subject_matches
from exchange.registers import entries
from exchange.registers.entries import Entry
from foundation.civil import civil_date
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, PublicKey, verify_compact
from tests.conftest import MARKET, Service
from tests.exchange.queries.asking import (
    PERSON,
    STRANGER,
    ask,
    bring,
    bring_person,
    code_of,
    give,
    last_record,
)
from tests.license_registry.conftest import HOLDER, issued, operate

FIELDS = ["name", "birth_date", "residence_division", "address", "sex", "licences", "represents", "entries"]


@pytest.fixture(scope="module", autouse=True)
def registers(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    bring_person(service, folder)
    credential = {
        "licence_type": "business-licence",
        "licence_number": "91990101MA0000001",
        "holder_code": HOLDER,
        "holder_name": "示范市东湖茶业有限公司",
        "representative_name": "张三丰",
        "representative_id": PERSON,
        "issuer_code": "91350100M000100Y43",
        "issued_on": "2020-01-01",
        "valid_to": "2099-01-01",
        "state": "01",
    }
    assert bring(service, folder, "credentials", orjson.dumps([credential])) == 1


@pytest.fixture(scope="module")
def asking(service: Service) -> System:
    give(service, "housing-fund", fields=FIELDS, modes=["verify", "query"], clear_fields=["birth_date"])
    return service.system("housing-fund", Role.DEPARTMENT_SYSTEM)


def verify(service: Service, asking: System, subject: str = PERSON, **claims: Any) -> dict[str, Any]:
    reply = ask(service, asking, "verifications", subject=subject, claims=claims)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def read(service: Service, answer: str) -> dict[str, Any]:
    keys = {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}
    verified = verify_compact(answer, keys, TYPE, frozenset({Algorithm.ES256}))
    content: dict[str, Any] = orjson.loads(verified.payload)
    return content


def test_comparisons_are_answered_under_names_of_the_caller_s_choice(
    service: Service, asking: System
) -> None:
    claims = {
        "applicant": {"field": "name", "is": "name-like", "value": "张 三丰"},
        "of_age": {"is": "age-at-least", "value": 18},
        "minor": {"is": "age-below", "value": 18},
        "resident": {"is": "in-division", "value": "990102"},
        "sex": "female",
    }
    body = verify(service, asking, **claims)
    assert body["results"] == {
        "applicant": "match",
        "of_age": "match",
        "minor": "mismatch",
        "resident": "match",
        "sex": "mismatch",
    }
    answer = read(service, body["answer"])
    assert (answer["version"], answer["mode"]) == (2, "verify")
    assert answer["claims"] == claims
    assert answer["source"] == "population"
    brought_in = datetime.fromisoformat(answer["freshness"]["population"])
    assert timedelta(0) <= datetime.now(UTC) - brought_in < timedelta(hours=1)
    record = last_record(service)
    assert record["fields"] == ["birth_date", "name", "residence_division", "sex"]
    assert "1980" not in str(answer)


@pytest.mark.parametrize(
    ("claims", "code", "pointer"),
    [
        ({"x": {"is": "age-at-least", "value": "18"}}, "claim-malformed", "/claims/x"),
        ({"x": {"is": "guess", "field": "name", "value": "18"}}, "claim-malformed", "/claims/x/is"),
        ({"x": {"is": "licence-in-force", "value": "no-such"}}, "claim-malformed", "/claims/x/value"),
        ({"x": {"is": "equal", "field": "status", "value": "dead"}}, "field-not-granted", "/claims/x"),
        ({"x": {"is": "at-least", "field": "shoe_size", "value": 1}}, "field-unknown", "/claims/x/shoe_size"),
        ({"x": {"field": "name", "value": "1"}}, "invalid-request", None),
        ({"x": {"is": "equal", "value": "1", "more": 1}}, "invalid-request", None),
        ({"x": {"is": "equal", "field": "name", "value": None}}, "invalid-request", None),
    ],
)
def test_what_cannot_be_compared_is_refused(
    service: Service, asking: System, claims: dict[str, Any], code: str, pointer: str | None
) -> None:
    reply = ask(service, asking, "verifications", claims=claims)
    assert code_of(reply) == code
    assert reply.json().get("pointer") == pointer
    if code != "invalid-request":
        assert (last_record(service)["reason"], last_record(service)["outcome"]) == (code, "refused")


def test_a_licence_in_force_is_found_in_the_registry(service: Service, asking: System) -> None:
    give(service, "food-office", resource="legal-entities-basic", fields=["licences", "name"])
    food = service.system("food-office", Role.DEPARTMENT_SYSTEM)
    claims = {"licensed": {"is": "licence-in-force", "value": "business-licence"}}

    def licensed(subject: str = HOLDER) -> str:
        reply = ask(
            service, food, "verifications", resource="legal-entities-basic", subject=subject, claims=claims
        )
        assert reply.status_code == 200, reply.text
        assert read(service, reply.json()["answer"])["sources"] == {"licensed": "licences"}
        return str(reply.json()["results"]["licensed"])

    assert licensed() == "mismatch"
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    licence = issued(service, authority)
    assert licensed() == "match"
    assert licensed("91350100M000100Y43") == "mismatch"
    # The type is a resource, too: about whoever holds it.
    kind = {"resource": "licence.business-licence", "subject": HOLDER}
    fields = ["holder_name", "representative_name", "registered_capital"]
    give(service, "food-office", resource=kind["resource"], fields=fields, modes=["verify", "query"])
    body = ask(service, food, "queries", **kind, fields=fields).json()
    assert body["values"] == {
        "holder_name": "示范市东湖茶业有限公司",
        "representative_name": "张*",
        "registered_capital": "壹佰万元整",
    }
    answer = read(service, body["answer"])
    assert (answer["source"], answer["found"]) == ("licence.business-licence", True)
    others = {"representative_name": "张三丰", "registered_capital": "一百万"}
    body = ask(service, food, "verifications", **kind, claims=others).json()
    assert body["results"] == {"representative_name": "match", "registered_capital": "mismatch"}
    assert operate(service, authority, licence["identifier"], "03").is_success
    assert licensed() == "mismatch"
    body = ask(service, food, "queries", **kind, fields=fields).json()
    assert (body["found"], body["values"]) == (False, {})


def test_a_representative_is_known_by_the_citizen_id_that_a_credential_names(
    service: Service, asking: System
) -> None:
    claim = {"leads": {"is": "representative-of", "value": HOLDER}}
    body = verify(service, asking, **claim)
    assert body["results"] == {"leads": "match"}
    answer = read(service, body["answer"])
    assert (answer["sources"], answer["source"]) == ({"leads": "credentials"}, None)
    assert set(answer["freshness"]) == {"credentials"}
    assert verify(service, asking, STRANGER, **claim)["results"] == {"leads": "mismatch"}
    other = {"leads": {"is": "representative-of", "value": "91350100M000100Y43"}}
    assert verify(service, asking, **other)["results"] == {"leads": "unknown"}


def test_there_is_no_entry_until_there_is_one_and_after_it_ended(service: Service, asking: System) -> None:
    vault = open_vault(service.settings, datetime.now(UTC))
    today = civil_date(datetime.now(UTC))
    kind = "serious-breach-of-trust"

    def clean(of: str = kind, subject: str = PERSON) -> str:
        found = verify(service, asking, subject, clean={"is": "no-entry", "value": of})
        return str(found["results"]["clean"])

    def entry(subject: str, **changes: Any) -> Entry:
        values: dict[str, Any] = {
            "id": uuid.uuid4(),
            "subject": vault.blind_index("citizen-id", subject),
            "kind": kind,
            "authority": MARKET,
            "decided_on": today - timedelta(days=10),
            "until": None,
            "text": "列入严重失信名单",
            "source": "credit",
            **changes,
        }
        return Entry(**values)

    async def put(*new: Entry, end: uuid.UUID | None = None) -> list[Entry]:
        connection = await asyncpg.connect(service.address)
        now = datetime.now(UTC)
        added = [await entries.add(connection, vault, each, now) for each in new]
        assert all(added)
        assert not any([await entries.add(connection, vault, each, now) for each in new])
        if end is not None:
            assert await entries.end(connection, end, today)
            assert not await entries.end(connection, end, today)
        found = await entries.of_subject(connection, vault, vault.blind_index("citizen-id", PERSON))
        await connection.close()
        return found

    # Of a kind that nobody has ever entered, nothing can be said.
    assert clean() == "unknown"
    over = entry(PERSON, until=today - timedelta(days=1))
    to_come = entry(PERSON, decided_on=today + timedelta(days=1))
    asyncio.run(put(entry(STRANGER), over, to_come))
    assert (clean(), clean(subject=STRANGER)) == ("match", "mismatch")
    standing = entry(PERSON, until=today)
    found = asyncio.run(put(standing))
    assert {each.id: each.text for each in found}[standing.id] == "列入严重失信名单"
    assert (clean(), clean("food-safety-penalty")) == ("mismatch", "unknown")
    asyncio.run(put(end=standing.id))
    assert clean() == "match"
    plain = service.sql(
        "SELECT count(*) FROM exchange.entry WHERE position(%s::bytea IN sealed) > 0", "失信".encode()
    )
    assert plain == [(0,)]


def query(service: Service, asking: System, *fields: str, **members: Any) -> Any:
    return ask(service, asking, "queries", fields=list(fields), **members)


def test_a_query_discloses_granted_fields_masked_where_the_grant_does_not_say_otherwise(
    service: Service, asking: System
) -> None:
    reply = query(service, asking, "name", "birth_date", "address", "sex")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["found"] is True
    assert body["values"] == {
        "name": "张*",
        "birth_date": "1980-02-29",
        "address": "东湖路******",
        "sex": "male",
    }
    assert body["masked"] == ["address", "name"]
    answer = read(service, body["answer"])
    assert (answer["version"], answer["mode"], answer["found"]) == (2, "query", True)
    assert (answer["values"], answer["masked"]) == (body["values"], body["masked"])
    assert answer["fields"] == ["address", "birth_date", "name", "sex"]
    assert subject_matches(answer, PERSON)
    record = last_record(service)
    assert (record["event"], record["outcome"], record["fields"]) == ("query", "answered", answer["fields"])
    assert record["answer_sha256"] == answer_digest(answer)
    assert "1980" not in str(record)


def test_of_an_unknown_subject_a_query_says_that_it_is_unknown(service: Service, asking: System) -> None:
    body = query(service, asking, "name", subject=STRANGER).json()
    assert (body["found"], body["values"], body["masked"]) == (False, {}, [])
    answer = read(service, body["answer"])
    assert (answer["source"], answer["as_of"], answer["freshness"]) == (None, None, {})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (["name", "status"], "field-not-granted"),
        (["citizen_id"], "field-unknown"),
        (["licences"], "field-unknown"),  # what can be compared is not always disclosed
        ([], "invalid-request"),
    ],
)
def test_a_query_beyond_the_grant_is_refused_and_recorded(
    service: Service, asking: System, fields: list[str], code: str
) -> None:
    reply = query(service, asking, *fields)
    assert code_of(reply) == code
    assert "张" not in reply.text
    if code != "invalid-request":
        assert (last_record(service)["event"], last_record(service)["reason"]) == ("query", code)


def test_a_grant_to_verify_is_none_to_query(service: Service) -> None:
    give(service, "verifying")
    verifying = service.system("verifying", Role.DEPARTMENT_SYSTEM)
    assert code_of(query(service, verifying, "name")) == "mode-not-granted"
    assert ask(service, verifying, "verifications", claims={"name": "x"}).status_code == 200


def test_people_see_queries_too(service: Service, asking: System) -> None:
    query(service, asking, "name")
    seen = service.http.get("/exchange/v1/me/accesses", headers=service.person(PERSON)).json()["accesses"]
    assert any(each["event"] == "query" and each["outcome"] == "answered" for each in seen)


def test_dates_are_local(service: Service) -> None:
    assert civil_date(datetime(2025, 1, 1, 17, tzinfo=UTC)) == date(2025, 1, 2)
