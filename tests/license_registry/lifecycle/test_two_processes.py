"""Two processes on one database: what one of them changes, verifiers at the other see within two seconds."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import orjson
import pytest

from demonstration.parties import System, sign_in
from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.credentials.status_list import Status, read_status
from tests.conftest import MARKET, Service, free_port, put
from tests.license_registry.conftest import PERSON, issued, operate, published_keys

WITHIN_SECONDS = 2.0


@contextmanager
def process(settings: Settings, port: int) -> Iterator[httpx.Client]:
    """`zhengtong serve` in a process of its own."""
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "ZHENGTONG_HOME": str(settings.home),
        "ZHENGTONG_DATABASE_URL": settings.database_url.get_secret_value(),
        "ZHENGTONG_DEVELOPMENT_ISSUER": "true",
        "ZHENGTONG_PUBLIC_URL": settings.base_url,
        "ZHENGTONG_HOLDER_REGISTER": "if-known",
    }
    command = [sys.executable, "-m", "zhengtong", "serve", "--port", str(port)]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            deadline = time.monotonic() + 60
            while True:
                try:
                    http.get("/jwks.json").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert running.poll() is None, "the service did not start"
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield http
    finally:
        running.terminate()
        running.wait(30)


def seconds_until(seen: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < 10, "never seen"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.thorough
def test_a_change_in_one_process_is_seen_in_the_other(settings: Settings, database_url: str) -> None:
    first_port, second_port = settings.listen_port, free_port()
    authority = System("market-regulator", "market", MARKET, frozenset({Role.ISSUING_AUTHORITY}))
    counter = System("counter", "counter", MARKET, frozenset({Role.COUNTER}))
    for system in (authority, counter):
        put(database_url, system.registration())
    with ExitStack() as stack:
        here = stack.enter_context(process(settings, first_port))
        there = stack.enter_context(process(settings, second_port))
        one, other = (Service(settings, database_url, http) for http in (here, there))
        # Tokens name the one address that both are reached by.
        for system in (authority, counter):
            system.token(here, "urn:zhengtong:license-registry")
        headers = {"Authorization": f"Bearer {sign_in(here, PERSON, '测试人')}"}
        identifier = issued(one, authority)["identifier"]
        credential = here.get(f"/registry/v1/me/licences/{identifier}/credential", headers=headers).text
        payload = credential.split("~")[0].split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
        reference = claims["status"]["status_list"]
        path = reference["uri"].removeprefix(settings.base_url)

        def by_code() -> str:
            wanted = {"identifier": identifier, "purpose": "核验", "matter": "check"}
            code = there.post("/registry/v1/presentations", json=wanted, headers=headers).json()["code"]
            reply = counter.call(
                there, "POST", "/registry/v1/presentations/verify", {"code": code, "case": "2025-1"}
            )
            return str(reply.json()["state"])

        def by_list() -> Status:
            token = there.get(path).text
            keys = published_keys(other)
            return read_status(token, keys, reference["uri"], reference["idx"], int(time.time()))

        assert (by_code(), by_list()) == ("01", Status.VALID)  # whatever is kept is kept now
        steps = (
            ("03", None, "02", Status.SUSPENDED),
            ("06", None, "01", Status.VALID),
            ("05", "07", "07", Status.INVALID),
        )
        for operation, target, state, status in steps:
            reply = operate(one, authority, identifier, operation, target)
            assert reply.status_code == 200, reply.text
            took = seconds_until(lambda: by_code() == state)  # noqa: B023 -- used at once
            took += seconds_until(lambda: by_list() is status)  # noqa: B023
            assert took < WITHIN_SECONDS, (operation, took)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"development_issuer": True})
