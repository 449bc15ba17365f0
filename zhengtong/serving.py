"""Serving with one process or several, which share the door: the system hands each connection to one that is free."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

from foundation.children import belong_to_parent
from foundation.errors import DomainError
from foundation.language import _
from foundation.settings import Settings

logger = logging.getLogger(__name__)

MOST_WORKERS = 64
SHORTEST_LIFE_SECONDS = 10.0
"""A worker that ends by itself sooner than this would do so again."""
ENDING_SECONDS = 30.0

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The only way to tell prometheus_client that several processes count together, and where."""


class ServiceEnded(DomainError):
    """A worker ended right after its start."""

    code = "service-ended"


def serve_alone(settings: Settings, address: str, door: socket.socket) -> None:
    """Serve in this process until it is told to end.

    Args:
        address: of the database, whose schema the caller has checked.
        door: bound and listening.
    """
    import uvicorn

    from foundation.telemetry import configure_logging
    from zhengtong.app import create_app
    from zhengtong.replies import WholeReplies

    configure_logging(settings.log_level, settings.logs_folder)
    options = uvicorn.Config(
        create_app(settings, address),
        http=WholeReplies,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(options).run(sockets=[door])


def serve_together(settings: Settings, address: str, door: socket.socket, workers: int) -> None:
    """Serve with several processes until this one is told to end; one that dies is replaced.

    Raises:
        ServiceEnded: a worker ended right after its start; its log says why.
    """
    with ExitStack() as left:
        folder = left.enter_context(tempfile.TemporaryDirectory(prefix="zhengtong-metrics-"))
        # Read when the metrics are loaded, which the workers do: each writes its own there, and each gives all.
        os.environ[_METRICS_FOLDER] = folder
        from foundation.telemetry import configure_logging

        configure_logging(settings.log_level, settings.logs_folder)
        running: dict[ForkProcess, float] = {}
        left.callback(_end, running)
        while True:
            while len(running) < workers:
                running[_start(settings, address, door)] = time.monotonic()
            for worker in [each for each in running if each.sentinel in wait([w.sentinel for w in running])]:
                lived = time.monotonic() - running.pop(worker)
                worker.join()
                logger.error("a worker ended: exit=%s seconds=%.0f", worker.exitcode, lived)
                if lived < SHORTEST_LIFE_SECONDS:
                    raise ServiceEnded(_("a worker ended right after its start; the log says why"))


def _start(settings: Settings, address: str, door: socket.socket) -> ForkProcess:
    worker = multiprocessing.get_context("fork").Process(target=_work, args=(settings, address, door))
    worker.start()
    return worker


def _work(settings: Settings, address: str, door: socket.socket) -> None:
    belong_to_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    serve_alone(settings, address, door)


def _end(running: dict[ForkProcess, float]) -> None:
    for worker in running:
        worker.terminate()
    until = time.monotonic() + ENDING_SECONDS
    for worker in running:
        worker.join(max(0.0, until - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()
