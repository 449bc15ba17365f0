"""Verifying a licence file without the registry: the command as an outsider runs it, and the function below it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.signing import Algorithm, encode_base64url, new_signer
from license_registry.credentials import sd_jwt
from license_registry.credentials.status_list import Status, StatusListInvalid, sign_list
from license_registry.presenting.check import Result
from license_registry.presenting.offline import FileUnreadable, FileVerdict, verify_file
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, issued, operate
from zhengtong.cli import main
from zhengtong.house import open_keys

SIGNER, OTHER = (new_signer(Algorithm.ES256, "k") for _ in range(2))
KEYS = {"k": SIGNER.public}
URI = "https://registry.example/v1/status-lists/0"
NOW = datetime(2025, 6, 30, 4, 0, tzinfo=UTC)
CLAIMS: dict[str, Any] = {
    "iss": "https://registry.example",
    "vct": "urn:example:licence",
    "status": {"status_list": {"idx": 5, "uri": URI}},
    "valid_from": "2020-01-01",
    "valid_until": "2025-12-31",
    "holder_name": "某公司",
}


def status_list(status: Status, signer: Any = SIGNER, now: datetime = NOW) -> str:
    return sign_list(signer, URI, [(5, status)], now=int(now.timestamp()), ttl=300, lives=3600)


def verdict(
    folder: Path, claims: dict[str, Any], kept: str | None = None, now: datetime = NOW
) -> FileVerdict:
    path = folder / "licence.sdjwt"
    path.write_text(sd_jwt.issue(SIGNER, claims, {"address": "东湖路1号"}) + "\n", encoding="ascii")
    return verify_file(path, KEYS, kept, now)


def test_without_a_list_the_state_is_not_checked_and_said_so(tmp_path: Path) -> None:
    found = verdict(tmp_path, CLAIMS)
    assert found.valid
    assert found.checks == {
        "signature": True,
        "issuer": True,
        "status": None,
        "begun": True,
        "not_over": True,
    }
    assert found.fields == {
        "holder_name": "某公司",
        "valid_from": "2020-01-01",
        "valid_until": "2025-12-31",
        "address": "东湖路1号",
    }


@pytest.mark.parametrize(
    ("status", "result"),
    [(Status.VALID, Result.VALID), (Status.SUSPENDED, Result.SUSPENDED), (Status.INVALID, Result.VOID)],
)
def test_a_kept_list_tells_the_state(tmp_path: Path, status: Status, result: Result) -> None:
    found = verdict(tmp_path, CLAIMS, status_list(status))
    assert (found.result, found.checks["status"]) == (result, status is Status.VALID)
    assert found.valid is (result is Result.VALID)


@pytest.mark.parametrize(
    ("day", "result"),
    [("2019-12-31", 1), ("2020-01-01", 0), ("2025-12-31", 0), ("2026-01-01", 3)],
)
def test_the_dates_are_judged_with_both_days_included(tmp_path: Path, day: str, result: int) -> None:
    found = verdict(tmp_path, CLAIMS, now=datetime.fromisoformat(f"{day}T12:00:00+00:00"))
    assert (found.result, found.checks["signature"]) == (result, True)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (status_list(Status.VALID, OTHER), "signature-wrong"),
        (status_list(Status.VALID, now=NOW - timedelta(hours=1)), "expired"),
        ("garbage", "malformed"),
        ("", "malformed"),
    ],
)
def test_a_list_that_does_not_hold_is_an_error_not_a_verdict(tmp_path: Path, kept: str, words: str) -> None:
    with pytest.raises(StatusListInvalid, match=words):
        verdict(tmp_path, CLAIMS, kept)


@pytest.mark.parametrize(
    "lacking",
    [
        {"status": ...},
        {"status": "x"},
        {"status": {"status_list": {"idx": "first", "uri": URI}}},
        {"valid_from": ...},
        {"valid_from": "2025-02-30"},
        {"valid_until": 5},
    ],
)
def test_what_is_well_signed_but_no_licence_is_insufficient(tmp_path: Path, lacking: dict[str, Any]) -> None:
    claims = {name: value for name, value in (CLAIMS | lacking).items() if value is not ...}
    found = verdict(tmp_path, claims, status_list(Status.VALID))
    assert (found.result, dict(found.fields), found.valid) == (Result.INSUFFICIENT_DATA, {}, False)
    assert found.problem


@pytest.mark.parametrize("content", [b"", b"\n", b"hello", b"\x89PNG\r\n", "证照".encode(), b"a" * 1_000_000])
def test_a_file_that_holds_no_licence_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match="file holds no licence"):
        verify_file(path, KEYS, None, NOW)


@pytest.fixture(scope="module")
def kept(service: Service, authority: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an outsider keeps: licences as fetched, keys, and status lists of two moments."""
    folder = tmp_path_factory.mktemp("kept")
    person = service.person(PERSON)
    good, revoked = (issued(service, authority)["identifier"] for _ in range(2))
    for name, identifier in (("good", good), ("revoked", revoked)):
        reply = service.http.get(f"/registry/v1/me/licences/{identifier}/credential", headers=person)
        (folder / name).write_text(reply.text, encoding="ascii")
    assert operate(service, authority, revoked, "05", "07").status_code == 200
    # Nobody has asked for the list before, so that this one is of after the change.
    (folder / "list").write_text(service.http.get("/registry/v1/status-lists/0").text, encoding="ascii")
    (folder / "jwks").write_bytes(service.http.get("/jwks.json").content)
    other = {**OTHER.public.to_jwk(), "kid": "k"}
    (folder / "other-jwks").write_bytes(orjson.dumps({"keys": [other]}))
    text = (folder / "good").read_text(encoding="ascii")
    token, _first, *rest = text.split("~")
    altered = encode_base64url(orjson.dumps(["salt", "registered_capital", "亿元"]))
    (folder / "altered").write_text("~".join([token, altered, *rest]), encoding="ascii")
    (folder / "garbage").write_bytes(b"\x00\xff" * 100)
    (folder / "empty").write_bytes(b"")
    # As the registry's key would have signed it yesterday.
    signer = open_keys(service.settings, datetime.now(UTC)).signer("credential")
    uri = f"{service.settings.base_url}/registry/v1/status-lists/0"
    stale = sign_list(signer, uri, [], now=int(time.time()) - 90000, ttl=300, lives=86400)
    (folder / "stale-list").write_text(stale, encoding="ascii")
    return folder


