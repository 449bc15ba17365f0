"""Batches about licences: the licence that each holder has in force stands in the place of a row of a register."""

from __future__ import annotations

from collections.abc import Callable

from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.batches.conftest import Asking, lines
from tests.license_registry.conftest import HOLDER, issued

OTHER = "91350100M000100Y43"


def test_holders_are_asked_about_in_a_batch(service: Service, client: Callable[..., Asking]) -> None:
    asking = client("tax-office", resource="licence.business-licence", fields=["holder_name", "valid_from"])
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    issued(service, authority)
    rows = [{"subject": HOLDER}, {"subject": OTHER}, {"subject": HOLDER}]
    reply = asking.send(
        lines(*rows),
        key="licences",
        mode="query",
        resource="licence.business-licence",
        fields=["holder_name", "valid_from"],
    )
    assert reply.status_code == 202, reply.text
    batch = reply.json()["id"]
    asking.wait(batch)
    statement, (first, other, again) = asking.read(batch)
    assert (first["found"], other["found"], again["values"]) == (True, False, first["values"])
    assert set(first["values"]) == {"holder_name", "valid_from"}
    assert statement["sources"] == ["licence.business-licence"]
