"""Answers encrypted to the verifier (OpenID4VP 1.0 §8.3, `direct_post.jwt`), by jwcrypto, which the product does not use."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from demonstration.parties import System
from license_registry.wallets.requests import QUERY_ID
from tests.conftest import Service
from tests.license_registry.conftest import issued, problem
from tests.license_registry.wallets.conftest import Wallet
from tests.license_registry.wallets.test_presentation import ask, outcome

NAMES = ["representative_name"]


@pytest.fixture(scope="module")
def wallet(service: Service) -> Wallet:
    return Wallet(service)


@pytest.fixture(scope="module")
def credential(service: Service, authority: System, wallet: Wallet) -> str:
    return wallet.holding(issued(service, authority)["identifier"])


def encrypted(request: dict[str, Any], content: object, **changes: Any) -> str:
    """A JWE of what a wallet says; `key` is another key to encrypt to, all else changes the header."""
    (jwk,) = request["client_metadata"]["jwks"]["keys"]
    key = changes.pop("key", None) or JWK(**jwk)
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"]} | changes
    text = content if isinstance(content, bytes) else orjson.dumps(content)
    made = JWE(text, protected=orjson.dumps(header).decode(), algs=["ECDH-ES", "ECDH-ES+A128KW", "dir", *ENC])
    made.add_recipient(key)
    said: str = made.serialize(compact=True)
    return said


ENC = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256"]


def send(service: Service, request: dict[str, Any], **form: str) -> httpx.Response:
    return service.http.post(request["response_uri"], data=form)


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_a_wallet_encrypts_its_answer_to_a_key_of_this_request(
    service: Service, wallet: Wallet, counter: System, credential: str, enc: str
) -> None:
    made = ask(service, counter, encrypted=True).json()
    request = wallet.read(made["request_uri"])
    assert request["response_mode"] == "direct_post.jwt"
    assert request["client_metadata"]["encrypted_response_enc_values_supported"] == ["A128GCM", "A256GCM"]
    (jwk,) = request["client_metadata"]["jwks"]["keys"]
    assert (jwk["kty"], jwk["crv"], jwk["use"], jwk["alg"]) == ("EC", "P-256", "enc", "ECDH-ES")
    assert "d" not in jwk
    assert wallet.read(made["request_uri"])["client_metadata"] == request["client_metadata"]
    other = wallet.read(ask(service, counter, encrypted=True).json()["request_uri"])
    assert other["client_metadata"]["jwks"]["keys"][0]["x"] != jwk["x"]

    shown = {QUERY_ID: [wallet.show(request, credential, NAMES)]}
    said = encrypted(request, {"vp_token": shown, "state": request["state"]}, enc=enc)
    reply = send(service, request, response=said)
    assert (reply.status_code, reply.json()) == (200, {}), reply.text
    found = outcome(service, counter, made)
    assert (found["status"], found["result"]) == ("answered", 0)
    assert found["fields"]["representative_name"] == "张三丰"
    assert problem(send(service, request, response=said)) == (404, "not-found")
    held = "SELECT response_key FROM license_registry.wallet_request WHERE id = %s"
    assert service.sql(held, made["id"]) == [(None,)]


def test_encrypted_answers_that_do_not_hold_are_refused_and_leave_the_request_open(
    service: Service, wallet: Wallet, counter: System, credential: str
) -> None:
    made = ask(service, counter, encrypted=True).json()
    request = wallet.read(made["request_uri"])
    other = wallet.read(ask(service, counter, encrypted=True).json()["request_uri"])
    shown = {QUERY_ID: [wallet.show(request, credential, NAMES)]}
    content = {"vp_token": shown, "state": request["state"]}
    good = encrypted(request, content)
    head, _key, *rest = good.split(".")
    stranger = JWK.generate(kty="EC", crv="P-256")
    secret = JWK.generate(kty="oct", size=256)
    off_curve = JWK.generate(kty="EC", crv="P-384")
    unreadable = "cannot be decrypted"
    bad = {
        "to another key": (encrypted(request, content, key=stranger), unreadable),
        "to the key of another request": (encrypted(other, content), unreadable),
        "naming another key": (encrypted(request, content, kid="other"), unreadable),
        "on another curve": (encrypted(request, content, key=off_curve), unreadable),
        "by key wrapping": (encrypted(request, content, alg="ECDH-ES+A128KW"), unreadable),
        "by a shared secret": (encrypted(request, content, alg="dir", key=secret), unreadable),
        "by a cipher not offered": (encrypted(request, content, enc="A192GCM"), unreadable),
        "by another cipher not offered": (encrypted(request, content, enc="A128CBC-HS256"), unreadable),
        "compressed": (encrypted(request, content, zip="DEF"), unreadable),
        "with a key beside": (".".join([head, "AAAA", *rest]), unreadable),
        "altered": (f"{good[:-4]}AAAA", unreadable),
        "cut": (good.rpartition(".")[0], unreadable),
        "no JWE": ("eyJhbGciOiJub25lIn0.e30.", unreadable),
        "no text": ("ü", unreadable),
        "no JSON": (encrypted(request, b"{"), "no JSON object"),
        "a list": (encrypted(request, [content]), "no JSON object"),
        "without state": (encrypted(request, {"vp_token": shown}), "for another request"),
        "of another state": (encrypted(request, content | {"state": other["state"]}), "for another request"),
        "with nothing": (encrypted(request, {"state": request["state"]}), "another thing"),
    }
    for name, (said, words) in bad.items():
        reply = send(service, request, response=said)
        assert problem(reply) == (400, "wallet-answer-refused"), (name, reply.text)
        assert words in reply.json()["detail"], (name, reply.text)
    in_clear = wallet.answer(request, shown)
    assert problem(in_clear) == (400, "wallet-answer-refused")
    assert "was to be encrypted" in in_clear.json()["detail"]
    assert problem(wallet.answer(request, shown, response=good))[0] == 400
    assert outcome(service, counter, made) == {"status": "waiting"}
    assert send(service, request, response=good).status_code == 200


def test_what_was_not_to_be_encrypted_is_not_taken_encrypted(
    service: Service, wallet: Wallet, counter: System, credential: str
) -> None:
    request = wallet.read(ask(service, counter).json()["request_uri"])
    assert "jwks" not in request["client_metadata"]
    theirs = wallet.read(ask(service, counter, encrypted=True).json()["request_uri"])
    reply = send(service, request, response=encrypted(theirs, {"state": request["state"]}))
    assert problem(reply) == (400, "wallet-answer-refused")
    assert "not to be encrypted" in reply.json()["detail"]
