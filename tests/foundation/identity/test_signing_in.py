"""Signing people in at an issuer of its own: what it is asked, and what of its answers is taken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from foundation.identity.errors import PeopleIssuerUnavailable, SignInRefused
from foundation.identity.people import PeopleVerifier
from foundation.identity.principals import Principal
from foundation.identity.signing_in import SignIn, SigningIn, challenge_of, new_sign_in
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from tests.foundation.identity.test_people import AUDIENCE, CLAIM, PERSON, Issuer, issuing

BACK = "https://here.example/signed-in"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        running.changes = {
            "authorization_endpoint": f"{running.address}/authorize?tenant=city",
            "token_endpoint": f"{running.address}/token",
        }
        yield running


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return open_vault(Settings(home=tmp_path_factory.mktemp("vault")), datetime.now(UTC))


def address(issuer: Issuer, vault: Vault, sign_in: SignIn, state: str) -> str:
    async def work() -> str:
        async with httpx.AsyncClient(timeout=5) as http:
            people = PeopleVerifier(issuer.address, AUDIENCE, CLAIM, vault, http)
            return await SigningIn(people, AUDIENCE, None, http).address(sign_in, state)

    return asyncio.run(work())


def finish(
    issuer: Issuer, vault: Vault, sign_in: SignIn, iss: str | None = None, secret: str | None = None
) -> Principal:
    async def work() -> Principal:
        async with httpx.AsyncClient(timeout=5) as http:
            people = PeopleVerifier(issuer.address, AUDIENCE, CLAIM, vault, http)
            return await SigningIn(people, AUDIENCE, secret, http).finish(sign_in, "c-1", iss)

    return asyncio.run(work())


def test_the_browser_is_sent_with_pkce_state_and_nonce(issuer: Issuer, vault: Vault) -> None:
    sign_in = new_sign_in(BACK)
    where = urlsplit(address(issuer, vault, sign_in, "s-1"))
    asked = dict(parse_qsl(where.query))
    digest = hashlib.sha256(sign_in.verifier.encode()).digest()
    assert asked == {
        "tenant": "city",
        "response_type": "code",
        "client_id": AUDIENCE,
        "redirect_uri": BACK,
        "scope": "openid",
        "state": "s-1",
        "nonce": sign_in.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert new_sign_in(BACK).verifier != sign_in.verifier


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636 appendix B.
    assert (
        challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


@pytest.mark.parametrize("secret", [None, "a+b:c/ä"])
def test_who_comes_back_is_the_person_of_the_token(issuer: Issuer, vault: Vault, secret: str | None) -> None:
    sign_in = new_sign_in(BACK)
    issuer.granted = (200, {"id_token": issuer.token(nonce=sign_in.nonce)})
    person = finish(issuer, vault, sign_in, issuer.address, secret)
    assert person.subject == vault.blind_index("citizen-id", PERSON)
    ((authorisation, form),) = issuer.posted
    assert form == {
        "grant_type": "authorization_code",
        "code": "c-1",
        "redirect_uri": BACK,
        "client_id": AUDIENCE,
        "code_verifier": sign_in.verifier,
    }
    if secret is None:
        assert authorisation is None
    else:
        assert (
            base64.b64decode(str(authorisation).removeprefix("Basic "))
            == b"zhengtong-here:a%2Bb%3Ac%2F%C3%A4"
        )


@pytest.mark.parametrize(
    "changes",
    [{"nonce": "of another"}, {"nonce": None}, {"aud": "another"}, {"exp": 1}, {CLAIM: None}],
    ids=["nonce of another", "no nonce", "audience", "expired", "nobody"],
)
def test_a_token_of_another_sign_in_is_none(issuer: Issuer, vault: Vault, changes: dict[str, Any]) -> None:
    sign_in = new_sign_in(BACK)
    issuer.granted = (200, {"id_token": issuer.token(**{"nonce": sign_in.nonce} | changes)})
    with pytest.raises(SignInRefused):
        finish(issuer, vault, sign_in)


def test_an_answer_of_another_issuer_is_not_even_redeemed(issuer: Issuer, vault: Vault) -> None:
    sign_in = new_sign_in(BACK)
    issuer.granted = (200, {"id_token": issuer.token(nonce=sign_in.nonce)})
    with pytest.raises(SignInRefused):
        finish(issuer, vault, sign_in, "https://other.example")
    issuer.changes["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(SignInRefused):
        finish(issuer, vault, sign_in, None)  # it says who it is, always: so this was not it
    assert issuer.posted == []
    assert finish(issuer, vault, sign_in, issuer.address).subject is not None


@pytest.mark.parametrize(
    ("granted", "error"),
    [
        ((400, {"error": "invalid_grant"}), SignInRefused),
        ((503, {}), PeopleIssuerUnavailable),
        ((200, []), PeopleIssuerUnavailable),
        ((200, {"access_token": "x"}), PeopleIssuerUnavailable),
        ((200, {"id_token": "x"}), SignInRefused),
    ],
    ids=["refused", "down", "no object", "no ID token", "no token"],
)
def test_no_token_is_nobody(
    issuer: Issuer, vault: Vault, granted: tuple[int, Any], error: type[Exception]
) -> None:
    issuer.granted = granted
    with pytest.raises(error):
        finish(issuer, vault, new_sign_in(BACK))


@pytest.mark.parametrize("said", [None, 7, "javascript:alert(1)"])
def test_an_issuer_that_does_not_say_where_to_sign_in_is_not_there(
    issuer: Issuer, vault: Vault, said: Any
) -> None:
    issuer.changes["authorization_endpoint"] = issuer.changes["token_endpoint"] = said
    with pytest.raises(PeopleIssuerUnavailable):
        address(issuer, vault, new_sign_in(BACK), "s-1")
    with pytest.raises(PeopleIssuerUnavailable):
        finish(issuer, vault, new_sign_in(BACK))
