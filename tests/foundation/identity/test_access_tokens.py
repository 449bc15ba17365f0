"""Access tokens at the door of the services: which ones open it, and what the others are told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.identity.clients import Client
from foundation.identity.errors import TokenExpired, TokenUnknown
from foundation.identity.principals import Principal, Role
from foundation.identity.routes import TOKEN_PURPOSE
from foundation.identity.tokens import CACHE_ENTRIES, TokenVerifier, issue_token
from foundation.signing import (
    Algorithm,
    KeyState,
    KeyStore,
    Signer,
    canonical_json,
    generate_key,
    load_signer,
    sign_compact,
)
from tests.conftest import MARKET, Service
from zhengtong.house_keys import open_keys

EXCHANGE = "urn:zhengtong:exchange"
REGISTRY = "urn:zhengtong:license-registry"
CLIENT = Client("market-system", "市场监管系统", MARKET, frozenset({Role.DEPARTMENT_SYSTEM}), {})


@pytest.fixture(scope="module")
def keys(service: Service) -> KeyStore:
    """The very keys of the running service: only with them can a token be wrong in one point alone."""
    return open_keys(service.settings, datetime.now(UTC))


@pytest.fixture(scope="module")
def signer(keys: KeyStore) -> Signer:
    return keys.signer(TOKEN_PURPOSE)


def content(service: Service, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": service.settings.base_url,
        "sub": CLIENT.client_id,
        "client_id": CLIENT.client_id,
        "aud": EXCHANGE,
        "iat": now,
        "exp": now + 60,
        "jti": uuid.uuid4().hex,
        "department": MARKET,
        "roles": ["department-system"],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def made(service: Service, signer: Signer, typ: str = "at+jwt", **changes: Any) -> str:
    return sign_compact(signer, canonical_json(content(service, **changes)), typ)


def knock(service: Service, token: str, scheme: str = "Bearer") -> httpx.Response:
    """Ask for a proof that does not exist: whoever is let in hears of that, with 404."""
    headers = {"Authorization": f"{scheme} {token}"}
    return service.http.get(f"/exchange/v1/receipts/{uuid.uuid4()}", headers=headers)


def let_in(reply: httpx.Response) -> bool:
    return (reply.status_code, reply.json()["type"]) == (404, "urn:zhengtong:problem:not-found")


def turned_away(reply: httpx.Response, code: str) -> bool:
    challenge = "Bearer" if code == "token-missing" else 'Bearer error="invalid_token"'
    assert reply.headers["content-type"] == "application/problem+json"
    return (reply.status_code, reply.json()["type"], reply.headers["www-authenticate"]) == (
        401,
        f"urn:zhengtong:problem:{code}",
        challenge,
    )


def test_a_token_opens_the_door_again_and_again(service: Service, signer: Signer) -> None:
    token = issue_token(
        signer, service.settings.base_url, CLIENT, EXCHANGE, now=time.time(), seconds=60
    ).access_token
    assert let_in(knock(service, token))
    assert let_in(knock(service, token, "bearer"))


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt"])
def test_the_type_is_compared_as_a_media_type(service: Service, signer: Signer, typ: str) -> None:
    assert let_in(knock(service, made(service, signer, typ)))


def by_stranger(service: Service, signer: Signer) -> str:
    private, public = generate_key(Algorithm.ES256)
    return made(service, load_signer(private, public, signer.kid))


def by_unknown_key(service: Service, _signer: Signer) -> str:
    private, public = generate_key(Algorithm.ES256)
    return made(service, load_signer(private, public, public.thumbprint()))


def by_key_of_answers(service: Service, _signer: Signer) -> str:
    return made(service, open_keys(service.settings, datetime.now(UTC)).signer("answer"))


def tampered(service: Service, signer: Signer) -> str:
    header, _payload, signature = made(service, signer).split(".")
    other = made(service, signer, roles=["operator"]).split(".")[1]
    return f"{header}.{other}.{signature}"


def unsigned(service: Service, signer: Signer) -> str:
    header = {"typ": "at+jwt", "kid": signer.kid}
    return jwt.encode(content(service), None, algorithm="none", headers=header)


def by_shared_secret(service: Service, signer: Signer) -> str:
    header = {"typ": "at+jwt", "kid": signer.kid}
    return jwt.encode(content(service), "s" * 32, algorithm="HS256", headers=header)


Forged = Callable[[Service, Signer], str]
BAD_TOKENS: dict[str, tuple[str, Forged]] = {
    "expired": ("token-expired", lambda s, k: made(s, k, exp=int(time.time()) - 1)),
    "of another service": ("token-wrong-audience", lambda s, k: made(s, k, aud=REGISTRY)),
    "of another issuer": ("token-unknown", lambda s, k: made(s, k, iss="https://elsewhere.example")),
    "issued in the future": ("token-unknown", lambda s, k: made(s, k, iat=int(time.time()) + 600)),
    "of another type": ("token-unknown", lambda s, k: made(s, k, "JWT")),
    "of another purpose": ("token-unknown", by_key_of_answers),
    "by an unknown key": ("token-unknown", by_unknown_key),
    "by a stranger under our kid": ("token-unknown", by_stranger),
    "tampered": ("token-unknown", tampered),
    "alg none": ("token-unknown", unsigned),
    "HS256": ("token-unknown", by_shared_secret),
    "without expiry": ("token-unknown", lambda s, k: made(s, k, exp=None)),
    "without client": ("token-unknown", lambda s, k: made(s, k, client_id=None)),
    "without audience": ("token-unknown", lambda s, k: made(s, k, aud=None)),
    "without roles": ("token-unknown", lambda s, k: made(s, k, roles=None)),
    "of an unknown role": ("token-unknown", lambda s, k: made(s, k, roles=["emperor"])),
    "no JWT": ("token-unknown", lambda s, k: "abc"),
    "nested without end": (
        "token-unknown",
        lambda s, k: jwt.PyJWS().encode(b"[" * 20_000, ec.generate_private_key(ec.SECP256R1()), "ES256"),
    ),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_any_other_token_is_refused_with_its_reason(service: Service, signer: Signer, name: str) -> None:
    code, make = BAD_TOKENS[name]
    reply = knock(service, make(service, signer))
    assert turned_away(reply, code), reply.text


def test_bytes_that_are_no_text_are_refused(service: Service) -> None:
    reply = service.http.get(
        f"/exchange/v1/receipts/{uuid.uuid4()}", headers=[(b"Authorization", b"Bearer \xff\xfe.\x80.\xe8")]
    )
    assert turned_away(reply, "token-unknown")


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Bearer", "DPoP abc"])
def test_without_a_bearer_token_one_is_asked_for(service: Service, header: str) -> None:
    reply = service.http.get("/registry/v1/me/licences", headers={"Authorization": header} if header else {})
    assert turned_away(reply, "token-missing")


def test_a_role_is_needed_beside_the_token(service: Service, signer: Signer) -> None:
    reply = knock(service, made(service, signer, roles=["counter"]))
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:zhengtong:problem:role-missing")
    assert "department-system" in reply.json()["detail"]
    assert let_in(knock(service, made(service, signer, roles=["counter", "auditor"])))


def test_the_registry_does_not_take_the_exchange_s_tokens(service: Service, signer: Signer) -> None:
    headers = {"Authorization": f"Bearer {made(service, signer, roles=['counter'])}"}
    reply = service.http.post("/registry/v1/presentations/verify", headers=headers, json={})
    assert turned_away(reply, "token-wrong-audience")


class Held:
    """A verifier over a key store, told the time by the test."""

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys
        self.asked = 0
        self.verifier = TokenVerifier("https://here.example", EXCHANGE, self.published)

    def published(self) -> dict[str, jwt.PyJWK]:
        self.asked += 1
        return {key["kid"]: jwt.PyJWK(key) for key in self.keys.jwks()["keys"]}

    def token(self, *, seconds: int = 60) -> str:
        return issue_token(
            self.keys.signer(TOKEN_PURPOSE),
            "https://here.example",
            CLIENT,
            EXCHANGE,
            now=time.time(),
            seconds=seconds,
        ).access_token


@pytest.fixture
def held(tmp_path: Any) -> Held:
    keys = KeyStore(tmp_path / "keys", bytes(32))
    keys.create(TOKEN_PURPOSE, Algorithm.ES256, KeyState.ACTIVE, datetime.now(UTC))
    return Held(keys)


def test_the_caller_is_what_the_token_says(held: Held) -> None:
    assert held.verifier.verify(held.token()) == Principal("market-system", MARKET, CLIENT.roles, None)


def test_a_token_of_a_retired_key_holds_while_the_key_is_published(held: Held) -> None:
    old = held.token()
    for _rotation in range(2):
        held.keys.rotate(TOKEN_PURPOSE, datetime.now(UTC))
    new = held.token()
    kids = [jwt.get_unverified_header(token)["kid"] for token in (old, new)]
    states = {record.kid: record.state for record in held.keys.records(TOKEN_PURPOSE)}
    assert [states[kid] for kid in kids] == [KeyState.RETIRED, KeyState.ACTIVE]
    assert held.verifier.verify(old) == held.verifier.verify(new)


def test_a_key_taken_out_of_the_store_opens_nothing_any_more(held: Held) -> None:
    token = held.token()
    ((kid,),) = [[record.kid] for record in held.keys.records(TOKEN_PURPOSE)]
    (held.keys.directory / f"{kid}.key.json").unlink()
    assert held.keys.reload()
    with pytest.raises(TokenUnknown):
        held.verifier.verify(token)


def test_a_remembered_token_expires_all_the_same(held: Held) -> None:
    token = held.token(seconds=60)
    held.verifier.verify(token)
    held.verifier.verify(token)
    assert held.asked == 1, "the signature is checked once"
    end = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert held.verifier.verify(token, now=end - 0.01)
    with pytest.raises(TokenExpired):
        held.verifier.verify(token, now=end)


def test_the_memory_of_tokens_is_bounded(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.identity.tokens.CACHE_ENTRIES", 3)
    assert CACHE_ENTRIES == 10_000
    tokens = [held.token() for _ in range(5)]
    for token in tokens:
        held.verifier.verify(token)
    held.verifier.verify(tokens[-1])
    assert held.asked == 5
    held.verifier.verify(tokens[0])
    assert held.asked == 6, "the oldest went first"
