"""A holder who is dead, struck off or merged into another, over HTTP: nothing is issued, shown, or put into a wallet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Role
from foundation.sensitive.opening import open_vault
from tests.conftest import Service
from tests.license_registry.conftest import body, issue, issued, problem
from tests.license_registry.issuing.test_checks import DISABLED, DRIVER
from tests.license_registry.linked_change.test_following import NAME, Register
from tests.license_registry.wallets.conftest import Wallet
from tests.license_registry.wallets.test_presentation import ask

ROOT = "/registry/v1"
OCCASION = {"purpose": "备查", "matter": "m-1"}
BEFORE, NOW = datetime.now(UTC) - timedelta(days=30), datetime.now(UTC)
PRESENTER = CitizenId.compute("990101", date(1981, 5, 6), 321).reveal()
DRIVING = CitizenId.compute("990101", date(1982, 5, 6), 321).reveal()
CODES = {
    name: str(Uscc.compute(f"91990101MA2A{serial:05d}")) for serial, name in enumerate(("gone", "merged"), 1)
}
SURVIVOR = str(Uscc.compute("91990101MA2A00009"))
RESIDENT = {"name": "张三丰", "address": "东湖路1号"}


@pytest.fixture(scope="module")
def register(service: Service) -> Register:
    made = Register(service.address, open_vault(service.settings, NOW), BEFORE)
    for code in CODES.values():
        made.put("legal_entity", code, BEFORE, name=NAME, code=code)
    made.put("person", DRIVING, BEFORE, **RESIDENT, status="resident")
    return made


def wanted(how: str) -> dict[str, Any]:
    """What is issued to the holder that will be no more."""
    if how == "dead":
        fields = {**DRIVER["fields"], "holder_code": DRIVING}
        year = NOW.year
        days = {"valid_from": f"{year}-01-02", "valid_until": f"{year + 6}-01-01"}
        return {**DRIVER, "fields": fields, "presenter": PRESENTER, **days}
    fields = {**body()["fields"], "holder_code": CODES[how]}
    return {"fields": fields, "presenter": PRESENTER}


def end(service: Service, register: Register, how: str) -> None:
    match how:
        case "dead":
            register.put("person", DRIVING, NOW, **RESIDENT, status="dead")
        case "gone":
            register.end("legal_entity", CODES[how], NOW)
        case "merged":
            said = {"holder_code_type": "001", "holder_code": CODES[how], "survivor_code": SURVIVOR}
            operator = service.system("operator", Role.OPERATOR)
            reply = operator.call(
                service.http, "POST", f"{ROOT}/holder-mergers", {**said, "reason": "吸收合并"}
            )
            assert reply.status_code == 201, reply.text


class Presenting(Wallet):
    """The wallet of who presents the licences."""

    def offered(self, identifier: str, **changes: Any) -> dict[str, Any]:
        reply = self.offer(identifier, **changes)
        assert reply.status_code == 201, reply.text
        made: dict[str, Any] = reply.json()
        return made

    def offer(self, identifier: str, **changes: Any) -> httpx.Response:
        path = f"{ROOT}/me/licences/{identifier}/offers"
        return self.service.http.post(path, json=changes, headers=self.service.person(PRESENTER))


@pytest.mark.parametrize(
    ("how", "why"), [("dead", "is dead"), ("gone", "no longer in its register"), ("merged", "merged into")]
)
def test_nothing_goes_on_for_a_holder_who_is_no_more(
    service: Service, authority: System, counter: System, register: Register, how: str, why: str
) -> None:
    licence_type = "driving-licence" if how == "dead" else "business-licence"
    identifier = issued(service, authority, **wanted(how))["identifier"]
    person, wallet = service.person(PRESENTER), Presenting(service)

    def present(kind: str = "") -> httpx.Response:
        said = {**OCCASION, "identifier": identifier}
        return service.http.post(f"{ROOT}/presentations{kind}", json=said, headers=person)

    def refused(reply: httpx.Response) -> None:
        assert problem(reply) == (409, "holder-ended")
        assert why in reply.json()["detail"]

    # While the holder is there: a signed code for later, a token, and a credential in a wallet.
    code = present("/offline").json()["code"]
    token = wallet.token(wallet.offered(identifier)).json()["access_token"]
    held = wallet.ask_for(token, configuration=licence_type).json()["credentials"][0]["credential"]

    end(service, register, how)
    another = {**wanted(how), "number": "AGAIN00001"}
    if how == "dead":  # one driving licence is in force as it is
        another = {**DISABLED, "fields": {**DISABLED["fields"], "holder_code": DRIVING}, "division": "990101"}
    refused(issue(service, authority, **another))
    refused(present())
    refused(present("/offline"))
    refused(wallet.offer(identifier))
    late = wallet.ask_for(token, configuration=licence_type)
    assert problem(late) == (400, "wallet-credential-denied")
    assert why in late.json()["detail"]
    names = ["holder_name"] if how == "dead" else []
    asked = ask(service, counter, licence_type=licence_type, fields=names).json()
    request = wallet.read(asked["request_uri"])
    shown = wallet.show(request, held, names)
    answered = wallet.answer(request, {"licence": [shown]})
    assert problem(answered) == (400, "wallet-answer-refused")
    assert why in answered.json()["detail"]
    said = {"code": code, "case": "2025-1"}
    refused(counter.call(service.http, "POST", f"{ROOT}/presentations/verify", said))
    recorded = service.sql(
        "SELECT count(*) FROM license_registry.event WHERE identifier = %s AND kind = 'presentation-refused'",
        identifier,
    )
    assert recorded == [(1,)]
