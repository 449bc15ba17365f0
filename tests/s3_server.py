"""A real S3 server for tests: MinIO, as found on the path, or built by Go into the user's cache at first use."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.turns import CACHE, turn

# The version is named, so that a test that fails fails because of us.
MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
BUILD_SECONDS = 1200


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it listens (host:port, plain HTTP), and the keys of its owner."""

    endpoint: str
    access_key: str
    secret_key: str


def minio_program() -> Path:
    """Return MinIO's program; skip the test with the reason where there is none and none can be built."""
    found = shutil.which("minio")
    if found is not None:
        return Path(found)
    with turn("minio"):
        return _built()


def _built() -> Path:
    kept = CACHE / MODULE.rpartition("@")[2] / "minio"
    if kept.exists():
        return kept
    if shutil.which("go") is None:
        pytest.skip("no S3 server: neither minio nor go is on the path")
    kept.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(kept.parent), "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    built = subprocess.run(
        ["go", "install", MODULE],
        env=environment,
        cwd=kept.parent,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if built.returncode != 0:
        last = next(iter(reversed(built.stderr.strip().splitlines())), "no reason given")
        pytest.skip(f"no S3 server: minio cannot be built here: {last}")
    return kept


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run MinIO with its data under a folder."""
    program = minio_program()
    server = S3Server(f"127.0.0.1:{free_port()}", "tests", secrets.token_hex(16))
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
    }
    with (folder / "minio.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "server", "--quiet", "--address", server.endpoint, str(folder / "data")],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not _ready(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"minio did not start: {(folder / 'minio.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _ready(server: S3Server) -> bool:
    try:
        return httpx.get(f"http://{server.endpoint}/minio/health/ready").status_code == 200
    except httpx.TransportError:
        return False
