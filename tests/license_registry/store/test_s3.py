"""The store on a real S3 server: what the store of files keeps, and a licence from issuing to its holder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error
from pydantic import SecretStr

from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.store.objects import (
    ObjectExists,
    ObjectStore,
    StoreUnavailable,
    StoreWithoutLock,
    open_store,
)
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


def test_what_is_retained_cannot_be_removed_by_anybody(server: S3Server, tmp_path: Path) -> None:
    settings = s3_settings(server, tmp_path, s3_retention_days=1)
    store = open_store(settings)
    store.put(KEY, b"licence")
    store.put_many([("licences/several", b"licence")])
    store.put("issuing/lines.sealed", b"lines")
    store.put(KEY, b"licence")
    with pytest.raises(ObjectExists):
        store.put(KEY, b"forgery")
    owner = Minio(server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False)
    bucket = settings.s3_bucket
    for key in (KEY, "licences/several"):
        version = owner.stat_object(bucket_name=bucket, object_name=key).version_id
        with pytest.raises(S3Error, match="WORM protected"):
            owner.remove_object(bucket_name=bucket, object_name=key, version_id=version)
        left = owner.get_object_retention(bucket_name=bucket, object_name=key).retain_until_date
        assert timedelta(hours=23) < left - datetime.now(UTC) <= timedelta(days=1)
    # Working files are not: they go when they are done with.
    version = owner.stat_object(bucket_name=bucket, object_name="issuing/lines.sealed").version_id
    owner.remove_object(bucket_name=bucket, object_name="issuing/lines.sealed", version_id=version)
    # At the next start the bucket is found able; one that was made without is refused.
    assert open_store(settings).get(KEY) == b"licence"
    plain = s3_settings(server, tmp_path)
    open_store(plain)
    with pytest.raises(StoreWithoutLock):
        open_store(plain.model_copy(update={"s3_retention_days": 1}))


def test_a_licence_goes_to_the_server_and_to_its_holder(
    server: S3Server, tmp_path: Path, database_url: str
) -> None:
    settings = s3_settings(
        server,
        tmp_path,
        database_url=database_url,
        listen_port=free_port(),
        development_issuer=True,
        holder_register="if-known",
        documents="when-asked",
    )
    with serving(settings, database_url) as service:
        authority = service.system("market-regulator", Role.ISSUING_AUTHORITY)
        made = issued(service, authority)
        path = f"/registry/v1/me/licences/{made['identifier']}/credential"
        reply = service.http.get(path, headers=service.person(PERSON))
        assert reply.status_code == 200
        assert PERSON.encode() not in open_store(settings).get(f"licences/{made['identifier']}.sdjwt")
    assert not settings.objects_folder.exists()
