"""Commands on the life of licences: what they report, that they may run again, and what they refuse."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from foundation.settings import Settings
from license_registry.issuing.issue import issue
from tests.conftest import MARKET, free_port
from tests.license_registry.conftest import AUTHORITY, HOLDER, registry, request
from tests.zhengtong.conftest import Run, one_line

NAME = "示范市东湖茶业有限公司"


def issued(settings: Settings, address: str, until: str) -> str:
    async def work() -> str:
        async with registry(settings, address) as ports:
            wanted = request(valid_until=until)
            return (await issue(ports, AUTHORITY, wanted, datetime.now(UTC))).licence.identifier

    return asyncio.run(work())


def test_licences_lapse_once_and_the_day_is_told(run: Run, settings: Settings, database_url: str) -> None:
    lapsed = issued(settings, database_url, "2021-12-31")
    issued(settings, database_url, "2099-12-31")
    assert json.loads(run("licence", "expire", "--json").stdout) == {"expired": 1}
    assert json.loads(run("licence", "expire", "--json").stdout) == {"expired": 0}
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT state FROM license_registry.licence WHERE identifier = %s", [lapsed]
        ).fetchone()
    assert found == ("05",)
    counts = json.loads(run("licence", "daily", "--json").stdout)
    assert counts.keys() >= {"expired", "returned", "reminded_7", "reminded_30", "reminded_60"}
    assert sum(counts.values()) == 0
    assert "expired" in run("licence", "daily").stdout


def test_what_wallets_need_no_more_is_forgotten(run: Run, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for name, hours in (("old", 25), ("kept", 23)):
            connection.execute(
                "INSERT INTO license_registry.wallet_request (id, client_id, department, licence_type, fields,"
                " purpose, matter, \"case\", nonce, expires_at) VALUES (%s, 'counter', %s, 'food-permit', '{}',"
                " 'p', 'm', 'c', 'n', now() - %s * interval '1 hour')",
                [name, AUTHORITY.department, hours],
            )
    assert json.loads(run("licence", "daily", "--json").stdout)["wallets_forgotten"] == 1
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT id FROM license_registry.wallet_request").fetchall() == [("kept",)]


def test_the_registers_that_a_connector_filled_raise_tasks(
    run: Run, settings: Settings, database_url: str, tmp_path: Path
) -> None:
    settings.sources_folder.mkdir(parents=True)
    (settings.sources_folder / "entities.yaml").write_text(
        "source: entities\ntitle: 法人\ncontact: 市场监管局\nregister: legal_entities\nformat: delimited\n"
        "encoding: utf-8\ncolumns:\n  - {column: 代码, field: code, kind: uscc}\n  - {column: 名称, field: name}\n"
        "  - {column: 地址, field: address}\n",
        encoding="utf-8",
    )

    def bring(address: str) -> None:
        path = tmp_path / "entities.csv"
        path.write_text(f"代码,名称,地址\n{HOLDER},{NAME},{address}\n", encoding="utf-8")
        report = json.loads(run("ingest", "entities", "--file", str(path), "--json").stdout)
        assert report["quarantined"] == 0

    bring("东湖路1号")
    made = issued(settings, database_url, "2099-12-31")
    assert json.loads(run("licence", "follow-registers", "--json").stdout) == {
        "holders": 1,
        "changed": 0,
        "tasks": 0,
    }
    bring("东湖路2号")
    assert json.loads(run("licence", "follow-registers", "--json").stdout)["tasks"] == 1
    assert json.loads(run("licence", "follow-registers", "--json").stdout)["tasks"] == 0
    (task,) = json.loads(run("licence", "tasks", "--department", MARKET, "--json").stdout)
    assert (task["licence"], task["cause"], task["reaction"]) == (made, "address", "change")
    assert made in run("licence", "tasks").stdout
    assert json.loads(run("licence", "tasks", "--state", "done", "--json").stdout) == []


def test_dead_notices_make_the_command_fail_until_somebody_sees_to_them(
    run: Run, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHENGTONG_WEBHOOK_NETWORKS", '["127.0.0.0/8"]')
    url = f"http://127.0.0.1:{free_port()}/none"
    made = json.loads(run("licence", "subscribe", "--department", MARKET, "--url", url, "--json").stdout)
    again = json.loads(run("licence", "subscribe", "--department", MARKET, "--url", url, "--json").stdout)
    assert made == again
    issued(settings, database_url, "2021-12-31")
    run("licence", "expire")
    first = run("licence", "deliver", "--json")
    assert (first.exit_code, json.loads(first.stdout)) == (0, {"delivered": 0, "failed": 1, "dead": 0})
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE license_registry.delivery SET attempts = 6, next_attempt_at = now()")
    last = run("licence", "deliver", "--json")
    assert (last.exit_code, json.loads(last.stdout)) == (1, {"delivered": 0, "failed": 1, "dead": 1})
    (dead,) = json.loads(run("licence", "dead-notices", "--json").stdout)
    assert (dead["kind"], dead["last_failure"]) == ("state-changed", "ConnectError")
    assert url in run("licence", "dead-notices", "--retry").stdout
    assert json.loads(run("licence", "dead-notices", "--json").stdout) == []
    assert run("licence", "deliver", "--json").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--department", MARKET, "--url", "http://example.org/"),
        ("--department", MARKET, "--url", "https://example.org/", "--kind", "gossip"),
        ("--department", MARKET, "--url", "https://127.0.0.1/"),
        ("--department", "11990100", "--url", "https://example.org/"),
    ],
)
def test_a_subscription_that_cannot_be_is_told_on_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    one_line(run("licence", "subscribe", *arguments))
