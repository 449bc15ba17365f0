"""The development issuer: anybody may be anybody, on loopback only; otherwise it is a proper issuer with PKCE."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import secrets
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from foundation.identifiers import CitizenId
from foundation.identity import development_issuer
from foundation.identity.errors import IDENTITY_PROBLEMS
from foundation.problems import install
from foundation.settings import Settings, SettingsError
from foundation.signing import Algorithm, KeyStore
from tests.conftest import Service, serving

PERSON = CitizenId.compute("990103", date(1975, 5, 5), 42).reveal()
BACK = "http://127.0.0.1:9/signed-in"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SIGN_IN = {
    "client_id": "zhengtong",
    "redirect_uri": BACK,
    "code_challenge": CHALLENGE,
    "citizen_id": PERSON,
    "name": "王小明",
}


def authorise(service: Service, **changes: str) -> httpx.Response:
    return service.http.post("/development-issuer/authorize", data=SIGN_IN | changes)


def code_of(reply: httpx.Response) -> str:
    assert reply.status_code == 303, reply.text
    return parse_qs(urlsplit(reply.headers["location"]).query)["code"][0]


def redemption(code: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "client_id": "zhengtong",
        "redirect_uri": BACK,
    }


def redeem(service: Service, code: str, changes: dict[str, str] | None = None) -> httpx.Response:
    return service.http.post("/development-issuer/token", data=redemption(code) | (changes or {}))


def refused(reply: httpx.Response) -> bool:
    body = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert PERSON not in reply.text
    return (reply.status_code, body["type"], body["error"]) == (
        400,
        "urn:zhengtong:problem:token-request-malformed",
        "invalid_request",
    )


def test_a_code_becomes_an_id_token_that_discovery_explains(service: Service) -> None:
    code = code_of(authorise(service, nonce="n-1", state="s-1"))
    reply = redeem(service, code)
    assert reply.headers["cache-control"] == "no-store"
    found = service.http.get("/development-issuer/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{service.settings.base_url}/development-issuer"
    (key,) = jwt.PyJWKSet.from_dict(service.http.get(found["jwks_uri"]).json()).keys
    claims = jwt.decode(
        reply.json()["id_token"], key, algorithms=["ES256"], audience="zhengtong", issuer=found["issuer"]
    )
    assert (claims["name"], claims["citizen_id"], claims["nonce"]) == ("王小明", PERSON, "n-1")
    assert PERSON not in claims["sub"]
    again = jwt.decode(
        redeem(service, code_of(authorise(service))).json()["id_token"], options={"verify_signature": False}
    )
    assert again["sub"] == claims["sub"], "the same person is the same subject"
    assert "nonce" not in again


def test_whoever_signed_in_is_a_person_to_the_services(service: Service) -> None:
    headers = service.person(PERSON)
    assert service.http.get("/registry/v1/me/licences", headers=headers).json() == {"licences": []}
    reply = service.http.get("/exchange/v1/audit/records", headers=headers)
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:zhengtong:problem:role-missing")


@pytest.mark.parametrize(
    ("address", "query"),
    [(BACK, "state=s%261&code="), (f"{BACK}?page=1", "page=1&state=s%261&code=")],
    ids=["plain", "with a query of its own"],
)
def test_the_person_comes_back_with_code_and_state(service: Service, address: str, query: str) -> None:
    location = authorise(service, redirect_uri=address, state="s&1").headers["location"]
    given = parse_qs(urlsplit(location).query)
    wanted = parse_qs(query + given["code"][0])
    assert (location.partition("?")[0], given) == (BACK, wanted)


def test_a_code_holds_once(service: Service) -> None:
    code = code_of(authorise(service))
    assert redeem(service, code).status_code == 200
    assert refused(redeem(service, code))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "another"},
        {"client_id": "another"},
        {"redirect_uri": "http://127.0.0.1/other"},
        {"grant_type": "refresh_token"},
        {"code": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_code_is_bound_to_its_request(service: Service, changes: dict[str, str]) -> None:
    code = code_of(authorise(service))
    assert refused(redeem(service, code, changes))
    # A wrong attempt uses the code up, so that nobody may try verifiers.
    assert redeem(service, code).status_code == (200 if "code" in changes else 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"citizen_id": PERSON[:17] + ("0" if PERSON[17] != "0" else "1")},
        {"citizen_id": "nobody"},
        {"redirect_uri": "http://attacker.example/"},
        {"redirect_uri": "http://127.0.0.1.attacker.example/"},
        {"redirect_uri": "http://[attacker"},
        {"redirect_uri": "javascript://127.0.0.1/%0aalert(1)"},
        {"redirect_uri": "/"},
    ],
    ids=lambda changes: "-".join(next(iter(changes.items()))),
)
def test_a_request_that_must_not_be_followed_is_not(service: Service, changes: dict[str, str]) -> None:
    assert refused(authorise(service, **changes))


def test_a_challenge_that_is_no_text_of_base64url_fits_no_verifier(service: Service) -> None:
    assert refused(redeem(service, code_of(authorise(service, code_challenge="é"))))


def test_the_page_shows_what_it_is_given_as_text(service: Service) -> None:
    attack = '"><script>alert(1)</script>'
    query = {"client_id": attack, "redirect_uri": BACK, "code_challenge": CHALLENGE, "state": attack}
    page = service.http.get("/development-issuer/authorize", params=query)
    assert page.status_code == 200
    assert "开发" in page.text
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    for bad in ({"response_type": "token"}, {"code_challenge_method": "plain"}):
        assert refused(service.http.get("/development-issuer/authorize", params={**query, **bad}))


def test_a_code_expires(tmp_path: Path) -> None:
    app = FastAPI()
    install(app, IDENTITY_PROBLEMS)
    settings = Settings(home=tmp_path, development_issuer=True)
    development_issuer.mount(app, settings, KeyStore(tmp_path / "keys", bytes(32)))
    codes = app.state.development_issuer.codes

    async def post(path: str, form: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.base_url) as http:
            return await http.post(f"/development-issuer/{path}", data=form)

    asyncio.run(post("authorize", SIGN_IN))
    ((code, entry),) = codes.items()
    assert 0 < entry.expires - time.time() <= development_issuer.CODE_SECONDS
    codes[code] = dataclasses.replace(entry, expires=time.time() - 0.001)
    assert refused(asyncio.run(post("token", redemption(code))))
    # What nobody fetched is forgotten when the next one signs in.
    codes["old"] = dataclasses.replace(entry, expires=0.0)
    asyncio.run(post("authorize", SIGN_IN))
    assert "old" not in codes
    assert len(codes) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "city.example", ""])
def test_it_refuses_to_run_beyond_loopback(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="development_issuer"):
        Settings(home=tmp_path, development_issuer=True, listen_host=host)
    with pytest.raises(ValidationError, match="public_url"):
        Settings(home=tmp_path, development_issuer=True, public_url=f"https://{host or 'city.example'}")
    # Nor by the back door, were the settings made some other way.
    made = Settings.model_construct(home=tmp_path, listen_host=host, development_issuer=True)
    with pytest.raises(SettingsError, match="loopback"):
        development_issuer.mount(FastAPI(), made, KeyStore(tmp_path / "keys", bytes(32)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_runs_on_loopback(host: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, development_issuer=True, listen_host=host)
    app = FastAPI()
    keys = KeyStore(tmp_path / "keys", bytes(32))
    keys.ensure_active(development_issuer.PURPOSE, Algorithm.ES256, datetime.now(UTC))
    development_issuer.mount(app, settings, keys)
    assert urlsplit(app.state.development_issuer.issuer).hostname == host


def test_serving_it_beyond_loopback_ends_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zhengtong", "--home", str(tmp_path), "serve", "--host", "0.0.0.0"],
        env={"PATH": "/usr/bin:/bin", "ZHENGTONG_DEVELOPMENT_ISSUER": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "development_issuer" in line
    assert "'0.0.0.0'" in line
    assert list(tmp_path.iterdir()) == [], "nothing was started before"


def test_without_the_setting_it_is_not_there(settings: Settings, database_url: str) -> None:
    assert settings.development_issuer is False
    with serving(settings, database_url) as running:
        for path in ("authorize", "jwks.json", ".well-known/openid-configuration"):
            assert running.http.get(f"/development-issuer/{path}").status_code == 404
        # Nor is anybody's token taken then that says it came from there.
        claims = {"iss": f"{settings.base_url}/development-issuer", "citizen_id": PERSON}
        token = jwt.encode(claims, "s" * 32, algorithm="HS256")
        reply = running.http.get("/registry/v1/me/licences", headers={"Authorization": f"Bearer {token}"})
        assert (reply.status_code, reply.json()["type"]) == (401, "urn:zhengtong:problem:token-unknown")
