"""The command line: what each command says, in words and as JSON, and the exit code that scripts rely on."""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from click.testing import Result

from connectors.sources.raw import SourceError
from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from tests.conftest import Service, fresh_database
from tests.zhengtong.conftest import PERSON, Run, one_line
from zhengtong.cli import ELSEWHERE
from zhengtong.house_keys import open_keys


def test_ingest_reports_what_was_done_and_a_second_time_changes_nothing(run: Run, population: Path) -> None:
    first = run("ingest", "population", "--file", str(population), "--json")
    assert first.exit_code == 0
    report = json.loads(first.stdout)
    names = ("read", "inserted", "changed", "unchanged", "quarantined")
    assert [report[name] for name in names] == [3, 1, 0, 1, 1]
    assert report["reasons"] == {"wrong-check-character": 1}
    assert report["seconds"] > 0
    second = json.loads(run("ingest", "population", "--file", str(population), "--json").stdout)
    assert [second[name] for name in names] == [3, 0, 0, 2, 1]


def test_ingest_in_words_names_the_reasons(run: Run, population: Path) -> None:
    said = run("ingest", "population", "--file", str(population)).stdout
    assert "隔离 · quarantined" in said
    assert "wrong-check-character" in said
    assert PERSON[:-1] not in said


def test_a_short_command_does_not_load_what_only_others_need() -> None:
    program = "import sys, zhengtong.cli; print(*sorted({'fastapi', 'minio', 'paramiko'} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.split() == []


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_a_command_that_stands_elsewhere_is_found(run: Run, name: str) -> None:
    assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ingest", "weather", "--file", "x.csv"), "weather"),
        (("ingest", "population", "--file", "absent.csv"), "absent.csv"),
    ],
)
def test_ingest_refuses_on_one_line(run: Run, arguments: tuple[str, ...], says: str) -> None:
    assert says in one_line(run(*arguments))


