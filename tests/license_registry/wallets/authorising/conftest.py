"""A registered wallet, and the browser that its holder signs in with, one step at a time."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.identity.signing_in import challenge_of
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, serving
from tests.license_registry.conftest import PERSON, issued
from tests.license_registry.wallets.conftest import Wallet

BACK = "https://wallet.example/back?app=1"
OTHER_BACK = "com.example.other:/back"
CLIENTS = {"city-wallet": (BACK, "https://wallet.example/second"), "other-wallet": (OTHER_BACK,)}
TYPE = "business-licence"


@dataclass
class Coming(Wallet):
    """A wallet that comes by itself; `browser` is its holder's, with a cookie jar."""

    client_id: str = "city-wallet"
    redirect_uri: str = BACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    browser: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def push(self, *proofs: tuple[str, str], **changes: Any) -> httpx.Response:
        form = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "scope": TYPE,
            "state": "s-1",
        } | changes
        form = {name: value for name, value in form.items() if value is not None}
        return self.service.http.post("/registry/v1/wallets/pushed-requests", data=form, headers=list(proofs))

    def pushed(self, **changes: Any) -> str:
        reply = self.push(**changes)
        assert reply.status_code == 201, reply.text
        assert reply.headers["cache-control"] == "no-store"
        made: str = reply.json()["request_uri"]
        return made

    def open(self, request_uri: str, client_id: str | None = None) -> httpx.Response:
        """What the browser gets for the link that the wallet opens."""
        asked = {"client_id": client_id or self.client_id, "request_uri": request_uri}
        return self.browser.get(f"{self.issuer}/v1/wallets/authorise", params=asked)

    def signed_in(self, opened: httpx.Response, citizen_id: str = PERSON) -> str:
        """Sign in where the browser was sent; return the address that the issuer sends it back to."""
        assert opened.status_code == 303, opened.text
        where = urlsplit(opened.headers["location"])
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        form = asked | {"citizen_id": citizen_id, "name": "测试人"}
        reply = self.browser.post(f"{where.scheme}://{where.netloc}{where.path}", data=form)
        assert reply.status_code == 303, reply.text
        address: str = reply.headers["location"]
        return address

    def page(self, citizen_id: str = PERSON, **changes: Any) -> httpx.Response:
        """The page that asks the holder which licence the wallet gets."""
        return self.browser.get(self.signed_in(self.open(self.pushed(**changes)), citizen_id))

    def choose(self, page: httpx.Response, licence: str) -> httpx.Response:
        assert page.status_code == 200, page.text
        (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page.text)
        (action,) = re.findall(r'action="([^"]+)"', page.text)
        form = {"ticket": html.unescape(ticket), "licence": licence}
        return self.browser.post(f"{self.service.settings.base_url}{html.unescape(action)}", data=form)

    def code(self, licence: str, **changes: Any) -> str:
        """The whole way of the browser: the code that the wallet is called back with."""
        return answer(self.choose(self.page(**changes), licence))["code"]

    def redeem(self, code: str, *proofs: tuple[str, str], **changes: Any) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        } | changes
        return self.service.http.post("/registry/v1/wallets/token", data=form, headers=list(proofs))


def answer(reply: httpx.Response) -> dict[str, str]:
    """What a wallet is told by the address that the browser is sent back to."""
    assert reply.status_code == 303, reply.text
    query = urlsplit(reply.headers["location"]).query
    return {name: value for name, (value,) in parse_qs(query, keep_blank_values=True).items()}


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A house with two registered wallets."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            documents="when-asked",
            wallet_clients=CLIENTS,
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture
def wallet(service: Service) -> Iterator[Coming]:
    made = Coming(service)
    with made.browser:
        yield made


@pytest.fixture(scope="module")
def licence(service: Service) -> str:
    authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
    identifier: str = issued(service, authority)["identifier"]
    return identifier


@pytest.fixture(scope="module")
def authority(service: Service) -> System:
    return service.system("market-regulator", Role.ISSUING_AUTHORITY)
