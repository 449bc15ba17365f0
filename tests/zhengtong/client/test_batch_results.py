"""The result of a batch, fetched, opened and checked by the client: all of it, or nothing."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey

from foundation.identity.principals import Role
from foundation.signing import Algorithm, canonical_json, new_signer, sign_compact
from tests.conftest import Service
from tests.zhengtong.client.test_client import CLAIMS, STRANGER, client_of, register
from tests.zhengtong.conftest import PERSON
from zhengtong.client import (
    AnswerInvalid,
    AsyncClient,
    Batch,
    Client,
    Keys,
    KeyUnusable,
    read_batch_result,
    read_keys,
)

__all__ = ["register"]  # a fixture that every test of this module uses

SEALED_TO = ECKey.generate_key("P-256")
PRIVATE = dict(SEALED_TO.as_dict(private=True))


@pytest.fixture(scope="module")
def fund(service: Service) -> Any:
    now = datetime.now(UTC)
    with client_of(service, service.system("data-bureau", Role.SHARING_AUTHORITY)) as bureau:
        bureau.give_grant(
            client_id="housing-fund",
            resource="persons-basic",
            fields=["name", "marital_status"],
            matters=["withdrawal"],
            purpose="公积金提取",
            legal_basis="国务院令第809号",
            valid_from=now - timedelta(hours=1),
            valid_until=now + timedelta(hours=1),
            further={"modes": ["verify", "batch"]},
        )
    with client_of(service, service.system("housing-fund", Role.DEPARTMENT_SYSTEM)) as calling:
        yield calling


@pytest.fixture(scope="module")
def batch(fund: Client) -> Batch:
    question = {
        "mode": "verify",
        "resource": "persons-basic",
        "matter": "withdrawal",
        "case": "2025-1",
        "result_key": SEALED_TO.as_dict(private=False),
    }
    subjects = b"\n".join(orjson.dumps({"subject": who, "claims": CLAIMS}) for who in (PERSON, STRANGER))
    found = fund.wait_for_batch(fund.submit_batch(question, subjects).id, seconds=60, every=0.2)
    assert found.state == "done"
    return found


@pytest.fixture(scope="module")
def sealed(fund: Client, batch: Batch) -> bytes:
    return fund.batch_result(batch.id)


@pytest.fixture(scope="module")
def keys(service: Service) -> Keys:
    return read_keys(service.http.get("/jwks.json").json())


def refused(*given: Any, **further: Any) -> str:
    with pytest.raises(AnswerInvalid) as caught:
        read_batch_result(*given, **further)
    return caught.value.code


def test_a_result_is_opened_with_the_key_that_it_was_asked_with(
    service: Service, fund: Client, batch: Batch
) -> None:
    answers = fund.open_batch_result(batch.id, PRIVATE)
    known, unknown = answers.rows()
    assert known["results"] == {"name": "match", "marital_status": "mismatch"}
    assert (known["row"], unknown["row"], set(unknown["results"].values())) == (1, 2, {"unknown"})
    said = answers.statement.claims
    assert (said["batch"], said["matter"], said["answered"], said["unknown"]) == (
        str(batch.id),
        "withdrawal",
        1,
        1,
    )

    async def the_same() -> bytes:
        system = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
        made = AsyncClient(service.settings.base_url, system.client_id, system.key, key_id="1")
        async with made as calling:
            return (await calling.open_batch_result(batch.id, PRIVATE)).lines

    assert asyncio.run(the_same()) == answers.lines


def test_what_was_touched_cut_or_sealed_to_another_gives_nothing(sealed: bytes, keys: Keys) -> None:
    assert read_batch_result(sealed, PRIVATE, keys).lines.count(b"\n") == 2
    statement, part = sealed.splitlines()
    touched = part.replace(b'"jwe":"', b'"jwe":"A')
    for content in (
        statement,
        statement + b"\n" + part + b"\n" + part,
        statement + b"\n" + touched,
        part,
        b"",
    ):
        assert refused(content, PRIVATE, keys) == "batch-result-broken"
    another = dict(ECKey.generate_key("P-256").as_dict(private=True))
    assert refused(sealed, another, keys) == "batch-result-broken"
    with pytest.raises(KeyUnusable):
        read_batch_result(sealed, SEALED_TO.as_dict(private=False), keys)


def test_a_statement_of_somebody_else_or_of_another_batch_gives_nothing(
    service: Service, batch: Batch, sealed: bytes, keys: Keys
) -> None:
    base = service.settings.base_url
    assert read_batch_result(sealed, PRIVATE, keys, issuer=base, batch=batch.id).lines
    assert refused(sealed, PRIVATE, keys, issuer="https://other.example") == "issuer-differs"
    assert refused(sealed, PRIVATE, keys, batch=uuid.uuid4()) == "question-differs"
    assert refused(sealed, PRIVATE, {}) == "key-unknown"
    own = new_signer(Algorithm.ES256)
    first, part = sealed.splitlines()
    claims = read_batch_result(sealed, PRIVATE, keys).statement.claims
    forged = sign_compact(own, canonical_json(dict(claims)), "zhengtong-batch+jwt")
    content = orjson.dumps({"statement": forged}) + b"\n" + part
    assert refused(content, PRIVATE, keys) == "key-unknown"
    assert first != content.splitlines()[0]
