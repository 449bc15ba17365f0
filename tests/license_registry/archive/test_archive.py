"""Archives: a package of a closed matter is verified alone, long after, and whatever is done to it is found."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from demonstration.parties import System
from foundation.signing import canonical_json, sign_compact
from license_registry.verifying.command import main as verify_alone
from tests.conftest import Service
from tests.license_registry.conftest import issued, operate
from zhengtong.house_keys import open_keys
from zhengtong.keeping import archive_command
from zhengtong.verifying import trust_bundle


@pytest.fixture(scope="module")
def archived(service: Service, authority: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a good and a suspended licence, an answer and a document; and what verifies it."""
    from datetime import UTC, datetime

    folder = tmp_path_factory.mktemp("archive")
    good, suspended = (issued(service, authority)["identifier"] for _ in range(2))
    assert operate(service, authority, suspended, "03").status_code == 200
    signer = open_keys(service.settings, datetime.now(UTC)).signer("answer")
    claims = {"iat": int(datetime.now(UTC).timestamp()), "purpose": "核验", "matter": "m", "results": {}}
    answer = sign_compact(signer, canonical_json(claims), "zhengtong-answer+jwt")
    (folder / "answer").write_text(answer, encoding="ascii")
    (folder / "application.txt").write_text("申请书", encoding="utf-8")
    arguments = [
        "food-permit",
        "2025-7",
        str(folder / "package.zip"),
        "--licence",
        good,
        "--licence",
        suspended,
    ]
    arguments += ["--answer", str(folder / "answer"), "--document", str(folder / "application.txt")]
    done = CliRunner().invoke(archive_command, arguments, obj=service.settings)
    assert done.exit_code == 0, done.output
    for command in (["export", str(folder / "bundle")], ["root", str(folder / "root")]):
        assert CliRunner().invoke(trust_bundle, command, obj=service.settings).exit_code == 0
    return folder


def verified(
    folder: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, object]]:
    code = verify_alone(
        [str(package), "--bundle", str(folder / "bundle"), "--root", str(folder / "root"), "--json"]
    )
    return code, orjson.loads(capsys.readouterr().out)


def test_a_package_is_verified_alone_each_part_as_of_its_date(
    archived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = verified(archived, archived / "package.zip", capsys)
    assert (code, found["kind"], found["result"]) == (0, "archive", 0), found
    assert found["presented"]["matter"] == "food-permit"  # type: ignore[index]
    parts = found["parts"]
    assert isinstance(parts, dict)
    assert sorted(part["result"] for part in parts.values()) == [0, 0, 2]
    assert {part["kind"] for part in parts.values()} == {"credential", "answer"}


def test_a_package_is_in_the_store_and_its_digest_in_the_log(service: Service, archived: Path) -> None:
    import hashlib

    digest = hashlib.sha256((archived / "package.zip").read_bytes()).hexdigest()
    contents = service.sql("SELECT content FROM license_registry.event WHERE kind = 'archived'")
    records = [orjson.loads(content) for (content,) in contents]
    assert [record["sha256"] for record in records] == [digest, digest]
    assert (service.settings.objects_folder / records[0]["object_key"]).exists()


Change = Callable[[dict[str, bytes]], None]


def altered(files: dict[str, bytes]) -> None:
    files["documents/application.txt"] += b"!"


def missing(files: dict[str, bytes]) -> None:
    del files["documents/application.txt"]


def foreign(files: dict[str, bytes]) -> None:
    files["documents/more.txt"] = b"more"


def swapped(files: dict[str, bytes]) -> None:
    one, other = (path for path in files if path.startswith("licences/"))
    files[one], files[other] = files[other], files[one]


def manifest_forged(files: dict[str, bytes]) -> None:
    files["manifest.jws"] = files["manifest.jws"][:-4] + b"AAAA"


@pytest.mark.parametrize("change", [altered, missing, foreign, swapped, manifest_forged])
def test_whatever_is_done_to_a_package_is_found(
    archived: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Change
) -> None:
    with zipfile.ZipFile(archived / "package.zip") as package:
        files = {name: package.read(name) for name in package.namelist()}
    change(files)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as package:
        for name, data in files.items():
            package.writestr(name, data)
    (tmp_path / "spoilt.zip").write_bytes(held.getvalue())
    code, found = verified(archived, tmp_path / "spoilt.zip", capsys)
    assert (code, found["result"]) == (1, 3)
    checks = found["checks"]
    assert isinstance(checks, dict)
    failed = {name for name, passed in checks.items() if passed is False}
    assert failed == ({"signature"} if change is manifest_forged else {"digests"})


def archive(service: Service, folder: Path, *arguments: str) -> Result:
    wanted = ["m", "c", str(folder / "out.zip"), *arguments]
    return CliRunner().invoke(archive_command, wanted, obj=service.settings)


def test_what_does_not_hold_is_not_archived(service: Service, archived: Path, tmp_path: Path) -> None:
    (tmp_path / "forged").write_bytes((archived / "answer").read_bytes()[:-4] + b"AAAA")
    refused = archive(service, tmp_path, "--answer", str(tmp_path / "forged"))
    assert refused.exit_code == 1
    assert "does not hold" in refused.output
    assert archive(service, tmp_path, "--licence", "1.2.3").exit_code == 1
    assert not (tmp_path / "out.zip").exists()
