"""Tokens bound to a wallet's key (DPoP, RFC 9449): what binds, what is refused and why, and that a proof is good once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from foundation.signing import Algorithm, Signer, encode_base64url, new_signer
from license_registry.wallets.dpop import Request, check_proof
from license_registry.wallets.errors import DpopRefused
from license_registry.wallets.nonces import Use, new_nonce
from tests.conftest import Service
from tests.license_registry.conftest import issued
from tests.license_registry.wallets.conftest import Wallet, dpop, proof
from tests.license_registry.wallets.test_issuance import refused

SIGNER = new_signer(Algorithm.ES256, "")
OTHER = new_signer(Algorithm.ES256, "")
ADDRESS = "https://city.example/registry/v1/wallets/token"


@pytest.fixture
def wallet(service: Service) -> Wallet:
    return Wallet(service)


@pytest.fixture(scope="module")
def licence(service: Service, authority: System) -> str:
    identifier: str = issued(service, authority)["identifier"]
    return identifier


def nonce_of(service: Service) -> str:
    """A nonce for DPoP, as the nonce endpoint gives it beside the other."""
    return service.http.post("/registry/v1/wallets/nonce").headers["dpop-nonce"]


def at_token(wallet: Wallet, signer: Signer = SIGNER, **changes: Any) -> tuple[str, str]:
    nonce = changes.pop("nonce", None) or nonce_of(wallet.service)
    return "DPoP", dpop(signer, f"{wallet.issuer}/v1/wallets/token", nonce, **changes)


def bound_token(wallet: Wallet, licence: str, signer: Signer = SIGNER) -> str:
    reply = wallet.token(wallet.offered(licence), at_token(wallet, signer))
    assert reply.status_code == 200, reply.text
    assert reply.json()["token_type"] == "DPoP"
    token: str = reply.json()["access_token"]
    return token


def ask(wallet: Wallet, token: str, *proofs: str, scheme: str = "DPoP") -> httpx.Response:
    body = {
        "credential_configuration_id": "business-licence",
        "proofs": {"jwt": [proof(wallet.signer, wallet.issuer, wallet.nonce())]},
    }
    headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", each) for each in proofs)]
    return wallet.service.http.post("/registry/v1/wallets/credential", json=body, headers=headers)


def at_credential(wallet: Wallet, token: str, signer: Signer = SIGNER, **changes: Any) -> str:
    nonce = changes.pop("nonce", None) or nonce_of(wallet.service)
    return dpop(signer, f"{wallet.issuer}/v1/wallets/credential", nonce, changes.pop("of", token), **changes)


def test_metadata_say_by_which_algorithms(service: Service) -> None:
    server = service.http.get("/.well-known/oauth-authorization-server/registry").json()
    assert server["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA"]


def test_a_bound_token_is_good_with_its_key_alone(wallet: Wallet, licence: str) -> None:
    token = bound_token(wallet, licence)
    bare = ask(wallet, token, scheme="Bearer")
    assert refused(bare) == (401, "wallet-token-refused", "invalid_token")
    assert 'DPoP error="invalid_token"' in bare.headers["www-authenticate"]
    # With the right proof, but under the scheme that lets others use it without.
    assert refused(ask(wallet, token, at_credential(wallet, token), scheme="Bearer"))[0] == 401
    stolen = ask(wallet, token, at_credential(wallet, token, OTHER))
    assert refused(stolen) == (401, "wallet-token-dpop-refused", "invalid_dpop_proof")
    assert "key-differs" in stolen.json()["detail"]
    assert stolen.headers["www-authenticate"] == 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA"'
    reply = ask(wallet, token, at_credential(wallet, token))
    assert reply.status_code == 200, reply.text
    assert reply.headers["dpop-nonce"]


def test_ed25519_binds_too(wallet: Wallet, licence: str) -> None:
    signer = new_signer(Algorithm.EDDSA, "")
    token = bound_token(wallet, licence, signer)
    assert ask(wallet, token, at_credential(wallet, token, signer)).status_code == 200


def test_a_token_that_is_bound_to_nothing_stays_as_it_was(wallet: Wallet, licence: str) -> None:
    reply = wallet.token(wallet.offered(licence))
    assert reply.json()["token_type"] == "Bearer"
    assert "dpop-nonce" not in reply.headers
    token = reply.json()["access_token"]
    assert refused(ask(wallet, token, at_credential(wallet, token))) == (
        401,
        "wallet-token-refused",
        "invalid_token",
    )
    assert wallet.ask_for(token).status_code == 200


def test_a_nonce_is_asked_for_and_comes_along(wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    address = f"{wallet.issuer}/v1/wallets/token"
    first = wallet.token(offered, ("DPoP", dpop(SIGNER, address, None)))
    assert refused(first) == (400, "wallet-dpop-nonce-needed", "use_dpop_nonce")
    again = wallet.token(offered, ("DPoP", dpop(SIGNER, address, first.headers["dpop-nonce"])))
    assert again.status_code == 200, again.text
    token = again.json()["access_token"]
    for bad in (None, "x", encode_base64url(bytes(36)), wallet.nonce()):  # the last: for another use
        nonceless = dpop(SIGNER, f"{wallet.issuer}/v1/wallets/credential", bad, token)
        reply = ask(wallet, token, nonceless)
        assert refused(reply) == (401, "wallet-token-dpop-nonce-needed", "use_dpop_nonce"), bad
        assert 'error="use_dpop_nonce"' in reply.headers["www-authenticate"]
    assert (
        ask(wallet, token, at_credential(wallet, token, nonce=reply.headers["dpop-nonce"])).status_code == 200
    )


def test_a_proof_is_good_once(service: Service, wallet: Wallet, licence: str) -> None:
    made = at_token(wallet)
    first, second = wallet.offered(licence), wallet.offered(licence)
    token = wallet.token(first, made).json()["access_token"]
    again = wallet.token(second, made)
    assert refused(again) == (400, "wallet-dpop-refused", "invalid_dpop_proof")
    assert "used" in again.json()["detail"]
    # The offer was not lost by it, and a key's proof does not stand in the way of another's with the same jti.
    assert wallet.token(second, at_token(wallet, jti="same")).status_code == 200
    assert wallet.token(wallet.offered(licence), at_token(wallet, OTHER, jti="same")).status_code == 200
    spent = at_credential(wallet, token)
    assert ask(wallet, token, spent).status_code == 200
    assert refused(ask(wallet, token, spent))[1] == "wallet-token-dpop-refused"
    ((kept,),) = service.sql("SELECT max(expires_at) - now() FROM license_registry.wallet_proof")
    assert 300 < kept.total_seconds() < 400


def test_of_requests_at_once_with_one_proof_one_goes_through(wallet: Wallet, licence: str) -> None:
    made = at_token(wallet)
    offers = [wallet.offered(licence) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda each: wallet.token(each, made), offers))
    assert sorted(each.status_code for each in replies) == [200, *[400] * 5]


def test_what_gives_nothing_writes_nothing(service: Service, wallet: Wallet, licence: str) -> None:
    before = service.sql("SELECT count(*) FROM license_registry.wallet_proof")
    assert refused(wallet.token(wallet.offered(licence), at_token(wallet), tx_code="x"))[2] == "invalid_grant"
    assert service.sql("SELECT count(*) FROM license_registry.wallet_proof") == before


def test_a_proof_for_another_token_is_refused(wallet: Wallet, licence: str) -> None:
    token, other = bound_token(wallet, licence), bound_token(wallet, licence)
    for of in (other, None):
        reply = ask(wallet, token, at_credential(wallet, token, of=of))
        assert "token-differs" in reply.json()["detail"]
    twice = ask(wallet, token, at_credential(wallet, token), at_credential(wallet, token))
    assert "not-one" in twice.json()["detail"]
    assert "missing" in ask(wallet, token).json()["detail"]


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return open_vault(Settings(home=tmp_path_factory.mktemp("home")), datetime.now(UTC))


def held(vault: Vault, made: str, address: str = ADDRESS) -> str | None:
    """Why a proof for the token endpoint is refused, None where it holds."""
    try:
        check_proof(vault, [made], Request("POST", address), datetime.now(UTC))
    except DpopRefused as error:
        return str(error.values.get("reason", "nonce"))
    return None


def test_proofs_that_do_not_hold_are_refused_for_their_reason(vault: Vault) -> None:
    nonce = new_nonce(vault, Use.DPOP, datetime.now(UTC))
    now = int(time.time())
    public = SIGNER.public.to_jwk()
    sm2 = new_signer(Algorithm.SM2, "")

    def made(signer: Signer = SIGNER, address: str = ADDRESS, **changes: Any) -> str:
        return dpop(signer, address, nonce, **changes)

    cut = made()
    wanted = {
        "": (made(), None),
        "no token": ("x", "malformed"),
        "type of a proof for a credential": (
            made(header={"typ": "openid4vci-proof+jwt"}),
            "type-mismatch",
        ),
        "no type": (made(header={"typ": None}), "type-mismatch"),
        "none": (made(header={"alg": "none"}), "algorithm-refused"),
        "HS256": (made(header={"alg": "HS256"}), "algorithm-refused"),
        "SM2, which is not offered": (made(sm2), "algorithm-refused"),
        "another algorithm": (made(header={"alg": "EdDSA"}), "algorithm-mismatch"),
        "crit": (made(header={"crit": ["exp"]}), "critical-unknown"),
        "no key": (made(header={"jwk": None}), "key-unknown"),
        "a private key": (made(header={"jwk": {**public, "d": public["x"]}}), "key-unknown"),
        "a symmetric key": (made(header={"jwk": {"kty": "oct", "k": "AA"}}), "key-unknown"),
        "another's key": (made(header={"jwk": OTHER.public.to_jwk()}), "signature-wrong"),
        "cut": (cut[:-6] + ("AAAAAA" if cut[-6:] != "AAAAAA" else "BBBBBB"), "signature-wrong"),
        "another method": (made(htm="GET"), "method-differs"),
        "method in other letters": (made(htm="post"), "method-differs"),
        "no method": (made(htm=None), "malformed"),
        "no address": (made(htu=None), "malformed"),
        "no time": (made(iat=None), "malformed"),
        "time as text": (made(iat=str(now)), "malformed"),
        "no id": (made(jti=None), "malformed"),
        "empty id": (made(jti=""), "malformed"),
        "long id": (made(jti="x" * 501), "malformed"),
        "made long ago": (made(iat=now - 361 - 5), "not-of-now"),
        "made tomorrow": (made(iat=now + 61 + 5), "not-of-now"),
        "a clock that is slow": (made(iat=now - 350), None),
        "a clock that is fast": (made(iat=now + 50), None),
        "no nonce": (dpop(SIGNER, ADDRESS, None), "nonce"),
        "nonce of another house": (dpop(SIGNER, ADDRESS, encode_base64url(bytes(36))), "nonce"),
        "too long": (made(more="x" * 9_000), "too-large"),
    }
    for name, (text, reason) in wanted.items():
        assert held(vault, text) == reason, name


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("HTTPS://City.Example/registry/v1/wallets/token", True),
        ("https://city.example:443/registry/v1/wallets/token", True),
        ("https://city.example/registry/v1/wallets/token?a=1#b", True),
        ("https://city.example/registry/v1/%77allets/token", True),
        ("https://city.example/registry/v1/wallets%2Ftoken", False),
        ("https://city.example/registry/v1/wallets/token/", False),
        ("https://city.example/registry/v1/wallets/x/../token", False),
        ("https://city.example/registry/v1/wallets/x/%2e%2e/token", False),
        ("https://city.example/registry/v1/wallets/Token", False),
        ("https://city.example/registry/v1/wallets/to\nken", False),
        ("http://city.example/registry/v1/wallets/token", False),
        ("https://city.example:8443/registry/v1/wallets/token", False),
        ("https://city.example:0/registry/v1/wallets/token", False),
        ("https://city.example:x/registry/v1/wallets/token", False),
        ("https://a@city.example/registry/v1/wallets/token", False),
        ("https://city.example.evil/registry/v1/wallets/token", False),
        ("https://[/registry/v1/wallets/token", False),
        ("/registry/v1/wallets/token", False),
        ("", False),
    ],
)
def test_addresses_are_compared_in_their_normal_form(vault: Vault, address: str, same: bool) -> None:
    made = dpop(SIGNER, address, new_nonce(vault, Use.DPOP, datetime.now(UTC)))
    assert held(vault, made) == (None if same else "address-differs")


def test_a_nonce_that_is_over_is_none(vault: Vault) -> None:
    old = new_nonce(vault, Use.DPOP, datetime.fromtimestamp(time.time() - 301, UTC))
    assert held(vault, dpop(SIGNER, ADDRESS, old)) == "nonce"
