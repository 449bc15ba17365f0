"""Objects of a bucket."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from connectors.mapping.origins import S3Origin
from connectors.sources.fetched import Seen
from connectors.sources.raw import SourceError
from foundation.language import _


class S3Prefix:
    """Objects under a prefix; the connection is `https://key:secret@host:port`."""

    def __init__(self, origin: S3Origin, uri: str) -> None:
        self._origin = origin
        address = urlsplit(uri)
        host = (address.hostname or "") + (f":{address.port}" if address.port else "")
        try:
            self._client = Minio(
                host,
                access_key=unquote(address.username or ""),
                secret_key=unquote(address.password or ""),
                secure=address.scheme != "http",
                http_client=urllib3.PoolManager(
                    timeout=urllib3.Timeout(connect=5, read=30), retries=urllib3.Retry(total=2)
                ),
            )
        except ValueError as error:
            raise SourceError(_("the address of {source} is none"), source=origin.connection) from error

    @property
    def name(self) -> str:
        """Return the names of connection, bucket and prefix."""
        return f"{self._origin.connection}:{self._origin.bucket}/{self._origin.prefix}"

    def look(self) -> list[Seen]:
        """Return the objects that match, in the order of their names."""
        prefix, pattern = self._origin.prefix, self._origin.pattern
        with self._told():
            found = [
                Seen(str(each.object_name), each.size or 0, str(each.etag))
                for each in self._client.list_objects(self._origin.bucket, prefix=prefix, recursive=True)
                if not each.is_dir
                and fnmatch.fnmatchcase(str(each.object_name).removeprefix(prefix), pattern)
            ]
        return sorted(found)

    def fetch(self, seen: Seen, into: IO[bytes]) -> None:
        """Copy an object; it is whole and the one that was seen, or this raises."""
        with self._told():
            response = self._client.get_object(
                self._origin.bucket, seen.name, request_headers={"If-Match": f'"{seen.stamp}"'}
            )
            try:
                shutil.copyfileobj(response, into)
            finally:
                response.close()
                response.release_conn()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = error.code if isinstance(error, S3Error) else type(error).__name__
            raise SourceError(
                _("{source} cannot be reached: {reason}"), source=self.name, reason=reason
            ) from error
