"""The small verifier as a wheel: built, unpacked, and run where nothing but its few dependencies can be imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import orjson
import pytest
from packaging.requirements import Requirement

from tests.license_registry.verifying.conftest import Registry
from tests.license_registry.verifying.packing import package

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "packages" / "verifier"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked, with links to the dependencies that it names, and theirs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*build, "-w", str(folder), str(PACKAGE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("zhengtong_verifier-*.whl")
    alone = folder / "alone"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(alone)
    wanted = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in closure(wanted["dependencies"] + wanted["optional-dependencies"]["images"]):
        for file in metadata.files(name) or ():
            top = file.parts[0]
            if top != ".." and not (alone / top).exists():
                (alone / top).symlink_to(
                    Path(str(file.locate())).parents[len(file.parts) - 2]
                    if len(file.parts) > 1
                    else Path(str(file.locate()))
                )
    return alone


def closure(requirements: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        one = waiting.pop()
        if one.name in found or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(one.name)
        waiting += [Requirement(text) for text in metadata.requires(one.name) or ()]
    return found


def test_it_verifies_where_nothing_else_can_be_imported(
    unpacked: Path, made: Registry, tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    (tmp_path / "good").write_text(made.credential(valid_until=None), encoding="ascii")
    lists = {"https://registry.example/registry/v1/status-lists/0": made.status_list(now)}
    (tmp_path / "bundle").write_bytes(made.bundle(now, lists=lists))
    (tmp_path / "root").write_bytes(made.root)
    (tmp_path / "package").write_bytes(package(made, now))
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r});"
        "from license_registry.verifying.command import main;"
        "code = main(['good', '--bundle', 'bundle', '--root', 'root', '--json']);"
        "assert code == 0 and main(['package', '--root', 'root']) == 0;"
        "assert not {'fastapi', 'httpx', 'numpy', 'asyncpg', 'sqlalchemy', 'pydantic'} & set(sys.modules);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = done.stdout.splitlines()
    assert orjson.loads("".join(report[: report.index("}") + 1]))["valid"] is True


def test_its_dependencies_are_those_of_the_house() -> None:
    house = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    own = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(own["dependencies"]) | set(own["optional-dependencies"]["images"]) <= set(house)
