"""The store on a real S3 server: what the store of files keeps, and a licence from issuing to its holder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.store.objects import ObjectStore, StoreUnavailable, open_store
from tests.conftest import free_port, serving
from tests.license_registry.conftest import PERSON, issued
from tests.license_registry.store.conformance import KEY, StoreConformance
from tests.s3_server import BUILD_SECONDS, S3Server, s3_server

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(BUILD_SECONDS + 120)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def s3_settings(server: S3Server, home: Path, **changes: object) -> Settings:
    given = {
        "home": home,
        "object_store": "s3",
        "s3_endpoint": server.endpoint,
        "s3_bucket": f"test-{uuid.uuid4().hex}",
        "s3_access_key": SecretStr(server.access_key),
        "s3_secret_key": SecretStr(server.secret_key),
        "s3_secure": False,
    }
    return Settings(**{**given, **changes})


@pytest.fixture
def store(server: S3Server, tmp_path: Path) -> ObjectStore:
    return open_store(s3_settings(server, tmp_path))


class TestS3(StoreConformance):
    pass


def test_the_bucket_is_kept_at_the_next_start(server: S3Server, tmp_path: Path) -> None:
    settings = s3_settings(server, tmp_path)
    open_store(settings).put(KEY, b"licence")
    assert open_store(settings).get(KEY) == b"licence"


def test_keys_that_the_server_does_not_know_are_unavailable(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_store(s3_settings(server, tmp_path, s3_secret_key=SecretStr("wrong-wrong-wrong")))


def test_a_licence_goes_to_the_server_and_to_its_holder(
    server: S3Server, tmp_path: Path, database_url: str
) -> None:
    settings = s3_settings(
        server, tmp_path, database_url=database_url, listen_port=free_port(), development_issuer=True
    )
    with serving(settings, database_url) as service:
        authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
        made = issued(service, authority)
        path = f"/registry/v1/me/licences/{made['identifier']}/credential"
        reply = service.http.get(path, headers=service.person(PERSON))
        assert reply.status_code == 200
        assert PERSON.encode() not in open_store(settings).get(f"licences/{made['identifier']}.sdjwt")
    assert not settings.objects_folder.exists()
