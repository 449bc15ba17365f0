"""An authority of time stamps: OpenSSL's `ts` behind a small server."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONFIGURATION = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[stamping]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {usage}
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[req]
distinguished_name = name
[name]
"""


@dataclass
class Stamper:
    """Keys and certificates of an authority, in a folder; `answers` what it said, `broken` what it says instead."""

    folder: Path
    asked: list[bytes] = field(default_factory=list)
    broken: bytes | None = None
    url: str = ""

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def answer(self, query: bytes) -> bytes:
        """Answer a query of RFC 3161."""
        self.asked.append(query)
        if self.broken is not None:
            return self.broken
        (self.folder / "query").write_bytes(query)
        run(
            *("ts", "-reply", "-queryfile", "query", "-out", "reply", "-config", "configuration"),
            *("-signer", "leaf.pem", "-inkey", "leaf.key"),
            folder=self.folder,
        )
        return (self.folder / "reply").read_bytes()


def run(*arguments: str, folder: Path) -> str:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    done = subprocess.run(
        [openssl, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def stamper(folder: Path, kind: str = "ec", usage: str = "critical,timeStamping") -> Stamper:
    """Make an authority with keys of a kind (`ec` or `rsa`), certified by a root of its own."""
    folder.mkdir()
    (folder / "serial").write_text("01\n")
    (folder / "configuration").write_text(CONFIGURATION.format(folder=folder, usage=usage))
    key = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}[kind]
    new = ("req", "-newkey", *key, "-nodes", "-config", "configuration")
    run(*new, "-x509", "-subj", "/CN=Time stamps root", "-keyout", "root.key", "-out", "root.pem",
        "-extensions", "root", "-days", "30", folder=folder)  # fmt: skip
    run(*new, "-subj", "/CN=Time stamps", "-keyout", "leaf.key", "-out", "leaf.csr", folder=folder)
    run("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
        "-out", "leaf.pem", "-extfile", "configuration", "-extensions", "stamping", "-days", "30",
        folder=folder)  # fmt: skip
    return Stamper(folder)


@contextmanager
def answering(one: Stamper) -> Iterator[Stamper]:
    """Let an authority answer over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            reply = one.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
