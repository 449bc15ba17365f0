"""The token endpoint: who gets a token by private_key_jwt (RFC 7523), and how everybody else is turned away."""

from __future__ import annotations

import base64
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.identity.assertions import (
    ASSERTION_TYPE,
    CLOCK_SKEW_SECONDS,
    LONGEST_LIFE_SECONDS,
    make_assertion,
)
from foundation.identity.clients import Client
from foundation.identity.principals import Role
from tests.conftest import MARKET, Service, put

EXCHANGE = "urn:zhengtong:exchange"
REGISTRY = "urn:zhengtong:license-registry"
CLIENT = "market-system"
KEYS: dict[str, Any] = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = {"p256": "ES256", "ed25519": "EdDSA"}
STRANGER_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.ECAlgorithm if hasattr(key, "curve") else jwt.algorithms.OKPAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@pytest.fixture(scope="module", autouse=True)
def registered(service: Service) -> None:
    jwks = {"keys": [public_jwk(key, kid) for kid, key in KEYS.items()]}
    roles = frozenset({Role.DEPARTMENT_SYSTEM, Role.COUNTER})
    put(service.address, Client(CLIENT, "市场监管系统", MARKET, roles, jwks))
    other = {"keys": [public_jwk(STRANGER_KEY, "p256")]}
    put(service.address, Client("tax-system", "税务系统", MARKET, frozenset({Role.COUNTER}), other))
    put(service.address, Client("closed", "已停用", MARKET, roles, jwks))
    service.sql("UPDATE identity.client SET disabled_at = now() WHERE client_id = 'closed'")


def claims(service: Service, **changes: Any) -> dict[str, Any]:
    """Return good claims with some of them changed; None takes one out."""
    now = int(time.time())
    good = {
        "iss": CLIENT,
        "sub": CLIENT,
        "aud": service.settings.base_url,
        "iat": now,
        "exp": now + 60,
        "jti": uuid.uuid4().hex,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(content: dict[str, Any], key: Any = None, *, alg: str = "ES256", **header: Any) -> str:
    return jwt.encode(
        content, KEYS["p256"] if key is None else key, algorithm=alg, headers={"kid": "p256", **header}
    )


def request(service: Service, assertion: str, **changes: Any) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **changes,
    }
    return service.http.post("/oauth2/token", data={k: v for k, v in form.items() if v is not None})


def refused(reply: httpx.Response, status: int, code: str, error: str) -> str:
    """Check a refusal by RFC 6749 §5.2 and RFC 9457; return what it says."""
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    body = reply.json()
    assert (body["type"], body["status"]) == (f"urn:zhengtong:problem:{code}", status)
    assert body["error"] == error
    assert body["error_description"].isascii()
    assert body["detail"].endswith(f" · {body['error_description']}")
    return str(body["error_description"])


@pytest.mark.parametrize("kid", KEYS)
def test_either_algorithm_gets_a_token_that_the_service_takes(service: Service, kid: str) -> None:
    reply = request(service, make_assertion(CLIENT, KEYS[kid], kid, service.settings.base_url))
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", service.settings.access_token_seconds)
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert service.http.get(f"/exchange/v1/receipts/{uuid.uuid4()}", headers=headers).status_code == 404


