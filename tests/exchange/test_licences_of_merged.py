"""Two subjects are decided to be one: the licences under the one identifier are found under the other, and back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey

from demonstration.parties import System
from exchange.batches import work
from exchange.queries.answer import TYPE
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.signing import Algorithm, PublicKey, verify_compact
from tests.conftest import Service
from tests.exchange.batches.conftest import Asking, lines
from tests.exchange.queries.asking import ask, give
from tests.license_registry.conftest import HOLDER, PERSON, STRANGER, issued, problem
from tests.linking import FORMER, decide

RESOURCE = "licence.business-licence"
COMPANY = "示范市东湖茶业有限公司"
FORMER_HOLDER = Uscc.compute("91990101MA0000002").text


@pytest.fixture(scope="module")
def vault_of(service: Service) -> Vault:
    return open_vault(service.settings, datetime.now(UTC))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(work, "LOOKS_EVERY_SECONDS", 0.05)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def tax(service: Service) -> System:
    give(
        service,
        "tax-office",
        resource=RESOURCE,
        fields=["holder_name", "licences"],
        modes=["verify", "query", "batch"],
    )
    return service.system("tax-office", Role.DEPARTMENT_SYSTEM)


@pytest.fixture(scope="module")
def licence(service: Service) -> str:
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    identifier: str = issued(service, authority)["identifier"]
    return identifier


def merged(service: Service, reply: dict[str, Any]) -> bool:
    keys = {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}
    verified = verify_compact(reply["answer"], keys, TYPE, frozenset({Algorithm.ES256}))
    return bool(orjson.loads(verified.payload).get("merged", False))


def test_departments_find_the_licence_of_a_company_by_its_other_code(
    service: Service, tax: System, vault_of: Vault, licence: str
) -> None:
    def seen(subject: str) -> tuple[Any, bool, str, str]:
        asked = {"resource": RESOURCE, "subject": subject}
        found = ask(service, tax, "queries", **asked, fields=["holder_name"]).json()
        claims = {"holder_name": COMPANY, "holds": {"is": "licence-in-force", "value": "business-licence"}}
        results = ask(service, tax, "verifications", **asked, claims=claims).json()["results"]
        return found["found"], merged(service, found), results["holder_name"], results["holds"]

    pair = [vault_of.blind_index("uscc", each) for each in (HOLDER, FORMER_HOLDER)]
    assert seen(HOLDER) == (True, False, "match", "match")
    assert seen(FORMER_HOLDER) == (False, False, "unknown", "mismatch")
    decide(service, "legal_entities", pair, "same")
    assert seen(HOLDER) == (True, False, "match", "match")
    assert seen(FORMER_HOLDER) == (True, True, "match", "match")

    many = Asking(service, tax, ECKey.generate_key("P-256"))
    content = lines(
        *({"subject": each, "claims": {"holder_name": COMPANY}} for each in (HOLDER, FORMER_HOLDER))
    )
    sent = many.send(content, key=str(uuid.uuid4()), resource=RESOURCE)
    assert sent.status_code == 202, sent.text
    many.wait(sent.json()["id"])
    _, rows = many.read(sent.json()["id"])
    assert [(row["results"]["holder_name"], row.get("merged")) for row in rows] == [
        ("match", None),
        ("match", True),
    ]
    decide(service, "legal_entities", pair, "different")
    assert seen(FORMER_HOLDER) == (False, False, "unknown", "mismatch")


def test_a_person_finds_and_shows_the_licences_of_their_former_number(
    service: Service, vault_of: Vault, licence: str
) -> None:
    counter = service.system("counter", Role.COUNTER)

    def seen(person: str) -> tuple[bool, bool, int, int]:
        headers = service.person(person)
        own = service.http.get("/registry/v1/me/licences", headers=headers).json()["licences"]
        dossier = service.http.get("/registry/v1/me/dossier", headers=headers).json()
        history = service.http.get(f"/registry/v1/licences/{licence}/history", headers=headers)
        file = service.http.get(f"/registry/v1/me/licences/{licence}/credential", headers=headers)
        return (
            licence in [each["identifier"] for each in own],
            licence in [each["identifier"] for each in dossier["represented"]],
            history.status_code,
            file.status_code,
        )

    pair = [vault_of.blind_index("citizen-id", each) for each in (PERSON, FORMER)]
    nothing, all_of_it = (False, False, 404, 404), (True, True, 200, 200)
    assert [seen(each) for each in (PERSON, FORMER, STRANGER)] == [all_of_it, nothing, nothing]
    decide(service, "persons", pair, "same")
    assert [seen(each) for each in (PERSON, FORMER, STRANGER)] == [all_of_it, all_of_it, nothing]
    shown = service.http.post(
        "/registry/v1/presentations",
        json={
            "identifier": licence,
            "disclose": ["representative_name"],
            "purpose": "贷款",
            "matter": "bank-loan",
        },
        headers=service.person(FORMER),
    )
    assert shown.status_code == 201, shown.text
    told = counter.call(
        service.http,
        "POST",
        "/registry/v1/presentations/verify",
        {"code": shown.json()["code"], "case": "2025-7"},
    )
    assert (told.status_code, told.json()["result"]) == (200, 0), told.text
    decide(service, "persons", pair, "different")
    assert seen(FORMER) == nothing


def test_what_a_row_names_by_itself_gives_nobody_the_licences_of_another(
    service: Service, vault_of: Vault, licence: str
) -> None:
    """A mistyped number in some row must not make its owner the presenter of another's licences."""
    own, other = (vault_of.blind_index("citizen-id", each) for each in (PERSON, STRANGER))
    service.sql(
        "INSERT INTO exchange.alias (alias, subject, basis, register, valid_from)"
        " VALUES (%s, %s, 'named', 'persons', now()), (%s, %s, 'named', 'persons', now())",
        *(own, other, other, own),
    )
    reply = service.http.get(
        f"/registry/v1/me/licences/{licence}/credential", headers=service.person(STRANGER)
    )
    assert problem(reply) == (404, "not-found")
    service.sql("DELETE FROM exchange.alias WHERE basis = 'named'")
