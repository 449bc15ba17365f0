"""Packages of npm as independent peers: installed once into a folder of the user's cache, or a skip with its reason."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.turns import CACHE, turn


def installed(*packages: str) -> Path:
    """Return a folder with these packages in `node_modules`; skip where node, npm or the registry is missing.

    Args:
        packages: each with its version, `name@1.2.3`.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    name = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:16]
    cache = CACHE / f"npm-{name}"
    cache.mkdir(parents=True, exist_ok=True)
    with turn(f"npm-{name}"):
        done = cache / ".installed"
        if not done.exists():
            (cache / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
            result = subprocess.run(
                command, cwd=cache, capture_output=True, text=True, timeout=600, check=False
            )
            if result.returncode != 0:
                pytest.skip(f"npm cannot install {', '.join(packages)}: {result.stderr.strip()[-200:]}")
            done.touch()
    return cache


def run(folder: Path, program: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run a module of JavaScript in a folder with packages; it reads `given` from its input and prints JSON."""
    path = folder / f"{hashlib.sha256(program.encode()).hexdigest()[:16]}.mjs"
    path.write_text(program, encoding="utf-8")
    result = subprocess.run(
        ["node", str(path)],
        cwd=folder,
        input=orjson.dumps(given),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()[-3000:]
    answer: dict[str, Any] = orjson.loads(result.stdout)
    return answer
