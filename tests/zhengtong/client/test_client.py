"""The client against a running house: questions, proofs, grants, licences, and checks without the house."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration.parties import System, sign_in
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, canonical_json, new_signer, sign_compact
from tests.conftest import Service
from tests.license_registry.conftest import body as licence_body
from tests.zhengtong.conftest import HEADER, PERSON, ROW
from zhengtong.client import (
    AnswerInvalid,
    AsyncClient,
    Client,
    InclusionProof,
    ProblemError,
    ReceiptInvalid,
    Statement,
    Verification,
    read_keys,
    verify_answer,
    verify_receipt,
)
from zhengtong.client.offline import ANSWER_TYPE

STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
CLAIMS = {"name": "张三丰", "marital_status": "single"}
ABOUT = {"matter": "withdrawal", "case": "2025-1"}


@pytest.fixture(scope="module", autouse=True)
def register(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "population.csv"
    path.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode("gb18030"))
    vault = open_vault(service.settings, datetime.now(UTC))
    mapping = load_mapping("population")
    assert run(mapping, FileSource(path, mapping), database=service.address, vault=vault).inserted == 1


def client_of(service: Service, system: System, **further: Any) -> Client:
    return Client(service.settings.base_url, system.client_id, system.key, key_id="1", **further)


@pytest.fixture(scope="module")
def bureau(service: Service) -> Any:
    with client_of(service, service.system("data-bureau", Role.SHARING_AUTHORITY)) as calling:
        yield calling


@pytest.fixture(scope="module")
def fund(service: Service, bureau: Client) -> Any:
    now = datetime.now(UTC)
    with client_of(service, service.system("housing-fund", Role.DEPARTMENT_SYSTEM)) as calling:
        given = bureau.give_grant(
            client_id="housing-fund",
            resource="persons-basic",
            fields=["name", "marital_status"],
            matters=["withdrawal"],
            purpose="公积金提取",
            legal_basis="国务院令第809号",
            valid_from=now - timedelta(hours=1),
            valid_until=now + timedelta(hours=1),
            further={"modes": ["verify", "query", "subscribe"], "clear_fields": ["marital_status"]},
        )
        assert given.further["modes"] == ["query", "subscribe", "verify"]
        assert [each.id for each in calling.grants()] == [given.id]
        yield calling


@pytest.fixture(scope="module")
def answered(fund: Client) -> Verification:
    found = fund.verify("persons-basic", PERSON, CLAIMS, **ABOUT)
    assert dict(found.results) == {"name": "match", "marital_status": "mismatch"}
    assert not found.holds
    return found


@pytest.fixture(scope="module")
def proof(fund: Client, answered: Verification) -> InclusionProof:
    return fund.prove(answered.answer)


@pytest.fixture(scope="module")
def key_set(service: Service) -> Any:
    return service.http.get("/jwks.json").json()


@pytest.fixture(scope="module")
def log_key(service: Service) -> str:
    return (service.settings.ledger_folder / "log.vkey").read_text().strip()


def test_an_answer_is_checked_without_the_house(
    service: Service, answered: Verification, proof: InclusionProof, key_set: Any, log_key: str
) -> None:
    said = verify_answer(answered.answer, read_keys(key_set), issuer=service.settings.base_url)
    assert said.results == answered.results
    assert said.is_about(PERSON)
    assert not said.is_about(STRANGER)
    assert abs((said.signed_at - datetime.now(UTC)).total_seconds()) < 120
    assert said.receipt == answered.receipt
    assert verify_receipt(said, proof, log_key).size == proof.tree_size


def test_an_answer_that_was_touched_or_is_of_somebody_else_is_refused(
    answered: Verification, key_set: Any
) -> None:
    keys = read_keys(key_set)
    header, payload, signature = answered.answer.split(".")
    stranger = new_signer(Algorithm.ES256)
    forged = sign_compact(stranger, canonical_json({"iss": "x", "iat": 1}), ANSWER_TYPE)
    for text, code in {
        f"{header}.{payload[:-2]}AA.{signature}": "signature-wrong",
        f"{header}.{payload}": "malformed",
        forged: "key-unknown",
        "": "malformed",
    }.items():
        with pytest.raises(AnswerInvalid) as raised:
            verify_answer(text, keys)
        assert raised.value.code == code
    with pytest.raises(AnswerInvalid, match="issuer-differs"):
        verify_answer(answered.answer, keys, issuer="https://elsewhere.example")
    with pytest.raises(AnswerInvalid, match="type-mismatch"):
        verify_answer(answered.answer, keys, kind="zhengtong-plan+jwt")


def test_a_proof_of_another_record_or_log_is_refused(
    fund: Client, answered: Verification, proof: InclusionProof, key_set: Any, log_key: str
) -> None:
    said = verify_answer(answered.answer, read_keys(key_set))
    other = fund.verify("persons-basic", STRANGER, CLAIMS, **ABOUT)
    others = verify_answer(other.answer, read_keys(key_set))
    with pytest.raises(ReceiptInvalid, match="entry-differs"):
        verify_receipt(others, proof, log_key)
    with pytest.raises(ReceiptInvalid, match="key-malformed"):
        verify_receipt(said, proof, log_key[:-4])
    elsewhere = Statement(said.kid, {**said.claims, "receipt": {**said.claims["receipt"], "log": "x"}})
    with pytest.raises(ReceiptInvalid, match="log-differs"):
        verify_receipt(elsewhere, proof, log_key)
    shifted = InclusionProof(
        proof.leaf_index + 1, proof.leaf_hash, proof.tree_size, proof.proof, proof.checkpoint
    )
    with pytest.raises(ReceiptInvalid):
        verify_receipt(said, shifted, log_key)


def test_pinned_keys_decide_and_are_not_fetched_anew(service: Service, fund: Client) -> None:
    other = new_signer(Algorithm.ES256)
    pinned = {"keys": [{**other.public.to_jwk(), "kid": other.kid}]}
    with (
        client_of(service, service.system("housing-fund", Role.DEPARTMENT_SYSTEM), keys=pinned) as calling,
        pytest.raises(AnswerInvalid, match="key-unknown"),
    ):
        calling.verify("persons-basic", PERSON, CLAIMS, **ABOUT)


def test_a_refusal_tells_code_and_pointer(fund: Client) -> None:
    with pytest.raises(ProblemError) as raised:
        fund.verify("persons-basic", PERSON, {"address": "x"}, **ABOUT)
    assert (raised.value.code, raised.value.status) == ("field-not-granted", 403)
    assert raised.value.pointer == "/claims/address"


def test_the_asynchronous_client_does_the_same(service: Service, fund: Client) -> None:
    system = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)

    async def work() -> InclusionProof:
        async with AsyncClient(
            service.settings.base_url, system.client_id, system.key, key_id="1"
        ) as calling:
            many = await asyncio.gather(
                *(calling.verify("persons-basic", PERSON, CLAIMS, **ABOUT) for _ in range(10))
            )
            return await calling.prove(many[0].answer)

    assert asyncio.run(work()).tree_size > 0
    assert "persons-basic" in {each["id"] for each in fund.resources()}


def test_granted_fields_are_queried_and_masked(fund: Client) -> None:
    found = fund.query("persons-basic", PERSON, ["name", "marital_status"], **ABOUT)
    assert found.found
    assert found.values["marital_status"] == "married"
    assert found.values["name"] != "张三丰"
    assert found.masked == ("name",)
    assert fund.check(found.answer).is_about(PERSON)
    with pytest.raises(ProblemError, match="field-not-granted"):
        fund.query("persons-basic", PERSON, ["address"], **ABOUT)


def test_comparisons_are_asked_as_they_are_written(fund: Client) -> None:
    claims = {"married": {"field": "marital_status", "is": "equal", "value": "married"}}
    assert fund.verify("persons-basic", PERSON, claims, **ABOUT).holds


def test_changes_are_subscribed_to_and_read(fund: Client) -> None:
    (grant,) = (each for each in fund.grants() if each.resource == "persons-basic")
    made = fund.subscribe(grant.id, ["person-changed"], matter="withdrawal")
    assert fund.name_subjects(made.id, {"case-7": PERSON}) == 1
    assert fund.name_subjects(made.id, {"case-7": PERSON}) == 1
    page = fund.events(made.id, wait=0.2)
    assert (page.events, page.next) == ((), 0)
    fund.unsubscribe(made.id)
    with pytest.raises(ProblemError):
        fund.name_subjects(made.id, {"case-8": STRANGER})


def test_an_ended_grant_is_ended(bureau: Client, fund: Client) -> None:
    now = datetime.now(UTC)
    given = bureau.give_grant(
        client_id="housing-fund",
        resource="credentials-basic",
        fields=["state"],
        matters=["x"],
        purpose="用途",
        legal_basis="依据",
        valid_from=now,
        valid_until=now + timedelta(hours=1),
    )
    bureau.end_grant(given.id)
    ended = next(each for each in fund.grants() if each.id == given.id)
    assert ended.ended_at is not None
    with pytest.raises(ProblemError, match="not-found"):
        bureau.end_grant(given.id)


def test_a_licence_is_issued_presented_and_verified(service: Service, tmp_path: Path) -> None:
    authority = client_of(service, service.system("market", Role.ISSUING_AUTHORITY))
    counter = client_of(service, service.system("counter", Role.COUNTER, Role.DEPARTMENT_SYSTEM))
    person = Client(service.settings.base_url, id_token=sign_in(service.http, PERSON, "张三丰"))
    with authority, counter, person:
        wanted = licence_body()
        made = authority.issue(wanted, idempotency_key="k-1")
        assert authority.issue(wanted, idempotency_key="k-1") == made
        assert made["identifier"] in {each["identifier"] for each in person.own_licences()}
        code = person.present(made["identifier"], ["business_scope"], purpose="开户", matter="opening")
        seen = counter.verify_code(code.code, case="c-1")
        assert seen.valid
        assert set(seen.fields) >= {"business_scope"}
        with pytest.raises(ProblemError, match="code-used"):
            counter.verify_code(code.code, case="c-1")
        number = counter.verify_number("business-licence", wanted["number"], "示范市东湖茶业有限公司")
        assert number.valid
        file = service.http.get(
            f"/registry/v1/me/licences/{made['identifier']}/credential", headers=service.person(PERSON)
        ).content
        assert counter.verify_file(file, case="c-1").valid


def test_what_has_no_method_is_called_by_its_path(bureau: Client) -> None:
    reply = bureau.request("GET", "/exchange/v1/grants", params={"client_id": "nobody"})
    assert orjson.loads(reply.content) == {"grants": []}
