"""The object store: licences as files, written once, read back whole."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
from pathlib import Path
from typing import Protocol

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from foundation.errors import DomainError
from foundation.language import _
from foundation.settings import Settings


class StoreFull(DomainError):
    code = "store-full"


class StoreUnavailable(DomainError):
    code = "store-unavailable"


class ObjectMissing(DomainError):
    code = "object-missing"


class ObjectAltered(DomainError):
    """What the store gave back is not what was put into it."""

    code = "object-altered"


_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class ObjectStore(Protocol):
    """Puts and gets whole objects under keys such as `licences/<identifier>.sdjwt`."""

    def put(self, key: str, data: bytes) -> None:
        """Store durably; nothing stands under the key if this raises."""

    def get(self, key: str) -> bytes:
        """Return an object, or raise ObjectMissing."""

    def delete(self, key: str) -> None:
        """Remove an object; no error if it is not there."""


class FileStore:
    """Objects as files under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        temporary = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise StoreFull(_("nothing was stored; the request may be repeated later")) from error
            raise StoreUnavailable(_("nothing was stored; the request may be repeated later")) from error

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(_("the store does not hold the object")) from error
        except OSError as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or ".." in key:
            raise ValueError("not a key of the object store")
        return self._root / key


class S3Store:
    """Objects in a bucket of an S3 server."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def prepare(self) -> None:
        """Make the bucket where it is missing."""
        if not self._client.bucket_exists(bucket_name=self._bucket):
            self._client.make_bucket(bucket_name=self._bucket)

    def put(self, key: str, data: bytes) -> None:
        try:
            self._client.put_object(
                bucket_name=self._bucket, object_name=key, data=io.BytesIO(data), length=len(data)
            )
        except S3Error as error:
            # Names that S3 servers give to 'no space' (MinIO, Ceph).
            if error.code in {"XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity", "EntityTooLarge"}:
                raise StoreFull(_("nothing was stored; the request may be repeated later")) from error
            raise StoreUnavailable(_("nothing was stored; the request may be repeated later")) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("nothing was stored; the request may be repeated later")) from error

    def get(self, key: str) -> bytes:
        try:
            response = self._client.get_object(bucket_name=self._bucket, object_name=key)
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
            self._client.remove_object(bucket_name=self._bucket, object_name=key)
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(_("the request may be repeated later")) from error


def open_store(settings: Settings) -> ObjectStore:
    """Return the configured store."""
    if settings.object_store == "files":
        return FileStore(settings.objects_folder)
    assert settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key
    client = Minio(
        settings.s3_endpoint,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=settings.s3_secure,
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=3, read=10), retries=urllib3.Retry(total=1), maxsize=16
        ),
    )
    store = S3Store(client, settings.s3_bucket)
    store.prepare()
    return store