def test_ingest_of_another_file_says_what_its_header_lacks(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    assert "公民身份号码" in one_line(run("ingest", "population", "--file", str(path)))


def test_a_database_that_is_down_is_told_on_one_line(run: Run, population: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"postgresql://postgres@127.0.0.1:{taken.getsockname()[1]}/zhengtong"
        said = one_line(
            run("ingest", "population", "--file", str(population), ZHENGTONG_DATABASE_URL=nowhere)
        )
    assert "cannot reach the database" in said


def test_tables_of_no_version_are_refused_until_migrated(
    run: Run, server_address: str, population: Path
) -> None:
    with fresh_database(server_address, "template0") as empty:
        given = {"ZHENGTONG_DATABASE_URL": empty}
        assert "zhengtong migrate" in one_line(
            run("ingest", "population", "--file", str(population), **given)
        )
        migrated = run("migrate", "--json", **given)
        assert json.loads(migrated.stdout)["version"]
        assert run("ingest", "population", "--file", str(population), **given).exit_code == 0


@pytest.mark.parametrize(
    ("value", "kind", "valid"),
    [
        (PERSON, "citizen-id", True),
        (PERSON[:-1] + ("1" if PERSON[-1] != "1" else "2"), "citizen-id", False),
        ("91350100M000100Y43", "uscc", True),
        ("91350100M000100Y44", "uscc", False),
        ("330113", "division", True),
        (
            "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
            "e-licence-identifier",
            True,
        ),
        (
            "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.A",
            "e-licence-identifier",
            False,
        ),
        ("hello", "unknown", False),
        ("", "unknown", False),
    ],
)
def test_identifier_check_tells_kind_and_verdict(run: Run, value: str, kind: str, valid: bool) -> None:
    done = run("identifier", "check", value, "--json")
    found = json.loads(done.stdout)
    assert (found["kind"], found["valid"], done.exit_code) == (kind, valid, 0 if valid else 1)
    assert valid or found["reasons"]
    words = run("identifier", "check", value)
    assert words.exit_code == done.exit_code
    if kind == "citizen-id":
        assert value not in done.stdout + words.stdout


def register(run: Run, tmp_path: Path, *roles: str, **document: Any) -> Result:
    path = tmp_path / "jwks.json"
    system = System("tax", "税务", "11990100MB2A00001X", frozenset({Role.DEPARTMENT_SYSTEM}))
    path.write_bytes(orjson.dumps(document or system.registration().jwks))
    given = [part for role in roles for part in ("--role", role)]
    options = ["--name", "税务局", "--department", "11990100MB2A00001X", "--jwks", str(path)]
    return run("client", "register", "tax-office", *options, *given)


def test_a_client_is_registered_with_its_keys(run: Run, tmp_path: Path, database_url: str) -> None:
    assert register(run, tmp_path, "department-system", "counter").exit_code == 0
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT client_id, name FROM identity.client").fetchall()
    assert row == [("tax-office", "税务局")]


def test_a_client_without_usable_keys_is_refused(run: Run, tmp_path: Path) -> None:
    said = one_line(register(run, tmp_path, "counter", keys=[{"kty": "EC", "crv": "P-256", "kid": "1"}]))
    assert "jwks.json" in said


def test_a_key_that_another_client_has_is_refused_under_whatever_name(run: Run, tmp_path: Path) -> None:
    (key,) = System("tax", "税务", "x", frozenset()).registration().jwks["keys"]
    assert register(run, tmp_path, "counter", keys=[key]).exit_code == 0
    assert register(run, tmp_path, "counter", keys=[key]).exit_code == 0  # its own, again
    path = tmp_path / "jwks.json"
    path.write_bytes(orjson.dumps({"keys": [{**key, "kid": "another name"}]}))
    options = ["--name", "n", "--department", "d", "--role", "counter", "--jwks", str(path)]
    said = one_line(run("client", "register", "customs", *options))
    assert "tax-office" in said


def test_an_unknown_role_is_refused_with_the_known_ones(run: Run, tmp_path: Path) -> None:
    done = register(run, tmp_path, "king")
    assert done.exit_code == 2
    assert "department-system" in done.stderr


def test_keys_rotate_makes_the_next_key_active(run: Run, settings: Settings) -> None:
    before = open_keys(settings, datetime.now(UTC)).signer("answer").public
    done = run("keys", "rotate", "answer")
    after = open_keys(settings, datetime.now(UTC)).signer("answer").public
    assert done.exit_code == 0
    assert after.to_jwk() != before.to_jwk()
    kids = {key["kid"] for key in open_keys(settings, datetime.now(UTC)).jwks()["keys"]}
    assert len(kids) >= 2
    assert any(kid in done.stdout for kid in kids)


def test_rotating_an_unknown_purpose_is_refused(run: Run) -> None:
    assert "coffee" in one_line(run("keys", "rotate", "coffee"))


def test_the_demonstration_refuses_a_port_that_is_taken(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in one_line(run("demo", "--once", "--port", str(port)))


def test_serving_refuses_a_port_that_is_taken(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in one_line(run("serve", "--port", str(taken.getsockname()[1])))


@pytest.fixture(scope="module")
def log(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A log with records: folder, address, key and the auditor's export."""
    auditor = service.system("audit-office", Role.AUDITOR)
    asking = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
    question = {
        "resource": "persons-basic",
        "subject": PERSON,
        "claims": {"name": "张"},
        "matter": "m",
        "case": "c",
    }
    for _ in range(3):
        refused = asking.call(service.http, "POST", "/exchange/v1/verifications", question)
        assert refused.status_code == 403
    records = auditor.call(service.http, "GET", "/exchange/v1/audit/records?outcome=refused").json()[
        "records"
    ]
    for record in records:
        for _ in range(200):
            reply = auditor.call(service.http, "GET", f"/exchange/v1/receipts/{record['id']}")
            if reply.status_code == 200:
                break
        assert reply.status_code == 200
    path = tmp_path_factory.mktemp("audit") / "records.jsonl"
    path.write_bytes(auditor.call(service.http, "GET", "/exchange/v1/audit/records.jsonl").content)
    return {
        "folder": str(service.settings.ledger_folder),
        "address": f"{service.settings.base_url}/ledger",
        "key": (service.settings.ledger_folder / "log.vkey").read_text().strip(),
        "records": path,
    }


@pytest.mark.parametrize("where", ["folder", "address"])
def test_verify_log_holds_in_a_folder_and_over_http(run: Run, log: dict[str, Any], where: str) -> None:
    options = ("--key", log["key"], "--records", str(log["records"]))
    for _ in range(20):
        done = run("verify-log", log[where], *options, "--json")
        report = json.loads(done.stdout)
        assert (done.exit_code, report["problems"], report["checkpoint"]) == (0, [], True)
        assert report["size"] >= report["records_checked"] >= 3
        words = run("verify-log", log[where], *options)
        assert words.exit_code == 0
        if report["root"] in words.stdout:
            break  # else the log grew in between: what the auditor read is recorded, too
    assert report["root"] in words.stdout


def test_verify_log_names_the_record_that_was_altered(run: Run, log: dict[str, Any], tmp_path: Path) -> None:
    lines = log["records"].read_bytes().splitlines()
    altered = orjson.loads(lines[0])
    altered["record"]["client"] = "somebody-else"
    copy = tmp_path / "altered.jsonl"
    copy.write_bytes(b"\n".join([orjson.dumps(altered), *lines[1:]]) + b"\n")
    done = run("verify-log", log["folder"], "--key", log["key"], "--records", str(copy), "--json")
    problems = json.loads(done.stdout)["problems"]
    assert done.exit_code == 1
    assert [(p["code"], p["record_id"]) for p in problems] == [("record-altered", altered["record_id"])]
    assert (
        altered["record_id"]
        in run("verify-log", log["folder"], "--key", log["key"], "--records", str(copy)).stdout
    )


def test_checkpoint_folds_what_waits_where_no_service_does(
    run: Run, settings: Settings, database_url: str
) -> None:
    entries = [bytes([n]) * 32 for n in range(3)]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO ledger.pending (entry) SELECT unnest(%s::bytea[])", [entries])
    for folded in (3, 0):
        done = run("checkpoint", "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert (told["size"], told["folded"]) == (3, folded)
        done = run("verify-log", str(settings.ledger_folder), "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert (found["size"], found["root"], found["problems"]) == (3, told["root"], [])
    assert "3" in run("checkpoint").stdout
    # Of a log that somebody put an old copy of the database beside, nothing is signed.
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE ledger.tree_head SET size = 2")
    assert one_line(run("checkpoint"))


def test_verify_log_refuses_another_logs_key(run: Run, log: dict[str, Any], settings: Settings) -> None:
    from zhengtong.house_keys import open_log_signer

    other = open_log_signer(settings, open_keys(settings, datetime.now(UTC))).verifier_key
    done = run("verify-log", log["folder"], "--key", other, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"]


@pytest.mark.parametrize("where", ["folder", "address"])
def test_without_a_key_the_one_beside_the_log_is_taken_and_told(
    run: Run, log: dict[str, Any], where: str
) -> None:
    report = json.loads(run("verify-log", log[where], "--json").stdout)
    assert (report["problems"], report["key_from"]) == ([], "published beside the log")


@pytest.mark.parametrize("where", ["absent", "http://127.0.0.1:9/ledger"])
def test_verify_log_of_nothing_is_refused_on_one_line(run: Run, tmp_path: Path, where: str) -> None:
    assert one_line(run("verify-log", where if "://" in where else str(tmp_path / where)))


def test_a_broken_key_is_refused_on_one_line(run: Run, log: dict[str, Any]) -> None:
    assert one_line(run("verify-log", log["folder"], "--key", "nonsense"))


def test_an_unforeseen_error_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("zhengtong.cli.load_mapping", fail)
    with pytest.raises(ZeroDivisionError):
        run("ingest", "population", "--file", "x")
    assert issubclass(SourceError, Exception)


@pytest.mark.thorough
def test_a_command_loads_only_what_it_needs() -> None:
    """Most of the time of a short command is imports; `-X importtime` tells where it goes."""
    heavy = ("exchange.app", "fastapi.applications", "pypinyin", "openpyxl", "minio")
    code = (
        "import sys, zhengtong.cli, connectors.pipeline; one = set(sys.modules);"
        "import zhengtong.verifying, zhengtong.licence_commands; two = set(sys.modules);"
        "import zhengtong.app; three = set(sys.modules);"
        f"print(*([m for m in {heavy} if m in each] for each in (one, two, three)), sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare, short, serving = (set(ast.literal_eval(part)) for part in done.stdout.strip().split("|"))
    assert bare == set()
    assert "exchange.app" not in short and not short & {"pypinyin", "openpyxl", "minio"}
    assert serving == {"exchange.app", "fastapi.applications"}
