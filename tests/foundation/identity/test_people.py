"""People who come from a configured OpenID Connect issuer: a real one over HTTP, with keys of its own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from foundation.identifiers import CitizenId
from foundation.identity.errors import PeopleIssuerUnavailable, TokenUnknown
from foundation.identity.people import PeopleVerifier
from foundation.identity.principals import Principal, Role
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, serving

PERSON = CitizenId.compute("990104", date(1988, 8, 8), 801).reveal()
AUDIENCE = "zhengtong-here"
CLAIM = "id_number"
ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
PRIVATE: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
    "PS256": rsa.generate_private_key(65537, 2048),
}
CODECS: dict[str, Any] = {
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
    "RS256": jwt.algorithms.RSAAlgorithm,
    "PS256": jwt.algorithms.RSAPSSAlgorithm,
}


def public_jwk(algorithm: str, key: Any = None) -> dict[str, Any]:
    public = (key or PRIVATE[algorithm]).public_key()
    return {**CODECS[algorithm].to_jwk(public, as_dict=True), "kid": algorithm, "alg": algorithm}


@dataclass
class Issuer:
    """The issuer: what it publishes can be changed; it counts how often it is asked."""

    address: str
    keys: Any = field(default_factory=lambda: {"keys": [public_jwk(algorithm) for algorithm in ALGORITHMS]})
    changes: Any = field(default_factory=dict)
    asked: int = 0
    granted: tuple[int, Any] = (400, {"error": "invalid_grant"})
    posted: list[tuple[str | None, dict[str, str]]] = field(default_factory=list)

    def published(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            self.asked += 1
            if not isinstance(self.changes, dict):
                return self.changes
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys", **self.changes}
        return self.keys

    def token(self, algorithm: str = "ES256", key: Any = None, **changes: Any) -> str:
        now = int(time.time())
        good = {
            "iss": self.address,
            "sub": "subject-1",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 60,
            "nonce": "of the client that signed the person in",
            CLAIM: PERSON,
        }
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        headers = {"kid": algorithm}
        return jwt.encode(claims, key or PRIVATE[algorithm], algorithm=algorithm, headers=headers)


@contextmanager
def issuing() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(issuer.published(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            issuer.posted.append((self.headers["Authorization"], dict(parse_qsl(body))))
            status, granted = issuer.granted
            content = json.dumps(granted).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name it overrides
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return open_vault(Settings(home=tmp_path_factory.mktemp("vault")), datetime.now(UTC))


@pytest.fixture(scope="module")
def house(
    issuer: Issuer, server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A house that takes people from the issuer."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            people_issuer=issuer.address,
            people_audience=AUDIENCE,
            people_citizen_id_claim=CLAIM,
        )
        with serving(settings, address) as running:
            yield running


def knock(house: Service, token: str) -> httpx.Response:
    return house.http.get("/registry/v1/me/licences", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_id_token_lets_its_person_in(house: Service, issuer: Issuer, algorithm: str) -> None:
    reply = knock(house, issuer.token(algorithm))
    assert (reply.status_code, reply.json()) == (200, {"licences": []})


def test_the_keys_are_fetched_once(house: Service, issuer: Issuer) -> None:
    knock(house, issuer.token())
    before = issuer.asked
    for _again in range(3):
        knock(house, issuer.token())
        # Nor does a token that names an unknown key make us ask.
        unknown = jwt.encode({"iss": issuer.address}, PRIVATE["ES256"], "ES256", headers={"kid": "other"})
        assert knock(house, unknown).status_code == 401
    assert issuer.asked == before


def unsigned(issuer: Issuer) -> str:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, None, algorithm="none", headers={"kid": "ES256"})


def by_shared_secret(issuer: Issuer) -> str:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"kid": "ES256"})


BAD_TOKENS: dict[str, tuple[str, Any]] = {
    "expired": ("token-expired", lambda i: i.token(exp=int(time.time()) - 1)),
    "for another service": ("token-wrong-audience", lambda i: i.token(aud="another")),
    "for nobody": ("token-unknown", lambda i: i.token(aud=None)),
    "from another issuer": ("token-unknown", lambda i: i.token(iss="https://elsewhere.example")),
    "from nobody": ("token-unknown", lambda i: i.token(iss=None)),
    "without expiry": ("token-unknown", lambda i: i.token(exp=None)),
    "without subject": ("token-unknown", lambda i: i.token(sub=None)),
    "issued in the future": ("token-unknown", lambda i: i.token(iat=int(time.time()) + 600)),
    "by a stranger": ("token-unknown", lambda i: i.token(key=ec.generate_private_key(ec.SECP256R1()))),
    "by an RSA key in another scheme": (
        "token-unknown",
        lambda i: jwt.encode(
            jwt.decode(i.token(), options={"verify_signature": False}),
            PRIVATE["RS256"],
            "PS256",
            headers={"kid": "RS256"},
        ),
    ),
    "alg none": ("token-unknown", unsigned),
    "HS256": ("token-unknown", by_shared_secret),
    "without citizen ID": ("token-unknown", lambda i: i.token(**{CLAIM: None})),
    "with a false citizen ID": (
        "token-unknown",
        lambda i: i.token(**{CLAIM: PERSON[:17] + ("0" if PERSON[17] != "0" else "1")}),
    ),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_any_other_token_is_refused_with_its_reason(house: Service, issuer: Issuer, name: str) -> None:
    code, make = BAD_TOKENS[name]
    reply = knock(house, make(issuer))
    assert (reply.status_code, reply.json()["type"]) == (401, f"urn:zhengtong:problem:{code}")
    assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_person_is_no_system(house: Service, issuer: Issuer) -> None:
    token = issuer.token(roles=["operator", "auditor"], client_id="market-system", department="x")
    reply = house.http.get("/exchange/v1/audit/records", headers={"Authorization": f"Bearer {token}"})
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:zhengtong:problem:role-missing")


def ask(issuer: Issuer, vault: Vault, *tokens: str, address: str | None = None) -> list[Principal]:
    """Verify tokens one after the other, in one verifier that was never asked before."""

    async def work() -> list[Principal]:
        async with httpx.AsyncClient(timeout=5) as http:
            verifier = PeopleVerifier(address or issuer.address, AUDIENCE, CLAIM, vault, http)
            return [await verifier.verify(token) for token in tokens]

    return asyncio.run(work())


def test_the_person_is_known_by_a_blind_index_alone(issuer: Issuer, vault: Vault) -> None:
    (person,) = ask(issuer, vault, issuer.token())
    assert person == Principal(
        "subject-1", "", frozenset({Role.PERSON}), vault.blind_index("citizen-id", PERSON)
    )
    assert PERSON not in repr(person)


def test_a_small_x_is_the_same_person(issuer: Issuer, vault: Vault) -> None:
    ending = next(
        found
        for found in (CitizenId.compute("990104", date(1988, 8, 8), n).reveal() for n in range(100))
        if found.endswith("X")
    )
    tokens = [issuer.token(**{CLAIM: text}) for text in (ending, ending.lower())]
    capital, small = ask(issuer, vault, *tokens)
    assert capital == small


def test_an_issuer_that_names_people_by_their_id_leaves_none_in_the_principal(
    issuer: Issuer, vault: Vault
) -> None:
    first, second = ask(issuer, vault, issuer.token(sub=PERSON), issuer.token(sub=PERSON))
    assert first == second
    assert PERSON not in repr(first)
    assert PERSON not in first.id


def test_a_new_key_of_the_issuer_is_found_but_not_looked_for_at_every_token(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = ec.generate_private_key(ec.SECP256R1())

    async def work(issuer: Issuer) -> None:
        async with httpx.AsyncClient(timeout=5) as http:
            verifier = PeopleVerifier(issuer.address, AUDIENCE, CLAIM, vault, http)
            await verifier.verify(issuer.token("RS256"))
            issuer.keys = {"keys": [public_jwk("ES256", fresh)]}
            token = issuer.token(key=fresh)
            with pytest.raises(TokenUnknown):
                await verifier.verify(token)
            assert issuer.asked == 1
            monkeypatch.setattr("foundation.identity.people.REFRESH_SECONDS", 0)
            await verifier.verify(token)
            assert issuer.asked == 2
            with pytest.raises(TokenUnknown):
                await verifier.verify(issuer.token("RS256"))

    with issuing() as issuer:
        issuer.keys = {"keys": [public_jwk("RS256")]}
        asyncio.run(work(issuer))


NONSENSE: dict[str, tuple[Any, Any]] = {
    "other name": ({"issuer": "https://elsewhere.example"}, None),
    "no name": ({"issuer": None}, None),
    "no document": ([], None),
    "no place of keys": ({"jwks_uri": None}, None),
    "odd place of keys": ({"jwks_uri": "http://[::1"}, None),
    "no key set": ({}, []),
    "keys of no form": ({}, {"keys": 7}),
    "a key of no form": ({}, {"keys": [7]}),
    "no keys": ({}, {"keys": []}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_an_issuer_that_answers_nonsense_is_not_there(vault: Vault, name: str) -> None:
    with issuing() as issuer:
        issuer.changes, keys = NONSENSE[name]
        issuer.keys = issuer.keys if keys is None else keys
        with pytest.raises(PeopleIssuerUnavailable):
            ask(issuer, vault, issuer.token())


def test_while_the_issuer_is_down_people_are_asked_to_come_again(tmp_path: Path, database_url: str) -> None:
    down = Issuer(f"http://127.0.0.1:{free_port()}")
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        listen_port=free_port(),
        people_issuer=down.address,
        people_audience=AUDIENCE,
        people_citizen_id_claim=CLAIM,
    )
    with serving(settings, database_url) as house:
        reply = knock(house, down.token())
        assert (reply.status_code, reply.json()["type"]) == (
            503,
            "urn:zhengtong:problem:people-issuer-unavailable",
        )
        assert reply.headers["retry-after"] == "5"
        assert "无法" in reply.json()["title"]
        # Systems do not need it.
        system = house.system("market-system", Role.AUDITOR)
        assert system.call(house.http, "GET", "/exchange/v1/audit/records").status_code == 200
