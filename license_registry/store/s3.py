"""The object store in a bucket of an S3 server."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.error import MinioException, S3Error
from minio.retention import Retention

from foundation.language import _
from foundation.settings import Settings
from license_registry.store.objects import (
    WORKING,
    ObjectMissing,
    StoreFull,
    StoreUnavailable,
    StoreWithoutLock,
    checked,
    require_same,
)

CONNECTIONS = 16
"""Connections to a server that are kept."""


class S3Store:
    """Objects in a bucket of an S3 server."""

    def __init__(self, client: Minio, bucket: str, retention_days: int | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._retention = None if retention_days is None else timedelta(days=retention_days)

    def prepare(self) -> None:
        """Make the bucket where it is missing, with object lock where objects are retained.

        Raises:
            StoreUnavailable: the server cannot be reached, or refuses.
            StoreWithoutLock: objects are to be retained, and the bucket that is there cannot.
        """
        locked = self._retention is not None
        try:
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket, object_lock=locked)
            elif locked:
                self._client.get_object_lock_config(bucket_name=self._bucket)
        except S3Error as error:
            if error.code == "ObjectLockConfigurationNotFoundError":
                raise StoreWithoutLock(
                    _("bucket {bucket} was made without object lock, so nothing in it can be retained"),
                    bucket=self._bucket,
                ) from error
            if error.code != "BucketAlreadyOwnedByYou":  # another process was faster
                raise StoreUnavailable(_("the request may be repeated later")) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def put(self, key: str, data: bytes) -> None:
        try:
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=checked(key),
                data=io.BytesIO(data),
                length=len(data),
                retention=self._retained(key),
            )
        except S3Error as error:
            if error.code == "PreconditionFailed":
                require_same(self.get(key), data)
                return
            # Names that S3 servers give to 'no space' (MinIO, Ceph).
            if error.code in {"XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity", "EntityTooLarge"}:
                raise StoreFull(_("nothing was stored; the request may be repeated later")) from error
            raise StoreUnavailable(_("nothing was stored; the request may be repeated later")) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("nothing was stored; the request may be repeated later")) from error

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        # As many at once as the client keeps connections.
        with ThreadPoolExecutor(CONNECTIONS) as several:
            for _done in several.map(lambda each: self.put(*each), objects):
                pass

    def get(self, key: str) -> bytes:
        try:
            response = self._client.get_object(bucket_name=self._bucket, object_name=checked(key))
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise ObjectMissing(_("the store does not hold the object")) from error
            raise StoreUnavailable(_("the request may be repeated later")) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def delete(self, key: str) -> None:
        try:
            self._client.remove_object(bucket_name=self._bucket, object_name=checked(key))
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def _retained(self, key: str) -> Retention | None:
        if self._retention is None or key.startswith(WORKING):
            return None
        return Retention(COMPLIANCE, datetime.now(UTC) + self._retention)


class _PutOnce(urllib3.PoolManager):
    """Sends `If-None-Match: *` with every object, so that the server refuses to replace one.

    The minio client has no argument for it; a header that is not among the signed ones may be added here.
    """

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        if method == "PUT" and urlsplit(url).path.count("/") > 1:
            options["headers"] = {**(options.get("headers") or {}), "If-None-Match": "*"}
        return super().urlopen(method, url, redirect, **options)


def open_s3(settings: Settings) -> S3Store:
    """Return the store of the configured bucket, which is made where it is missing.

    Raises:
        StoreUnavailable, StoreWithoutLock: as `S3Store.prepare`.
    """
    assert settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key
    client = Minio(
        settings.s3_endpoint,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=settings.s3_secure,
        http_client=_PutOnce(
            timeout=urllib3.Timeout(connect=3, read=10), retries=urllib3.Retry(total=1), maxsize=CONNECTIONS
        ),
    )
    store = S3Store(client, settings.s3_bucket, settings.s3_retention_days)
    store.prepare()
    return store
