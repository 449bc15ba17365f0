"""Licence types as resources: the licence that somebody holds in force answers, and no other."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.queries.asking import ask, give
from tests.license_registry.conftest import HOLDER, issued, operate

RESOURCE = "licence.business-licence"
FIELDS = ["holder_name", "representative_name", "licence_number", "valid_from", "valid_to", "established_on"]


@pytest.fixture(scope="module")
def tax(service: Service) -> System:
    give(service, "tax-office", resource=RESOURCE, fields=FIELDS, modes=["verify", "query"])
    return service.system("tax-office", Role.DEPARTMENT_SYSTEM)


def verify(service: Service, tax: System, **claims: Any) -> dict[str, Any]:
    reply = ask(service, tax, "verifications", resource=RESOURCE, subject=HOLDER, claims=claims)
    assert reply.status_code == 200, reply.text
    results: dict[str, Any] = reply.json()["results"]
    return results


def query(service: Service, tax: System, fields: list[str]) -> httpx.Response:
    return ask(service, tax, "queries", resource=RESOURCE, subject=HOLDER, fields=fields)


def test_the_licence_in_force_answers_like_a_row_of_a_register(service: Service, tax: System) -> None:
    claims = {"holder_name": "示范市东湖茶业有限公司", "today": {"is": "valid-on", "value": "2099-06-01"}}
    assert verify(service, tax, **claims) == {"holder_name": "unknown", "today": "unknown"}
    assert query(service, tax, ["holder_name"]).json()["found"] is False

    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    licence = issued(service, authority)
    found = query(service, tax, ["holder_name", "representative_name", "valid_from"])
    assert found.status_code == 200, found.text
    values = found.json()["values"]
    assert verify(service, tax, holder_name=values["holder_name"]) == {"holder_name": "match"}
    assert verify(service, tax, holder_name="别的公司") == {"holder_name": "mismatch"}
    assert values["representative_name"].endswith("*")
    assert verify(service, tax, now={"is": "valid-on", "value": values["valid_from"]}) == {"now": "match"}

    assert operate(service, authority, licence["identifier"], "03").is_success
    assert verify(service, tax, holder_name=values["holder_name"]) == {"holder_name": "unknown"}


def test_fields_of_another_type_are_unknown_to_it(service: Service, tax: System) -> None:
    reply = ask(
        service, tax, "verifications", resource=RESOURCE, subject=HOLDER, claims={"vehicle_classes": "C1"}
    )
    assert (reply.status_code, reply.json()["type"]) == (422, "urn:zhengtong:problem:field-unknown")
