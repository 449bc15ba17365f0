"""A department's web server: keeps what it got, and answers as told."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver, algorithms
from jwt.algorithms import ECAlgorithm


@dataclass(slots=True)
class Receiver:
    """What came, in the order of coming; `answers` are used up, then it is 204.

    Args:
        slow: seconds before each answer.
        body: of each answer.
    """

    url: str
    got: list[httpx.Request] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    slow: float = 0
    body: bytes = b""
    arrived: threading.Event = field(default_factory=threading.Event)

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all batches."""
        return [event for request in self.got for event in orjson.loads(request.content)["events"]]


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Listen on a port of this machine, by TLS where a context is given."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            url = f"{scheme}://{self.headers['Host']}{self.path}"
            here.got.append(httpx.Request("POST", url, headers=dict(self.headers), content=body))
            here.arrived.set()
            time.sleep(here.slow)
            self.send_response(here.answers.pop(0) if here.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(here.body)))
            self.end_headers()
            self.wfile.write(here.body)

        def log_message(self, *_arguments: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """Say nothing of clients that went away: that is what some tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    here = Receiver(f"{scheme}://127.0.0.1:{server.server_port}/notices?of=market")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def verifier(jwks: dict[str, Any]) -> HTTPMessageVerifier:
    """Return what verifies signatures with published keys, as a department would that knows nothing of us."""
    keys = {key["kid"]: ECAlgorithm.from_jwk(key) for key in jwks["keys"] if key.get("crv") == "P-256"}
    return HTTPMessageVerifier(
        signature_algorithm=algorithms.ECDSA_P256_SHA256,
        key_resolver=MappingKeyResolver(public_keys=keys, private_keys={}),
    )
