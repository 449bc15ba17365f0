"""Files on a real SFTP server and in a real bucket: taken once, in order, when nobody writes to them any more."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from connectors.mapping import SourceMapping
from connectors.mapping.origins import S3Origin, SftpOrigin
from connectors.sources.fetched import FetchedFile, Folder, settled
from connectors.sources.raw import SourceError
from connectors.sources.s3 import S3Prefix
from connectors.sources.sftp import SftpFolder
from tests.conftest import free_port, temporary_home
from tests.connectors.sources.licences import mapping, numbers
from tests.debian import debian_program
from tests.s3_server import s3_server

# The first one may have to install or build the server.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1300)]
HEADER = "licence_type,licence_number,holder_name,issued_on\n"


def content(*found: int) -> bytes:
    return (HEADER + "".join(f"证,{number},店,2024-01-01\n" for number in found)).encode()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder over there, how to write into it, and how to say it in a mapping."""

    folder: Folder
    mapping: SourceMapping
    put: Callable[[str, bytes], None]
    lost: Folder


@pytest.fixture(scope="module")
def sshd() -> Iterator[tuple[Path, str]]:
    """A folder that an sshd serves, and the URI of a connection to it."""
    program = debian_program("sshd", "openssh-server")
    if os.geteuid() != 0:
        pytest.skip("sshd lets nobody in unless it is started by root")
    keygen = debian_program("ssh-keygen", "openssh-client")
    with temporary_home() as folder:
        for name in ("host", "user"):
            command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(command, check=True)
        (folder / "user.pub").rename(folder / "authorized")
        port = free_port()
        (folder / "config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin yes\nSubsystem sftp internal-sftp\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        shown = subprocess.run(
            [keygen, "-lf", folder / "host.pub"], check=True, capture_output=True, text=True
        ).stdout.split()[1]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log)
        try:
            deadline = time.monotonic() + 30
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"sshd did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            pinned = shown.replace("+", "%2B")
            yield folder, f"sftp://root@127.0.0.1:{port}/?private_key={folder}/user&host_key={pinned}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Minio, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        client = Minio(server.endpoint, server.access_key, server.secret_key, secure=False)
        yield client, f"http://{server.access_key}:{server.secret_key}@{server.endpoint}"


@pytest.fixture(params=["sftp", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sftp":
        _folder, uri = request.getfixturevalue("sshd")
        made = mapping(
            {"kind": "sftp", "connection": "c", "folder": str(tmp_path), "pattern": "*.csv"}, form="delimited"
        )
        assert isinstance(made.origin, SftpOrigin)
        lost = SftpFolder(made.origin.model_copy(update={"folder": "/nowhere"}), uri)
        return Place(
            SftpFolder(made.origin, uri),
            made,
            lambda name, data: (tmp_path / name).write_bytes(data) and None,
            lost,
        )
    client, uri = request.getfixturevalue("bucket")
    name = "b" + os.urandom(6).hex()
    client.make_bucket(bucket_name=name)

    def put(key: str, data: bytes) -> None:
        client.put_object(bucket_name=name, object_name=key, data=io.BytesIO(data), length=len(data))

    made = mapping({"kind": "s3", "connection": "c", "bucket": name, "pattern": "*.csv"}, form="delimited")
    assert isinstance(made.origin, S3Origin)
    lost_uri = f"http://a:geheim12@127.0.0.1:{free_port()}"
    return Place(S3Prefix(made.origin, uri), made, put, S3Prefix(made.origin, lost_uri))


def nothing(seconds: float) -> None:
    del seconds


def test_files_come_in_order_and_each_once(place: Place) -> None:
    for name, data in {"b.csv": content(3), "a.csv": content(1, 2), "notes.txt": b"x"}.items():
        place.put(name, data)
    sources = [FetchedFile(place.folder, seen, place.mapping) for seen in settled(place.folder, (), nothing)]
    assert [(source.name, numbers(source.batches(10))) for source in sources] == [
        ("a.csv", ["1", "2"]),
        ("b.csv", ["3"]),
    ]
    assert numbers(sources[0].batches(10)) == ["1", "2"] and len(sources[0].digest()) == 64
    assert [seen.name for seen in settled(place.folder, {"a.csv"}, nothing)] == ["b.csv"]
    assert settled(place.folder, {"a.csv", "b.csv"}, nothing) == []


def test_a_file_that_grows_is_left_until_it_does_not(place: Place) -> None:
    place.put("a.csv", content(1))
    place.put("b.csv", content(2))

    def write(seconds: float) -> None:
        place.put("a.csv", content(1, 2, 3))

    assert [seen.name for seen in settled(place.folder, (), write)] == ["b.csv"]
    assert [seen.name for seen in settled(place.folder, (), nothing)] == ["a.csv", "b.csv"]


def test_a_file_that_changed_after_it_was_seen_is_not_read(place: Place) -> None:
    place.put("a.csv", content(1))
    (seen,) = settled(place.folder, (), nothing)
    place.put("a.csv", content(1, 2))
    with pytest.raises(
        SourceError, match=r"a\.csv changed while it was fetched|cannot be reached: Precondition"
    ):
        list(FetchedFile(place.folder, seen, place.mapping).batches(10))


def test_a_place_that_cannot_be_reached_is_told(place: Place) -> None:
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        place.lost.look()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda uri: uri.partition("&host_key")[0], "pins no host key"),
        (lambda uri: uri.partition("SHA256:")[0] + "SHA256:" + "A" * 43, "another host key"),
        (lambda uri: uri.replace("root@", "nobody@"), "cannot be reached: AuthenticationException"),
        (lambda uri: uri.replace("root@", "root:geheim@").replace("private_key=", "x="), "cannot be reached"),
    ],
    ids=["no host key", "another host key", "another user", "a password"],
)
def test_sftp_lets_nobody_pass_for_the_server_nor_for_us(
    sshd: tuple[Path, str], change: Any, message: str
) -> None:
    origin = SftpOrigin(kind="sftp", connection="c")
    with pytest.raises(SourceError, match=message) as caught:
        SftpFolder(origin, change(sshd[1])).look()
    assert "geheim" not in str(caught.value)