WITH_LIST = ["--status-list", "list"]
COMMANDS: dict[str, tuple[list[str], int, int | str]] = {
    "valid": (["good", *WITH_LIST], 0, 0),
    "revoked": (["revoked", *WITH_LIST], 1, 3),
    "altered": (["altered", *WITH_LIST], 1, 3),
    "list out of date": (["good", "--status-list", "stale-list"], 1, "the status list has expired"),
    "garbage": (["garbage"], 1, "garbage holds no licence"),
    "empty": (["empty"], 1, "empty holds no licence"),
    "missing": (["nothing"], 1, "No such file or directory: nothing"),
}


@dataclass(frozen=True, slots=True)
class Done:
    exit_code: int
    stdout: str
    stderr: str


# A process takes seconds to start on a busy machine: a verdict of each kind and an error start one, the others
# run the same command inside this one.
IN_A_PROCESS = {"valid", "revoked", "missing"}


def run(folder: Path, name: str, arguments: list[str], jwks: str = "jwks") -> Done:
    command = ["verify", *arguments, "--jwks", jwks, "--json"]
    if name in IN_A_PROCESS:
        outside = [sys.executable, "-m", "zhengtong", *command]
        done = subprocess.run(outside, cwd=folder, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)
    with contextlib.chdir(folder):
        result = CliRunner().invoke(main, command)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def runs(kept: Path) -> dict[str, Done]:
    done = {name: run(kept, name, arguments) for name, (arguments, _code, _told) in COMMANDS.items()}
    return {**done, "other issuer": run(kept, "other issuer", ["good"], "other-jwks")}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_tells_by_exit_code_and_json_or_one_line(runs: dict[str, Done], name: str) -> None:
    _arguments, exit_code, told = COMMANDS[name]
    done = runs[name]
    assert done.exit_code == exit_code, done.stderr
    if isinstance(told, int):
        found = orjson.loads(done.stdout)
        assert (found["result"], found["valid"]) == (told, exit_code == 0)
        assert done.stderr == ""
        return
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("zhengtong: ")
    assert told in line


def test_the_command_shows_what_the_file_discloses(
    runs: dict[str, Done],
) -> None:
    whole, altered, revoked = (orjson.loads(runs[name].stdout) for name in ("valid", "altered", "revoked"))
    assert all(whole["checks"].values())
    assert whole["fields"]["representative_name"] == "张三丰"
    assert revoked["fields"].keys() == whole["fields"].keys()
    assert (altered["checks"], altered["fields"]) == ({"signature": False}, {})
    assert "belongs to nothing" in altered["problem"]
    assert [name for name, passed in revoked["checks"].items() if not passed] == ["status"]


def test_the_command_trusts_the_given_keys_alone(runs: dict[str, Done]) -> None:
    done = runs["other issuer"]
    assert done.exit_code == 1
    found = orjson.loads(done.stdout)
    assert (found["valid"], found["checks"], found["fields"]) == (False, {"signature": False}, {})
    assert "key-unknown" in found["problem"]
