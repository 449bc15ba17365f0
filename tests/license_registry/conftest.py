"""What the rooms of the registry share: an issuing authority, a request that fits, a licence type with a citizen as holder."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.signing import PublicKey
from tests.conftest import Service
from tests.license_registry.requests import (
    AUTHORITY,
    HOLDER,
    NOW,
    PERSON,
    STRANGER,
    body,
    personal,
    registry,
    request,
)

__all__ = ["AUTHORITY", "HOLDER", "NOW", "PERSON", "STRANGER", "body", "personal", "registry", "request"]


def issue(service: Service, authority: System, **changes: Any) -> httpx.Response:
    return authority.call(service.http, "POST", "/registry/v1/licences", body(**changes))


def issued(service: Service, authority: System, **changes: Any) -> dict[str, Any]:
    """Issue a licence and return its metadata."""
    reply = issue(service, authority, **changes)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def operate(
    service: Service, authority: System, identifier: str, operation: str, target: str | None = None
) -> httpx.Response:
    wanted = {"operation": operation, "target": target, "reason": "监督检查"}
    if operation == "07":
        wanted["description"] = "司法冻结"
    path = f"/registry/v1/licences/{identifier}/operations"
    return authority.call(service.http, "POST", path, wanted)


def problem(reply: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, after checking its form (RFC 9457)."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    told = reply.json()
    assert told["status"] == reply.status_code
    assert "·" in told["title"]
    return reply.status_code, told["type"].removeprefix("urn:zhengtong:problem:")


def published_keys(service: Service) -> dict[str, PublicKey]:
    return {key["kid"]: PublicKey.from_jwk(key) for key in service.http.get("/jwks.json").json()["keys"]}


@pytest.fixture(scope="module")
def authority(service: Service) -> System:
    return service.system("market-regulator", Role.ISSUING_AUTHORITY)


@pytest.fixture(scope="module")
def counter(service: Service) -> System:
    return service.system("counter", Role.COUNTER)
