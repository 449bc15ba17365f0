"""Servers from Debian for tests: as found on the path, or installed where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.turns import turn

INSTALL_SECONDS = 600
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"


def debian_program(program: str, package: str) -> Path:
    """Return a program of a package; skip the test with the reason where there is none and none can be installed."""
    found = shutil.which(program, path=SYSTEM_PATH)
    if found is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.skip(f"no {program}: only root can install {package}, and only by apt-get")
        with turn("apt"):
            found = shutil.which(program, path=SYSTEM_PATH) or _install(program, package)
    return Path(found)


def _install(program: str, package: str) -> str:
    # Installed, but not started as a service of the machine.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            last = next(iter(reversed(done.stderr.strip().splitlines())), "no reason given")
            pytest.skip(f"no {program}: {package} cannot be installed here: {last}")
    found = shutil.which(program, path=SYSTEM_PATH)
    assert found is not None, f"{package} has no {program}"
    return found
