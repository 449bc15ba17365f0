"""Verifying a licence file without the registry: the command as an outsider runs it, and the function below it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.signing import Algorithm, encode_base64url, new_signer
from license_registry.credentials.sd_jwt import bind, select
from license_registry.credentials.status_list import sign_list
from license_registry.verifying.command import main as verify_alone
from tests.conftest import Service
from tests.license_registry.conftest import PERSON, issued, operate
from tests.license_registry.wallets.conftest import Wallet
from zhengtong.cli import main
from zhengtong.house_keys import open_keys
from zhengtong.verifying import trust_bundle

OTHER = new_signer(Algorithm.ES256, "k")


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
    wallet = Wallet(service)
    held, thief, now = wallet.holding(good), new_signer(Algorithm.ES256, ""), int(time.time())
    for name, signer, made in (
        ("shown", wallet.signer, now),
        ("shown-long-ago", wallet.signer, now - 3000),
        ("shown-by-thief", thief, now),
    ):
        bound = bind(select(held, ["representative_name"]), signer, audience="counter", nonce="n-1", now=made)
        (folder / name).write_text(bound, encoding="ascii")
    (folder / "not-shown").write_text(held, encoding="ascii")
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
    for command in (["root", "root"], ["export", "bundle"]):
        with contextlib.chdir(folder):
            done = CliRunner().invoke(trust_bundle, command, obj=service.settings)
        assert done.exit_code == 0, done.output
    return folder


WITH_LIST = ["--status-list", "list"]
COMMANDS: dict[str, tuple[list[str], int, int | str]] = {
    "valid": (["good", *WITH_LIST], 0, 0),
    "revoked": (["revoked", *WITH_LIST], 1, 3),
    "altered": (["altered", *WITH_LIST], 1, 3),
    "list out of date": (["good", "--status-list", "stale-list"], 1, 4),
    "not a list": (["good", "--status-list", "garbage"], 1, "garbage is not a signed status list"),
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
    assert {name for name, passed in whole["checks"].items() if passed} == {
        "signature",
        "issuer",
        "identifier",
        "status",
        "begun",
        "not_over",
        "clock",
    }
    assert whole["fields"]["representative_name"] == "张三丰"
    assert revoked["fields"].keys() == whole["fields"].keys()
    assert (altered["checks"], altered["fields"]) == ({"signature": False}, {})
    assert "belongs to nothing" in altered["problem"]
    assert [name for name, passed in revoked["checks"].items() if passed is False] == ["status"]


def test_the_command_trusts_the_given_keys_alone(runs: dict[str, Done]) -> None:
    done = runs["other issuer"]
    assert done.exit_code == 1
    found = orjson.loads(done.stdout)
    assert (found["valid"], found["checks"], found["fields"]) == (False, {"signature": False}, {})
    assert "key-unknown" in found["problem"]


BY_BUNDLE = [
    ("good", 0, 0, set()),
    ("revoked", 1, 3, {"status"}),
    ("altered", 1, 3, {"signature"}),
]


@pytest.mark.parametrize(("file", "code", "result", "failed"), BY_BUNDLE)
def test_a_bundle_is_all_that_is_needed(
    kept: Path, file: str, code: int, result: int, failed: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(kept):
        arguments = ["verify", file, "--bundle", "bundle", "--root", "root", "--json"]
        done = CliRunner().invoke(main, arguments)
        assert verify_alone([file, "--bundle", "bundle", "--root", "root", "--json"]) == code
    found = orjson.loads(done.stdout)
    assert (done.exit_code, found["result"]) == (code, result)
    assert {name for name, passed in found["checks"].items() if passed is False} == failed
    assert orjson.loads(capsys.readouterr().out) == found
    if not failed:
        assert found["checks"]["certificate"] is True
        assert found["checks"]["type"] is True


def test_the_report_for_people_is_chinese_first(kept: Path) -> None:
    with contextlib.chdir(kept):
        done = CliRunner().invoke(main, ["verify", "revoked", "--bundle", "bundle", "--root", "root"])
    assert "✗ 状态 · status: 证照已被颁发机构终止 · the licence has been ended by its issuer" in done.stdout
    assert "✓ 证书链 · certificate chain" in done.stdout


def test_what_cannot_be_verified_has_its_own_exit_code(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(kept):
        for arguments in (
            ["garbage", "--bundle", "bundle", "--root", "root"],
            ["good", "--bundle", "garbage", "--root", "root"],
            ["good", "--bundle", "bundle", "--root", "garbage"],
            ["missing", "--bundle", "bundle", "--root", "root"],
        ):
            assert verify_alone(arguments) == 2
            assert capsys.readouterr().err.count("\n") == 1


ASKED = ["--audience", "counter", "--nonce", "n-1"]
BINDINGS: dict[str, tuple[str, list[str], bool | None, str]] = {
    "for this question": ("shown", ASKED, True, ""),
    "for another verifier": ("shown", ["--audience", "other", "--nonce", "n-1"], False, "audience-differs"),
    "for another question": ("shown", ["--audience", "counter", "--nonce", "n-2"], False, "nonce-differs"),
    "by another key": ("shown-by-thief", ASKED, False, "signature-wrong"),
    "not by the holder at all": ("not-shown", ASKED, False, ""),
    "long ago": ("shown-long-ago", ASKED, False, "too-old"),
    "long ago, as is allowed here": ("shown-long-ago", [*ASKED, "--oldest", "86400"], True, ""),
    "too old for a short time": ("shown-long-ago", [*ASKED, "--oldest", "60"], False, "too-old"),
    "nobody asked": ("good", [], None, ""),
}


@pytest.mark.parametrize("name", BINDINGS)
@pytest.mark.parametrize(
    "trust", [["--jwks", "jwks"], ["--bundle", "bundle", "--root", "root"]], ids=["keys", "bundle"]
)
def test_the_command_demands_that_the_holder_signed_for_this_question(
    kept: Path, name: str, trust: list[str]
) -> None:
    file, options, bound, reason = BINDINGS[name]
    with contextlib.chdir(kept):
        done = CliRunner().invoke(
            main, ["verify", file, *trust, *WITH_LIST[: 2 * ("--jwks" in trust)], *options, "--json"]
        )
    found = orjson.loads(done.stdout)
    assert found["checks"].get("holder_binding") is bound
    assert found["checks"]["signature"] is True
    assert (done.exit_code, found["valid"]) == ((1, False) if bound is False else (0, True))
    assert reason in found.get("reasons", {}).get("holder_binding", "")
    assert bool(found["fields"]) is (bound is not False)


@pytest.mark.parametrize(
    "options",
    [["--audience", "counter"], ["--nonce", "n-1"], [*ASKED, "--oldest", "-1"], [*ASKED, "--oldest", "soon"]],
)
def test_a_demand_that_is_not_whole_is_a_usage_error(kept: Path, options: list[str]) -> None:
    with contextlib.chdir(kept):
        done = CliRunner().invoke(main, ["verify", "shown", "--jwks", "jwks", *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert options[-2] in done.stderr
