"""Idempotency keys and unique identifiers over HTTP: what is acknowledged is there, once, however many issue at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identifiers import ElicenceIdentifier
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, body, operate, problem

ISSUERS = 64
EACH = 3
AUDIENCE = "urn:zhengtong:license-registry"


def send(service: Service, authority: System, wanted: dict[str, Any], key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {authority.token(service.http, AUDIENCE)}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    return service.http.post("/registry/v1/licences", json=wanted, headers=headers)


def count(service: Service) -> int:
    ((found,),) = service.sql("SELECT count(*) FROM license_registry.licence")
    return int(found)


def disabled(person: str) -> dict[str, Any]:
    return body(
        licence_type="disability-certificate",
        number=None,
        fields={"holder_name": "张三丰", "holder_code": person, "category": "视力", "grade": "一级"},
        valid_until=None,
        presenter=None,
        division="990100",
    )


def test_a_key_is_answered_once_and_for_good(service: Service, authority: System) -> None:
    wanted = body()
    first = send(service, authority, wanted, "k-1")
    again = send(service, authority, wanted, "k-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    other = send(service, authority, body(), "k-1")
    assert problem(other) == (422, "issuing-key-reused")
    # Once the licence has ended its number is free; but the key still stands for the licence that it made.
    assert operate(service, authority, first.json()["identifier"], "05", "04").status_code == 200
    before = count(service)
    late = send(service, authority, wanted, "k-1")
    assert (late.status_code, late.json()["identifier"], late.json()["state"]) == (
        200, first.json()["identifier"], "04",
    )  # fmt: skip
    assert count(service) == before
    assert send(service, authority, wanted, "k-2").status_code == 201


def test_the_same_key_of_another_client_is_another_key(service: Service, authority: System) -> None:
    colleague = service.system("market-regulator-2", Role.ISSUING_AUTHORITY)
    assert send(service, authority, body(), "shared").status_code == 201
    assert send(service, colleague, body(), "shared").status_code == 201


def test_a_key_that_was_refused_may_be_used_again(service: Service, authority: System) -> None:
    assert send(service, authority, body(valid_until="2019-12-31"), "k-3").status_code == 422
    assert send(service, authority, body(), "k-3").status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "ä", PERSON])
def test_a_key_that_is_none_is_refused(service: Service, authority: System, key: str) -> None:
    before = count(service)
    headers = {
        "Authorization": f"Bearer {authority.token(service.http, AUDIENCE)}",
        "Idempotency-Key": key.encode().decode("latin-1"),
    }
    reply = service.http.post(
        "/registry/v1/licences",
        json=body(),
        headers=[(name, value.encode("latin-1")) for name, value in headers.items()],
    )
    assert problem(reply) == (400, "issuing-key-invalid")
    assert key == "" or key not in reply.text
    assert count(service) == before


def test_sixteen_requests_with_one_key_and_no_number_make_one_licence(
    service: Service, authority: System
) -> None:
    wanted = disabled(PERSON)
    before = count(service)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _n: send(service, authority, wanted, "one"), range(16)))
    assert sorted(reply.status_code for reply in replies) == [200] * 15 + [201]
    assert len({reply.json()["number"] for reply in replies}) == 1
    assert count(service) == before + 1


def test_sixty_four_issuers_at_once_get_what_is_theirs_without_duplicate_or_gap(service: Service) -> None:
    issuers = [service.system(f"issuer-{n}", Role.ISSUING_AUTHORITY) for n in range(ISSUERS)]
    for issuer in issuers:
        issuer.token(service.http, AUDIENCE)
    before = count(service)

    def work(issuer: System) -> list[dict[str, Any]]:
        with httpx.Client(base_url=service.settings.base_url, timeout=60) as http:
            headers = {"Authorization": f"Bearer {issuer.token(service.http, AUDIENCE)}"}
            made = []
            for turn in range(EACH):
                reply = http.post(
                    "/registry/v1/licences", json=body(), headers={**headers, "Idempotency-Key": f"n{turn}"}
                )
                assert reply.status_code == 201, reply.text
                made.append(reply.json())
            return made

    with ThreadPoolExecutor(ISSUERS) as pool:
        acknowledged = [each for several in pool.map(work, issuers) for each in several]
    assert len(acknowledged) == ISSUERS * EACH
    assert count(service) == before + len(acknowledged)
    identifiers = [ElicenceIdentifier.parse(each["identifier"]) for each in acknowledged]
    assert len(set(identifiers)) == len(identifiers)
    serials = sorted(int(each.serial) for each in identifiers)
    assert serials == list(range(serials[0], serials[0] + len(serials)))
    # Each acknowledged one is there whole: row, event in the log, object, key.
    found = service.sql(
        "SELECT identifier, object_key FROM license_registry.licence JOIN license_registry.event v USING (identifier)"
        " JOIN license_registry.issue_request USING (identifier) WHERE v.kind = 'issued' AND EXISTS"
        " (SELECT FROM ledger.pending p WHERE p.entry = v.entry UNION ALL"
        "  SELECT FROM ledger.entry e WHERE e.entry = v.entry)"
    )
    assert {each["identifier"] for each in acknowledged} <= {row[0] for row in found}
    for _, key in found:
        assert (service.settings.objects_folder / key).is_file()


def test_a_licence_that_its_authority_numbers_needs_a_number(service: Service, authority: System) -> None:
    reply = send(service, authority, body(number=None), None)
    assert problem(reply) == (422, "licence-number-invalid")


def test_the_issuer_reads_all_metadata_and_that_is_recorded(service: Service, authority: System) -> None:
    made = send(service, authority, body(issuer_name="示范市市场监督管理局", division="990100"), None).json()
    path = f"/registry/v1/licences/{made['identifier']}/metadata"
    told = authority.call(service.http, "GET", path).json()
    assert told["ZZMC"] == "营业执照"
    assert told["ZZBS"] == made["identifier"]
    assert told["ZZBFJG"] == "示范市市场监督管理局"
    assert told["CZZT"] == ["示范市东湖茶业有限公司"]
    assert (told["division"], told["state"], told["state_name"]) == ("990100", "01", "存续 · in being")
    assert told["ZZBFRQ"] == told["first_issued_on"] == made["issued_on"]
    assert (told["licence_type"], told["licence_type_version"]) == ("business-licence", 1)
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department="11990100MB2A00002U")
    assert problem(other.call(service.http, "GET", path)) == (404, "not-found")
    read = service.sql(
        "SELECT kind FROM license_registry.event WHERE identifier = %s ORDER BY recorded_at",
        made["identifier"],
    )
    assert [kind for (kind,) in read] == ["issued", "metadata-read"]
