"""Settings: where they come from, what is refused and how it is told, and that no secret shows."""

from __future__ import annotations

import ast
import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError

import foundation.settings
from foundation.settings import Settings, SettingsError, load_master_key
from zhengtong.cli import main

KEY = base64.b64encode(bytes(range(32))).decode()
SECRETS = {
    "ZHENGTONG_MASTER_KEY": KEY,
    "ZHENGTONG_DATABASE_URL": "postgresql://zhengtong:pass%2Fword-1@db.example:5432/zhengtong",
    "ZHENGTONG_S3_ACCESS_KEY": "access-key-1",
    "ZHENGTONG_S3_SECRET_KEY": "secret-key-1",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ZHENGTONG_")]:
        monkeypatch.delenv(name)


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def test_keyword_before_environment_before_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (Settings().home, Settings().listen_port) == (Path("var"), 8800)
    monkeypatch.setenv("ZHENGTONG_HOME", "/elsewhere")
    monkeypatch.setenv("ZHENGTONG_LISTEN_PORT", "9")
    assert (Settings().home, Settings().listen_port) == (Path("/elsewhere"), 9)
    assert (Settings(home=tmp_path).home, Settings(listen_port=10).listen_port) == (tmp_path, 10)
    assert Settings(home=tmp_path).listen_port == 9


def test_the_option_home_goes_before_the_environment(tmp_path: Path) -> None:
    shown = command("--home", str(tmp_path), "config", "--json", ZHENGTONG_HOME="/elsewhere")
    assert json.loads(shown.stdout)["home"] == str(tmp_path)


def test_folders_lie_under_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    folders = (settings.keys_folder, settings.ledger_folder, settings.objects_folder, settings.logs_folder)
    assert {folder.parent for folder in folders} == {tmp_path}
    assert len(set(folders)) == 4


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://127.0.0.1:8800"),
        ({"listen_host": "::1", "listen_port": 80}, "http://[::1]:80"),
        ({"public_url": "https://share.city.example/"}, "https://share.city.example"),
    ],
)
def test_the_address_of_the_service(given: dict[str, object], address: str) -> None:
    assert Settings(**given).base_url == address


def test_settings_stand_still_and_unknown_ones_are_refused() -> None:
    with pytest.raises(ValidationError):
        Settings().listen_port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="listen_prot"):
        Settings(listen_prot=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["text", "json"])
def test_no_secret_shows(option: tuple[str, ...]) -> None:
    shown = command("config", *option, **SECRETS)
    assert shown.exit_code == 0
    for secret in (KEY, "pass%2Fword-1", "pass/word-1", "access-key-1", "secret-key-1", "db.example"):
        assert secret not in shown.output
    assert shown.output.count("**********") == len(SECRETS)
    if option:
        values = json.loads(shown.stdout)
        assert values["master_key"] == "**********"
        assert set(values) == set(Settings.model_fields)


def test_an_unset_secret_is_told_from_a_hidden_one() -> None:
    assert json.loads(command("config", "--json").stdout)["master_key"] is None


def test_no_secret_shows_in_repr_or_in_the_error_of_another_setting() -> None:
    given = {name.removeprefix("ZHENGTONG_").lower(): value for name, value in SECRETS.items()}
    texts = [repr(Settings(**given)), str(Settings(**given))]
    with pytest.raises(ValidationError) as refused:
        Settings(**given, listen_port=-1)
    texts.append(str(refused.value))
    for text in texts:
        for secret in (KEY, "pass%2Fword-1", "access-key-1", "secret-key-1"):
            assert secret not in text


