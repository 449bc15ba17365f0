"""Errors over HTTP: each is an RFC 9457 problem with a stable type, in Chinese and English, and documented."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identifiers import CitizenId
from foundation.identity.errors import IDENTITY_PROBLEMS, AssertionReplayed
from foundation.identity.principals import Role
from foundation.language import both
from foundation.problems import GENERAL_PROBLEMS, TYPE_PREFIX, ProblemKind, documented, install
from license_registry.problems import REGISTRY_PROBLEMS
from tests.conftest import Service
from zhengtong.ingest.problems import INGEST_PROBLEMS

PERSON = CitizenId.compute("990111", date(1966, 6, 6), 66).reveal()
ALL_PROBLEMS = {
    **GENERAL_PROBLEMS,
    **IDENTITY_PROBLEMS,
    **EXCHANGE_PROBLEMS,
    **REGISTRY_PROBLEMS,
    **INGEST_PROBLEMS,
}
ROOMS = ("", "/exchange", "/registry")
# Not documented at any one route: what may be met anywhere, or nowhere that is described.
ANYWHERE = {"method-not-allowed", "http-error"}


def problem(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that a reply is this problem; return its members."""
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json"), (
        reply.text
    )
    body: dict[str, Any] = reply.json()
    assert (body["type"], body["status"]) == (TYPE_PREFIX + code, status)
    assert body["title"] == both(ALL_PROBLEMS[code].title)
    for text in [body["title"], *([body["detail"]] if "detail" in body else [])]:
        # Chinese comes first, English beside it.
        assert re.match(r"[^·]*[\u4e00-\u9fff][^·]* · [ -~]+", text), text
    assert body["instance"] == f"urn:zhengtong:request:{reply.headers['x-request-id']}"
    return body