def test_the_token_is_of_rfc_9068(service: Service) -> None:
    reply = request(service, signed(claims(service)), resource=REGISTRY)
    token = reply.json()["access_token"]
    published = {
        key.key_id: key for key in jwt.PyJWKSet.from_dict(service.http.get("/jwks.json").json()).keys
    }
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    found = jwt.decode(
        token,
        published[header["kid"]],
        algorithms=["ES256"],
        audience=REGISTRY,
        issuer=service.settings.base_url,
        options={"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
    )
    assert (found["sub"], found["client_id"], found["department"]) == (CLIENT, CLIENT, MARKET)
    assert found["roles"] == ["counter", "department-system"]
    assert found["exp"] - found["iat"] == service.settings.access_token_seconds
    again = request(service, signed(claims(service))).json()["access_token"]
    assert jwt.decode(again, options={"verify_signature": False})["jti"] != found["jti"]


def test_the_endpoint_s_own_address_is_an_audience_too(service: Service) -> None:
    for audience in (f"{service.settings.base_url}/oauth2/token", ["elsewhere", service.settings.base_url]):
        assert request(service, signed(claims(service, aud=audience))).status_code == 200


@pytest.mark.parametrize("resource", [None, EXCHANGE, REGISTRY])
def test_the_audience_is_the_one_asked_for(service: Service, resource: str | None) -> None:
    token = request(service, signed(claims(service)), resource=resource).json()["access_token"]
    audience = jwt.decode(token, options={"verify_signature": False})["aud"]
    assert audience == (resource or EXCHANGE)


# Changed claims, and what the refusal must speak of.
BAD_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": int(time.time()) - CLOCK_SKEW_SECONDS - 5}, "expired"),
    "not yet valid": ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
    "issued in the future": ({"iat": int(time.time()) + 86_400}, "not valid yet"),
    "too long-lived": (
        {"exp": int(time.time()) + 86_400},
        f"longer than {LONGEST_LIFE_SECONDS}",
    ),
    "endless": ({"exp": 10**300}, f"longer than {LONGEST_LIFE_SECONDS}"),
    "infinite": ({"exp": float("inf")}, "cannot be used"),
    "no number": ({"exp": "soon"}, "cannot be used"),
    "wrong audience": ({"aud": EXCHANGE}, "audience"),
    "no audience": ({"aud": None}, "aud"),
    "no expiry": ({"exp": None}, "exp"),
    "no jti": ({"jti": None}, "jti"),
    "jti of another kind": ({"jti": 7}, "cannot be used"),
    "jti that is no text": ({"jti": "\ud800"}, "cannot be used"),
    "iss without sub": ({"sub": None}, "iss and sub"),
    "sub of another": ({"sub": "tax-system"}, "iss and sub"),
    "iss of another": ({"iss": "tax-system"}, "iss and sub"),
    "no text as client": ({"iss": "\ud800", "sub": "\ud800"}, "iss and sub"),
    "NUL in client": ({"iss": "a\0b", "sub": "a\0b"}, "iss and sub"),
    "unknown client": ({"iss": "nobody", "sub": "nobody"}, "not registered"),
    "disabled client": ({"iss": "closed", "sub": "closed"}, "not registered"),
    "key of another client": ({"iss": "tax-system", "sub": "tax-system"}, "signature"),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_an_assertion_that_claims_wrongly_is_refused(service: Service, name: str) -> None:
    changes, told = BAD_CLAIMS[name]
    if "iss" in changes or "sub" in changes or "jti" in changes:
        text = json.dumps(claims(service, **changes)).encode()
        assertion = jwt.PyJWS().encode(text, KEYS["p256"], algorithm="ES256", headers={"kid": "p256"})
    else:
        assertion = signed(claims(service, **changes))
    assert told in refused(request(service, assertion), 401, "assertion-refused", "invalid_client")


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def hmac_by_public_key(service: Service) -> str:
    # PyJWT itself refuses to make this; so by hand, as an attacker would.
    import hashlib
    import hmac

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'kid': 'p256', 'typ': 'JWT'})}.{part(claims(service))}"
    mac = hmac.new(public_pem(KEYS["p256"]), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def tampered(service: Service) -> str:
    header, _claims, signature = signed(claims(service)).split(".")
    other = signed(claims(service, jti="other")).split(".")[1]
    return f"{header}.{other}.{signature}"


BAD_ASSERTIONS: dict[str, Any] = {
    "unknown kid": lambda s: signed(claims(s), kid="unknown"),
    "no kid where several keys are": lambda s: jwt.encode(claims(s), KEYS["p256"], algorithm="ES256"),
    "kid of another key": lambda s: signed(claims(s), kid="ed25519"),
    "own key brought along": lambda s: signed(claims(s), STRANGER_KEY, jwk=public_jwk(STRANGER_KEY, "p256")),
    "key of a stranger": lambda s: signed(claims(s), STRANGER_KEY),
    "alg none": lambda s: jwt.encode(claims(s), None, algorithm="none", headers={"kid": "p256"}),
    "public key as HMAC secret": hmac_by_public_key,
    "tampered": tampered,
    "signature cut off": lambda s: signed(claims(s)).rpartition(".")[0] + ".",
    "no JWT": lambda s: "a.b.c",
    "not ASCII": lambda s: "证.通.库",
    "claims are a list": lambda s: jwt.PyJWS().encode(b"[]", KEYS["p256"], algorithm="ES256"),
    "claims nested without end": lambda s: jwt.PyJWS().encode(
        b"[" * 200_000, KEYS["p256"], algorithm="ES256"
    ),
}


@pytest.mark.parametrize("name", BAD_ASSERTIONS)
def test_an_assertion_that_is_not_the_client_s_is_refused(service: Service, name: str) -> None:
    before = service.sql("SELECT count(*) FROM identity.used_assertion")
    reply = request(service, BAD_ASSERTIONS[name](service))
    refused(reply, 401, "assertion-refused", "invalid_client")
    assert service.sql("SELECT count(*) FROM identity.used_assertion") == before


BAD_REQUESTS: dict[str, tuple[dict[str, str | None], int, str, str]] = {
    "password grant": ({"grant_type": "password"}, 400, "grant-type-unsupported", "unsupported_grant_type"),
    "no grant type": ({"grant_type": None}, 400, "grant-type-unsupported", "unsupported_grant_type"),
    "unknown service": ({"resource": "urn:elsewhere"}, 400, "target-unknown", "invalid_target"),
    "no assertion type": (
        {"client_assertion_type": None},
        400,
        "token-request-malformed",
        "invalid_request",
    ),
    "another way to authenticate": (
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        400,
        "token-request-malformed",
        "invalid_request",
    ),
    "empty assertion": ({"client_assertion": ""}, 400, "token-request-malformed", "invalid_request"),
    "another client id beside": ({"client_id": "tax-system"}, 401, "assertion-refused", "invalid_client"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_says_so_and_does_not_use_up_the_assertion(service: Service, name: str) -> None:
    changes, status, code, error = BAD_REQUESTS[name]
    assertion = signed(claims(service))
    refused(request(service, assertion, **changes), status, code, error)
    assert request(service, assertion, client_id=CLIENT).status_code == 200


def test_an_assertion_holds_once(service: Service) -> None:
    assertion = signed(claims(service))
    assert request(service, assertion).status_code == 200
    refused(request(service, assertion), 401, "assertion-replayed", "invalid_client")
    # The same jti in another assertion is a replay just as well; the jti of another client is not.
    jti = jwt.decode(assertion, options={"verify_signature": False})["jti"]
    refused(
        request(service, signed(claims(service, jti=jti, iat=None))),
        401,
        "assertion-replayed",
        "invalid_client",
    )
    other = claims(service, jti=jti, iss="tax-system", sub="tax-system")
    assert request(service, signed(other, STRANGER_KEY)).status_code == 200


def test_of_requests_that_race_with_one_assertion_one_wins(service: Service) -> None:
    assertion = signed(claims(service))
    together = Barrier(6)

    def ask(_number: int) -> int:
        with httpx.Client(base_url=service.settings.base_url) as http:
            http.get("/healthz")  # opens the connection, so that the race is one of the requests
            together.wait(10)
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }
            return http.post("/oauth2/token", data=form).status_code

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(ask, range(6))) == [200, *[401] * 5]


def test_a_used_assertion_is_remembered_for_as_long_as_it_could_hold(service: Service) -> None:
    expiry = int(time.time()) + 100
    service.sql("DELETE FROM identity.used_assertion")
    assert request(service, signed(claims(service, exp=expiry))).status_code == 200
    ((kept,),) = service.sql("SELECT extract(epoch FROM expires_at) FROM identity.used_assertion")
    assert kept >= expiry + CLOCK_SKEW_SECONDS


def test_expired_marks_are_forgotten_and_others_kept(service: Service) -> None:
    import asyncio

    from foundation import database
    from foundation.identity.tables import forget_expired_assertions

    service.sql("DELETE FROM identity.used_assertion")
    service.sql(
        "INSERT INTO identity.used_assertion VALUES ('a', now() - interval '1 s'), ('b', now() + interval '9 min')"
    )

    async def work() -> int:
        engine = database.engine(service.address)
        done = await forget_expired_assertions(engine)
        await engine.dispose()
        return done

    assert asyncio.run(work()) == 1
    assert service.sql("SELECT digest FROM identity.used_assertion") == [(b"b",)]


def test_a_client_may_rotate_its_keys(service: Service) -> None:
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    for key, kid in ((first, "1"), (second, "2")):
        put(
            service.address,
            Client("rotating", "轮换", MARKET, frozenset({Role.COUNTER}), {"keys": [public_jwk(key, kid)]}),
        )
        assert request(service, make_assertion("rotating", key, kid, service.settings.base_url)).is_success
    old = make_assertion("rotating", first, "1", service.settings.base_url)
    assert "no registered key" in refused(request(service, old), 401, "assertion-refused", "invalid_client")


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "SM2", "x": "AAAA", "y": "AAAA"},
        {"kty": "oct", "k": "AAAA"},
    ],
    ids=["no point of the curve", "curve without a JWS algorithm here", "shared secret"],
)
def test_a_registered_key_that_cannot_be_used_is_named_so(service: Service, key: dict[str, str]) -> None:
    put(
        service.address,
        Client("odd-key", "怪", MARKET, frozenset({Role.COUNTER}), {"keys": [{**key, "kid": "1"}]}),
    )
    assertion = make_assertion("odd-key", KEYS["p256"], "1", service.settings.base_url)
    refused(request(service, assertion), 401, "assertion-refused", "invalid_client")
