"""Status lists as published: signed, fresh, cacheable, and one place for each licence."""

from __future__ import annotations

import time

import jwt
import pytest

from demonstration.parties import System
from license_registry.credentials.sd_jwt import verify
from license_registry.credentials.status_list import Status, read_status
from license_registry.lifecycle.status_lists import KEPT_SECONDS
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, issued, operate, problem, published_keys


def reference(service: Service, identifier: str) -> tuple[str, int]:
    """Address of the list and place in it, as the holder's file says."""
    path = f"/registry/v1/me/licences/{identifier}/credential"
    credential = verify(service.http.get(path, headers=service.person(PERSON)).text, published_keys(service))
    said = credential.claims["status"]["status_list"]
    return said["uri"], said["idx"]


def status(service: Service, uri: str, index: int) -> Status:
    token = service.http.get(uri).text
    return read_status(token, published_keys(service), uri, index, int(time.time()))


def soon(service: Service, uri: str, index: int, wanted: Status) -> bool:
    """Whether the list tells it within the time for which one is kept, and a second for a slow machine."""
    deadline = time.monotonic() + KEPT_SECONDS + 1
    while status(service, uri, index) is not wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_before_the_first_licence_there_is_no_list(service: Service) -> None:
    # Stands first: the module's house is still empty.
    assert problem(service.http.get("/registry/v1/status-lists/0")) == (404, "not-found")


def test_a_list_is_signed_and_says_how_long_it_holds(service: Service, authority: System) -> None:
    issued(service, authority)
    before = int(time.time())
    reply = service.http.get("/registry/v1/status-lists/0")
    after = int(time.time())
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/statuslist+jwt"
    assert reply.headers["cache-control"] == "public, max-age=300"
    header = jwt.get_unverified_header(reply.text)
    assert (header["typ"], header["alg"]) == ("statuslist+jwt", "ES256")
    (published,) = (
        key for key in service.http.get("/jwks.json").json()["keys"] if key["kid"] == header["kid"]
    )
    # An independent reader of JWTs takes it too.
    claims = jwt.decode(reply.text, jwt.PyJWK(published), algorithms=["ES256"])
    assert claims["sub"] == f"{service.settings.base_url}/registry/v1/status-lists/0"
    assert before - KEPT_SECONDS <= claims["iat"] <= after
    assert (claims["exp"], claims["ttl"]) == (claims["iat"] + 24 * 3600, 300)
    assert claims["status_list"]["bits"] == 2
    assert set(claims) == {"sub", "iat", "exp", "ttl", "status_list"}


def test_a_list_that_did_not_change_is_not_sent_again(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    uri, index = reference(service, made)
    first = service.http.get(uri)
    time.sleep(KEPT_SECONDS)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = service.http.get(uri, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "public, max-age=300"
    assert operate(service, authority, made, "05", "04").status_code == 200
    assert soon(service, uri, index, Status.INVALID)
    changed = service.http.get(uri, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


def test_licences_stand_one_after_another(service: Service, authority: System) -> None:
    places = [reference(service, issued(service, authority)["identifier"]) for _ in range(3)]
    assert {uri for uri, _index in places} == {f"{service.settings.base_url}/registry/v1/status-lists/0"}
    first = places[0][1]
    assert [index for _uri, index in places] == [first, first + 1, first + 2]


def test_a_change_of_state_is_told_within_a_second(service: Service, authority: System) -> None:
    made, beside = (issued(service, authority)["identifier"] for _ in range(2))
    place, other = reference(service, made), reference(service, beside)
    assert status(service, *place) is Status.VALID
    assert operate(service, authority, made, "03").status_code == 200
    assert soon(service, *place, Status.SUSPENDED)
    assert operate(service, authority, made, "06").status_code == 200
    assert soon(service, *place, Status.VALID)
    assert operate(service, authority, made, "05", "07").status_code == 200
    assert soon(service, *place, Status.INVALID)
    assert status(service, *other) is Status.VALID


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("1", (404, "not-found")),
        ("-1", (404, "not-found")),
        ("9" * 40, (404, "not-found")),
        ("x", (422, "invalid-request")),
    ],
)
def test_a_list_that_no_licence_stands_in_is_not_found(
    service: Service, authority: System, number: str, answer: tuple[int, str]
) -> None:
    issued(service, authority)
    assert problem(service.http.get(f"/registry/v1/status-lists/{number}")) == answer