BAD: dict[str, tuple[dict[str, str], str]] = {
    "port": ({"LISTEN_PORT": "70000"}, "listen_port"),
    "port no number": ({"LISTEN_PORT": "http"}, "listen_port"),
    "body limit": ({"MAXIMUM_BODY_BYTES": "0"}, "maximum_body_bytes"),
    "token life": ({"ACCESS_TOKEN_SECONDS": "86400"}, "access_token_seconds"),
    "code life": ({"PRESENTATION_SECONDS": "0"}, "presentation_seconds"),
    "interval": ({"SEQUENCE_INTERVAL_SECONDS": "nan"}, "sequence_interval_seconds"),
    "log level": ({"LOG_LEVEL": "LOUD"}, "log_level"),
    "boolean": ({"DEVELOPMENT_ISSUER": "perhaps"}, "development_issuer"),
    "object store": ({"OBJECT_STORE": "ftp"}, "object_store"),
    "object store without its keys": ({"OBJECT_STORE": "s3"}, "s3_secret_key"),
    "object store with an empty key": (
        {"OBJECT_STORE": "s3", "S3_ENDPOINT": "h:1", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": ""},
        "s3_secret_key",
    ),
    "other database": ({"DATABASE_URL": "mysql://u:pass-1@h/d"}, "database_url"),
    "empty database": ({"DATABASE_URL": ""}, "database_url"),
    "odd database": ({"DATABASE_URL": "postgresql://u:pass-1@[::1/d"}, "database_url"),
    "short master key": ({"MASTER_KEY": base64.b64encode(b"short").decode()}, "master_key"),
    "master key not in base64": ({"MASTER_KEY": "pass-1 and more"}, "master_key"),
    "master key not in ASCII": ({"MASTER_KEY": "密钥" * 22}, "master_key"),
    "two issuers": (
        {"DEVELOPMENT_ISSUER": "true", "PEOPLE_ISSUER": "https://people.example"},
        "people_issuer",
    ),
    "wallet by a script": ({"WALLET_CLIENTS": '{"w":["javascript:alert(1)"]}'}, "wallet_clients"),
    "wallet without TLS": ({"WALLET_CLIENTS": '{"w":["http://wallet.example/back"]}'}, "wallet_clients"),
    "wallet nowhere": ({"WALLET_CLIENTS": '{"w":["https:///back"]}'}, "wallet_clients"),
    "wallet with a fragment": ({"WALLET_CLIENTS": '{"w":["https://wallet.example/#a"]}'}, "wallet_clients"),
    "attested by nobody": ({"WALLET_ATTESTATION": "required"}, "wallet_attesters"),
    "wallet with a line": ({"WALLET_CLIENTS": '{"w":["com.example:/a\\nb"]}'}, "wallet_clients"),
    "development beyond loopback": (
        {"DEVELOPMENT_ISSUER": "true", "LISTEN_HOST": "0.0.0.0"},
        "development_issuer",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_one_line_that_names_the_setting(name: str) -> None:
    given, setting = BAD[name]
    refused = command("config", **{f"ZHENGTONG_{key}": value for key, value in given.items()})
    assert (refused.exit_code, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith("zhengtong: ")
    assert setting in line
    assert "pass-1" not in line


def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(tmp_path: Path) -> None:
    for place in ("127.0.0.1:1", "127.0.0.1:port", "no-such-host.invalid"):
        address = f"postgresql://u:pass-1@{place}/d"
        refused = command("--home", str(tmp_path), "migrate", ZHENGTONG_DATABASE_URL=address)
        assert (refused.exit_code, refused.stdout) == (1, ""), refused.exception
        (line,) = refused.stderr.splitlines()
        assert line.startswith("zhengtong: ")
        assert "database" in line
        assert "pass-1" not in line


def test_the_master_key_is_the_setting_or_a_file_made_once(tmp_path: Path) -> None:
    assert load_master_key(Settings(home=tmp_path / "a", master_key=KEY)) == bytes(range(32))
    assert not (tmp_path / "a").exists(), "a key that is given is not written down"
    home = Settings(home=tmp_path / "b")
    made = load_master_key(home)
    assert len(made) == 32
    assert load_master_key(home) == made
    assert load_master_key(Settings(home=tmp_path / "c")) != made
    folder = tmp_path / "b" / "secrets"
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_first_starts_at_once_agree_on_one_master_key(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    together = Barrier(8)

    def start(_number: int) -> bytes:
        together.wait(10)
        return load_master_key(settings)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(start, range(8)))) == 1
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["master.key"]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, base64.b64encode(bytes(33))])
def test_a_damaged_master_key_file_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets" / "master.key"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"master\.key"):
        load_master_key(Settings(home=tmp_path))
    assert path.read_bytes() == content


def test_nothing_else_reads_the_environment() -> None:
    root = Path(foundation.settings.__file__).parents[1]
    # The demonstration hands its environment on to the service that it starts, and reads nothing from it.
    packages = ("foundation", "license_registry", "exchange", "connectors", "zhengtong")
    # The library of metrics takes its folder from nowhere else; `serving` sets it, and reads nothing.
    sets = root / "zhengtong" / "serving.py"
    sources = [path for package in packages for path in (root / package).rglob("*.py") if path != sets]
    assert len(sources) > 80
    reading = [
        path
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    ]
    assert reading == []
