"""Files in a folder of an SFTP server whose host key is pinned."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import parse_qs, unquote, urlsplit

import paramiko

from connectors.mapping.origins import SftpOrigin
from connectors.sources.fetched import Seen
from connectors.sources.raw import SourceError
from foundation.language import _

SECONDS = 30


class SftpFolder:
    """A folder: `sftp://user:password@host:port/?host_key=SHA256:…`, or `private_key=` a file instead of a password.

    The server must show the host key of that fingerprint (as `ssh-keyscan host | ssh-keygen -lf -` prints it) before
    anything is sent to it; no key is ever taken on trust.
    """

    def __init__(self, origin: SftpOrigin, uri: str) -> None:
        self._origin = origin
        self._uri = uri

    @property
    def name(self) -> str:
        """Return the names of connection and folder."""
        return f"{self._origin.connection}:{self._origin.folder}"

    def look(self) -> list[Seen]:
        """Return the files that match, in the order of their names."""
        with self._session() as session:
            return sorted(
                Seen(entry.filename, entry.st_size or 0, str(entry.st_mtime))
                for entry in session.listdir_attr(self._origin.folder)
                if stat.S_ISREG(entry.st_mode or 0)
                and fnmatch.fnmatchcase(entry.filename, self._origin.pattern)
            )

    def fetch(self, seen: Seen, into: IO[bytes]) -> None:
        """Copy a file; it is whole, or this raises."""
        with self._session() as session:
            session.getfo(str(PurePosixPath(self._origin.folder) / seen.name), into)

    @contextmanager
    def _session(self) -> Iterator[paramiko.SFTPClient]:
        address = urlsplit(self._uri)
        options = {name: values[-1] for name, values in parse_qs(address.query).items()}
        pinned = options.get("host_key", "")
        if not pinned.startswith("SHA256:"):
            raise SourceError(_("the connection of {source} pins no host key"), source=self.name)
        try:
            transport = paramiko.Transport((address.hostname or "", address.port or 22))
        except (paramiko.SSHException, OSError, ValueError) as error:
            raise self._unreachable(error) from error
        try:
            transport.start_client(timeout=SECONDS)
            if not hmac.compare_digest(_fingerprint(transport.get_remote_server_key()), pinned):
                raise SourceError(_("{source} shows another host key than the pinned one"), source=self.name)
            user = unquote(address.username or "")
            if "private_key" in options:
                transport.auth_publickey(user, paramiko.PKey.from_path(options["private_key"]))
            else:
                transport.auth_password(user, unquote(address.password or ""))
            session = paramiko.SFTPClient.from_transport(transport)
            assert session is not None
            channel = session.get_channel()
            assert channel is not None
            channel.settimeout(SECONDS)
            yield session
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            transport.close()

    def _unreachable(self, error: Exception) -> SourceError:
        return SourceError(
            _("{source} cannot be reached: {reason}"), source=self.name, reason=type(error).__name__
        )


def _fingerprint(key: paramiko.PKey) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
