"""Several processes behind one door: each answers, one that dies is replaced, and none is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from foundation.telemetry import ACCOUNT_SECONDS
from tests.conftest import free_port

LOOKS = 40
"""Fresh connections that are enough to meet each of two workers."""


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "zhengtong",
            "--home",
            str(tmp_path / "home"),
            "serve",
            "--port",
            str(port),
            "--workers",
            "2",
        ],
        env={**os.environ, "ZHENGTONG_DATABASE_URL": database_url},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process(process.pid).children()
        if each.status() != psutil.STATUS_ZOMBIE and "serve" in each.cmdline()
    ]


def counted(address: str) -> int:
    time.sleep(2 * ACCOUNT_SECONDS)  # each worker counts what it served at most so long after
    text = httpx.get(f"{address}/metrics").text
    found = re.findall(r'^zhengtong_http_requests_total{.*route="/readyz".*} ([0-9.]+)$', text, re.MULTILINE)
    return sum(int(float(each)) for each in found)


def test_workers_share_the_door_and_one_that_dies_is_replaced(
    service: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, address = service
    until(lambda: answers(address))
    before = counted(address)
    assert all(answers(address) for _look in range(LOOKS))
    assert counted(address) == before + LOOKS, "whichever answers tells what all did"

    victim = workers(process)[0]
    started = psutil.Process(victim.pid).create_time()
    time.sleep(max(0.0, started + 10.5 - time.time()))
    victim.kill()
    until(lambda: len(workers(process)) == 2 and victim.pid not in {each.pid for each in workers(process)})
    until(lambda: answers(address))

    left = workers(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 128 + signal.SIGTERM
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in left)


@pytest.mark.thorough
def test_workers_end_with_the_process_that_started_them(
    service: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, address = service
    until(lambda: answers(address))
    left = workers(process)
    assert len(left) == 2
    process.kill()
    process.wait()
    psutil.wait_procs(left, timeout=30)
    assert not any(each.is_running() for each in left)