@pytest.mark.parametrize("room", [*ROOMS, "/ledger", "/development-issuer"])
@pytest.mark.parametrize(
    "path", ["/nothing", "/", "/%00", "/%ff", "/..%2f..%2fsecrets", "/a%0d%0ab", "/v1", "/" + "x" * 3000]
)
def test_nothing_is_at_an_unknown_path(service: Service, room: str, path: str) -> None:
    problem(service.http.get(room + path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/healthz", "GET"),
        ("GET", "/oauth2/token", "POST"),
        ("PATCH", "/exchange/v1/verifications", "POST"),
        ("PUT", "/registry/v1/presentations", "POST"),
        ("PUT", "/development-issuer/token", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(service: Service, method: str, path: str, allowed: str) -> None:
    reply = service.http.request(method, path)
    problem(reply, 405, "method-not-allowed")
    assert reply.headers["allow"] == allowed


BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "nothing": (b"", "application/json", 422, "invalid-request"),
    "broken JSON": (b"{", "application/json", 400, "malformed-body"),
    "invalid UTF-8": (b'{"code": "\xff"}', "application/json", 400, "malformed-body"),
    "nested without end": (b"[" * 100_000, "application/json", 400, "malformed-body"),
    "a number without end": (b'{"code": ' + b"9" * 10_000 + b"}", "application/json", 400, "malformed-body"),
    "a list": (b"[]", "application/json", 422, "invalid-request"),
    "NUL in text": (
        orjson.dumps({"code": "A\0B", "case": "1\0"}),
        "application/json",
        422,
        "invalid-request",
    ),
    "another media type": (b"code=1", "application/x-www-form-urlencoded", 422, "invalid-request"),
    "text": (b'{"code": "ABCDEFGH", "case": "1"}', "text/plain", 422, "invalid-request"),
    "ten megabytes": (b" " * 10_000_000, "application/json", 413, "body-too-large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_a_clear_problem(service: Service, name: str) -> None:
    counter = service.system("counter", Role.COUNTER)
    content, media_type, status, code = BODIES[name]
    headers = {
        "Authorization": f"Bearer {counter.token(service.http, 'urn:zhengtong:license-registry')}",
        "Content-Type": media_type,
    }
    reply = service.http.post("/registry/v1/presentations/verify", content=content, headers=headers)
    problem(reply, status, code)


@pytest.mark.parametrize("path", ["/oauth2/token", "/nothing", "/healthz", "/ledger/checkpoint"])
def test_a_body_that_is_too_large_is_refused_wherever_it_goes(service: Service, path: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    problem(service.http.post(path, content=b"x" * 10_000_000), 413, "body-too-large")
    if path == "/oauth2/token":  # the one that reads its body
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        problem(service.http.post(path, content=endless(), headers=headers), 413, "body-too-large")
    assert service.http.get("/healthz").status_code == 200


def test_the_limit_is_the_one_that_is_set(service: Service) -> None:
    limit = service.settings.maximum_body_bytes
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    form = b"grant_type=" + b"x" * (limit - len(b"grant_type="))
    reply = service.http.post("/oauth2/token", content=form, headers=headers)
    problem(reply, 400, "grant-type-unsupported")
    problem(service.http.post("/oauth2/token", content=form + b"x", headers=headers), 413, "body-too-large")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", "application/x-www-form-urlencoded", 400, "grant-type-unsupported"),
        (b'{"grant_type": "client_credentials"}', "application/json", 400, "grant-type-unsupported"),
        (
            b"grant_type=%ff%00&resource=%00",
            "application/x-www-form-urlencoded",
            400,
            "grant-type-unsupported",
        ),
        (
            b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
            "malformed-body",
        ),
        (b"", "multipart/form-data", 400, "malformed-body"),
    ],
    ids=["nothing", "JSON", "no text", "broken parts", "no boundary"],
)
def test_a_bad_form_is_a_clear_problem(
    service: Service, content: bytes, media_type: str, status: int, code: str
) -> None:
    reply = service.http.post("/oauth2/token", content=content, headers={"Content-Type": media_type})
    problem(reply, status, code)


def test_members_at_fault_are_named_by_json_pointer_without_their_values(service: Service) -> None:
    system = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
    body = {
        "resource": "a b",
        "claims": {},
        "matter": "m",
        "case": PERSON,
        "a/b~c": 1,
        PERSON: 1,
    }
    reply = system.call(service.http, "POST", "/exchange/v1/verifications", body)
    found = problem(reply, 422, "invalid-request")
    pointers = {error["pointer"] for error in found["errors"]}
    assert pointers >= {"/resource", "/subject", "/claims", "/case", "/a~1b~0c"}
    assert PERSON not in reply.text


def documents(service: Service) -> dict[str, Any]:
    return {room: service.http.get(f"{room}/openapi.json").json() for room in ROOMS}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def types(operation: dict[str, Any]) -> set[str]:
    """Return the codes of the problems that an operation is documented to answer with."""
    found = set()
    for status, response in operation["responses"].items():
        for example in (
            response.get("content", {}).get("application/problem+json", {}).get("examples", {}).values()
        ):
            assert example["value"]["status"] == int(status)
            found.add(example["value"]["type"].removeprefix(TYPE_PREFIX))
    return found


def test_the_documents_name_every_problem_by_its_type(service: Service) -> None:
    named = {
        code
        for d in documents(service).values()
        for _, operation in operations(d)
        for code in types(operation)
    }
    assert named - set(ALL_PROBLEMS) == set()
    ours = {**GENERAL_PROBLEMS, **IDENTITY_PROBLEMS, **EXCHANGE_PROBLEMS, **INGEST_PROBLEMS}
    assert set(ours) - named == ANYWHERE


@pytest.mark.parametrize("room", ROOMS)
def test_what_needs_a_token_documents_all_that_can_be_wrong_with_it(service: Service, room: str) -> None:
    for name, operation in operations(documents(service)[room]):
        codes = types(operation)
        if "token-missing" in codes:
            assert codes >= {
                "token-unknown",
                "token-expired",
                "token-wrong-audience",
                "people-issuer-unavailable",
                "database-unavailable",
                "internal-error",
            }, name
        elif operation["responses"].keys() & {"401", "403"}:
            # Tokens of their own: of a client that is no caller yet, and of a wallet.
            assert name in {"post /oauth2/token", "post /v1/wallets/credential"}


@pytest.mark.parametrize("room", ROOMS)
def test_no_document_promises_another_form_of_error(service: Service, room: str) -> None:
    for name, operation in operations(documents(service)[room]):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}, (name, status)


@pytest.mark.parametrize(
    "path",
    [
        "/registry/v1/me/licences/%00/credential",
        "/registry/v1/me/licences/%ff%0a/credential",
        "/exchange/v1/me/accesses?before=%00&limit=%00",
    ],
)
def test_no_text_in_the_address_is_not_a_failure_inside(service: Service, path: str) -> None:
    reply = service.http.get(path, headers=service.person(PERSON))
    assert reply.status_code in {200, 404, 422}, reply.text


def test_what_is_in_no_table_discloses_nothing() -> None:
    app = FastAPI()
    install(app, {}, (ConnectionError,))

    @app.get("/{kind}")
    async def fail(kind: str) -> None:
        raise {
            "no row": AssertionReplayed("the client assertion lacks {claim}", claim=PERSON),
            "defect": KeyError(PERSON),
            "away": ConnectionRefusedError(PERSON),
        }[kind]

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            return await http.get(path)

    for path, status, code in (
        ("/no%20row", 500, "internal-error"),
        ("/defect", 500, "internal-error"),
        ("/away", 503, "database-unavailable"),
    ):
        reply = asyncio.run(ask(path))
        assert reply.json() == {
            "type": TYPE_PREFIX + code,
            "title": both(GENERAL_PROBLEMS[code].title),
            "status": status,
        }
        assert reply.headers.get("retry-after") == ("5" if status == 503 else None)


def test_a_refusal_tells_pointer_headers_and_further_members() -> None:
    app = FastAPI()
    install(app, {"assertion-replayed": ProblemKind(429, "Not granted", {"Retry-After": "7"})})

    @app.get("/")
    async def fail() -> None:
        raise AssertionReplayed("the client assertion lacks {claim}", claim="jti", pointer="/jti")

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            return await http.get("/")

    reply = asyncio.run(ask())
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert reply.json() == {
        "type": "urn:zhengtong:problem:assertion-replayed",
        "title": "未获授权 · Not granted",
        "status": 429,
        "detail": "断言缺少 jti · the client assertion lacks jti",
        "pointer": "/jti",
        "error": "invalid_client",
        "error_description": "the client assertion lacks jti",
    }


def test_documenting_an_unknown_code_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        documented({}, ["never-heard-of"])
