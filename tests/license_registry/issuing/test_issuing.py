"""Issuing over HTTP, against a running house: once, for who may, and with the place of what is wrong."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from demonstration.parties import System
from foundation.identifiers import ElicenceIdentifier
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from license_registry.credentials import sd_jwt
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import (
    HOLDER,
    PERSON,
    body,
    issue,
    issued,
    operate,
    problem,
    published_keys,
)


def counted(service: Service) -> tuple[int, ...]:
    """Licences, events, entries of the log whether in the tree or not, and files of the store."""
    (row,) = service.sql(
        "SELECT (SELECT count(*) FROM license_registry.licence), (SELECT count(*) FROM license_registry.event),"
        " (SELECT count(*) FROM license_registry.event v WHERE EXISTS"
        " (SELECT FROM ledger.pending p WHERE p.entry = v.entry UNION ALL"
        "  SELECT FROM ledger.entry e WHERE e.entry = v.entry))"
    )
    files = [path for path in service.settings.objects_folder.rglob("*") if path.is_file()]
    return (*row, len(files))


def grown(before: tuple[int, ...], by: int) -> tuple[int, ...]:
    return tuple(count + by for count in before)


def test_a_licence_is_issued_signed_stored_and_recorded(service: Service, authority: System) -> None:
    before = counted(service)
    reply = issue(service, authority, number="SF-1")
    assert reply.status_code == 201
    made = reply.json()
    identifier = ElicenceIdentifier.parse(made["identifier"])
    assert (identifier.type_code, identifier.issuer, identifier.version, identifier.legacy) == (
        "11100000MB0143028R001",
        MARKET,
        1,
        False,
    )
    assert (made["number"], made["issuer_code"], made["state"]) == ("SF-1", MARKET, "01")
    assert (made["valid_from"], made["valid_until"]) == ("2020-01-01", "2099-12-31")
    assert counted(service) == grown(before, 1)

    key = f"licences/{made['identifier']}.sdjwt"
    vault = open_vault(service.settings, datetime.now(UTC))
    data = vault.open((service.settings.objects_folder / key).read_bytes(), key.encode())
    credential = sd_jwt.verify(data.decode("ascii"), published_keys(service))
    assert credential.claims["licence_identifier"] == made["identifier"]
    assert credential.claims["licence_number"] == "SF-1"
    assert credential.claims["holder_code"] == HOLDER
    assert credential.claims["iss"] == f"{service.settings.base_url}/registry"
    assert dict(credential.disclosed) == {
        "representative_name": "张三丰",
        "registered_capital": "壹佰万元整",
        "established_on": "2001-05-06",
        "business_scope": "茶叶种植",
    }
    ((kind, content, stored_digest),) = service.sql(
        "SELECT v.kind, v.content, l.object_sha256 FROM license_registry.event v"
        " JOIN license_registry.licence l USING (identifier) WHERE identifier = %s",
        made["identifier"],
    )
    assert kind == "issued"
    assert stored_digest == hashlib.sha256(data).digest()
    assert orjson.loads(content)["object_sha256"] == stored_digest.hex()


def test_the_same_request_again_gives_the_same_licence_and_makes_nothing(
    service: Service, authority: System
) -> None:
    wanted = body()
    first = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
    before = counted(service)
    again = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert counted(service) == before


def test_another_request_for_a_number_in_force_is_refused(service: Service, authority: System) -> None:
    made = issued(service, authority)
    other = body(number=made["number"], valid_until=None)
    before = counted(service)
    reply = authority.call(service.http, "POST", "/registry/v1/licences", other)
    assert problem(reply) == (409, "licence-in-force")
    assert reply.json()["pointer"] == "/number"
    assert counted(service) == before


def test_a_number_is_free_again_once_its_licence_has_ended(service: Service, authority: System) -> None:
    wanted = body()
    first = authority.call(service.http, "POST", "/registry/v1/licences", wanted).json()
    assert operate(service, authority, first["identifier"], "05", "04").status_code == 200
    second = authority.call(service.http, "POST", "/registry/v1/licences", wanted)
    assert second.status_code == 201
    assert second.json()["identifier"] != first["identifier"]


def test_sixteen_equal_requests_at_once_make_one_licence(service: Service, authority: System) -> None:
    wanted = body()
    before = counted(service)
    with ThreadPoolExecutor(16) as pool:
        replies = list(
            pool.map(
                lambda _n: authority.call(service.http, "POST", "/registry/v1/licences", wanted), range(16)
            )
        )
    assert sorted(reply.status_code for reply in replies) == [200] * 15 + [201]
    assert len({reply.json()["identifier"] for reply in replies}) == 1
    assert counted(service) == grown(before, 1)


def test_different_requests_at_once_get_identifiers_of_their_own(service: Service, authority: System) -> None:
    before = counted(service)
    with ThreadPoolExecutor(32) as pool:
        made = list(pool.map(lambda _n: issued(service, authority), range(32)))
    identifiers = {ElicenceIdentifier.parse(one["identifier"]) for one in made}
    assert len(identifiers) == 32
    assert not any(identifier.legacy for identifier in identifiers)
    assert counted(service) == grown(before, 32)
    stored = service.sql("SELECT identifier, number, status_index FROM license_registry.licence")
    assert {(one["identifier"], one["number"]) for one in made} <= {row[:2] for row in stored}
    assert len({row[2] for row in stored}) == len(stored)


def fields(**changes: Any) -> dict[str, Any]:
    changed = body()["fields"] | changes
    return {"fields": {name: value for name, value in changed.items() if value is not ...}}


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "unknown type": ({"licence_type": "nothing"}, 404, "licence-type-unknown", "/licence_type"),
    "field missing": (fields(holder_name=...), 422, "licence-fields-invalid", "/fields/holder_name"),
    "field unknown": (fields(shoe_size="42"), 422, "licence-fields-invalid", "/fields/shoe_size"),
    "field too long": (fields(address="路" * 501), 422, "licence-fields-invalid", "/fields/address"),
    "field of a wrong form": (
        fields(established_on="6.5.2001"),
        422,
        "licence-fields-invalid",
        "/fields/established_on",
    ),
    "date that does not exist": (
        fields(established_on="2025-02-30"),
        422,
        "licence-fields-invalid",
        "/fields/established_on",
    ),
    "field that must be there is null": (
        fields(holder_name=None),
        422,
        "licence-fields-invalid",
        "/fields/holder_name",
    ),
    "holder code's check character": (
        fields(holder_code=HOLDER[:17] + ("1" if HOLDER[17] != "1" else "2")),
        422,
        "holder-invalid",
        "/fields/holder_code",
    ),
    "presenter's check character": (
        {"presenter": PERSON[:17] + ("0" if PERSON[17] != "0" else "1")},
        422,
        "holder-invalid",
        "/presenter",
    ),
    "ends before it begins": ({"valid_until": "2019-12-31"}, 422, "validity-invalid", "/valid_until"),
    "a day that does not exist": ({"valid_from": "2025-02-30"}, 422, "invalid-request", "/valid_from"),
    "NUL in a field": (fields(address="东湖\0路"), 422, "invalid-request", "/fields/address"),
    "half a surrogate pair": (fields(address="\ud800"), 422, "invalid-request", "/fields/address"),
    "a number in a field": (fields(address=5), 422, "invalid-request", "/fields/address"),
    "no fields": ({"fields": {}}, 422, "invalid-request", "/fields"),
    "number with blanks": ({"number": "A 1"}, 422, "invalid-request", "/number"),
    "number that is a citizen ID": ({"number": PERSON}, 422, "invalid-request", "/number"),
    "unknown member": ({"state": "01"}, 422, "invalid-request", "/state"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_does_not_fit_is_told_where(service: Service, authority: System, name: str) -> None:
    changes, status, code, pointer = REFUSED[name]
    before = counted(service)
    # By the standard library: half a surrogate pair has an escape in JSON, but no UTF-8.
    reply = service.http.post(
        "/registry/v1/licences",
        content=json.dumps(body(**changes)),
        headers={
            "Authorization": f"Bearer {authority.token(service.http, 'urn:zhengtong:license-registry')}",
            "Content-Type": "application/json",
        },
    )
    assert problem(reply) == (status, code)
    told = reply.json()
    assert pointer in {told.get("pointer"), *(one["pointer"] for one in told.get("errors", []))}
    assert PERSON not in reply.text
    assert counted(service) == before


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"", 422, "invalid-request"), (b"{", 400, "malformed-body"), (b"[]", 422, "invalid-request")],
)
def test_a_body_that_is_none_is_a_problem(
    service: Service, authority: System, content: bytes, status: int, code: str
) -> None:
    token = authority.token(service.http, "urn:zhengtong:license-registry")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    reply = service.http.post("/registry/v1/licences", content=content, headers=headers)
    assert problem(reply) == (status, code)


def test_only_issuing_authorities_issue(service: Service) -> None:
    before = counted(service)
    stranger = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    assert problem(issue(service, stranger)) == (403, "role-missing")
    assert problem(service.http.post("/registry/v1/licences", json=body())) == (401, "token-missing")
    assert counted(service) == before


def test_the_metadata_are_for_the_authority_that_issued(service: Service, authority: System) -> None:
    made = issued(service, authority)
    path = f"/registry/v1/licences/{made['identifier']}"
    assert authority.call(service.http, "GET", path).json() == made
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department="11990100MB2A00002U")
    assert problem(other.call(service.http, "GET", path)) == (404, "not-found")
    assert problem(authority.call(service.http, "GET", "/registry/v1/licences/a%00b")) == (404, "not-found")
