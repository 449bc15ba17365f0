"""Packages on a real S3 server: retained, so that nobody can replace or remove one before its time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from foundation.identity.principals import Role
from license_registry.verifying.command import main as verify_alone
from tests.conftest import free_port, serving
from tests.exchange.archives.closing import CODE, close, fetched, wait
from tests.exchange.plans.conftest import material, matter, put_matter
from tests.license_registry.store.test_s3 import s3_settings
from tests.s3_server import BUILD_SECONDS, S3Server, s3_server
from zhengtong.keeping import scrub_command
from zhengtong.verifying import trust_bundle

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(BUILD_SECONDS + 120)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_a_package_is_locked_and_sealed_where_it_lies(
    server: S3Server, database_url: str, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    settings = s3_settings(
        server,
        tmp_path / "home",
        database_url=database_url,
        listen_port=free_port(),
        development_issuer=True,
        sequence_interval_seconds=0.05,
        holder_register="if-known",
        documents="when-asked",
        s3_retention_days=3650,
    )
    with serving(settings, database_url) as service:
        fund = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
        put_matter(service.address, matter(CODE, material("form")))
        outcome = close(service, fund, "s3")
        wait(service, fund, "s3")
        data = fetched(service, fund, "s3").content
        (tmp_path / "package.zip").write_bytes(data)
        done = CliRunner().invoke(trust_bundle, ["root", str(tmp_path / "root")], obj=settings)
        assert done.exit_code == 0
        assert verify_alone([str(tmp_path / "package.zip"), "--root", str(tmp_path / "root")]) == 0
        assert CliRunner().invoke(scrub_command, obj=settings).exit_code == 0

    owner = Minio(server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False)
    key = f"archives/cases/{outcome}.zip"
    lock = owner.get_object_retention(bucket_name=settings.s3_bucket, object_name=key)
    assert lock is not None
    assert lock.retain_until_date > datetime.now(UTC) + timedelta(days=3649)
    version = owner.stat_object(bucket_name=settings.s3_bucket, object_name=key).version_id
    with pytest.raises(S3Error):
        owner.remove_object(bucket_name=settings.s3_bucket, object_name=key, version_id=version)
    lying = owner.get_object(bucket_name=settings.s3_bucket, object_name=key)
    assert not lying.read().startswith(b"PK")
    lying.close()
