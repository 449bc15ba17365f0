"""Commands on notices and messages that were given up: listed, tried again, on record, refused on one line."""

from __future__ import annotations

import json
import uuid
from typing import Any

import orjson
import psycopg
import pytest

from tests.conftest import MARKET
from tests.zhengtong.conftest import Run, one_line


def sql(address: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def revivals(address: str, event: str) -> list[dict[str, Any]]:
    found = sql(address, "SELECT content FROM exchange.access_record ORDER BY recorded_at")
    return [record for (content,) in found if (record := orjson.loads(content))["event"] == event]


@pytest.fixture
def notices(database_url: str) -> list[int]:
    """Dead notices to two systems, and one that waits."""
    correction = uuid.uuid4()
    sql(
        database_url,
        "INSERT INTO exchange.correction_report (id, client_id, department, owner, resource, register, subject, field,"
        " state, reported_at) VALUES (%s, 'fund', %s, %s, 'persons-basic', 'persons', '\\x00', 'name', 'corrected', now())",
        correction,
        MARKET,
        MARKET,
    )
    return [
        sql(
            database_url,
            "INSERT INTO exchange.correction_notice (correction, client_id, department, records, created_at, attempts,"
            " dead_at, next_attempt_at, last_failure) VALUES (%s, %s, %s, '{}', now(), 7,"
            " CASE WHEN %s THEN now() END, CASE WHEN NOT %s THEN now() END, 'HTTP 500') RETURNING id",
            correction,
            client,
            MARKET,
            dead,
            dead,
        )[0][0]
        for client, dead in (("fund", True), ("school", True), ("school", True), ("fund", False))
    ]


def test_dead_notices_of_wrong_values_are_listed_and_tried_again(
    run: Run, database_url: str, notices: list[int]
) -> None:
    shown = run("correction", "dead", "--json")
    assert shown.exit_code == 1
    assert {each["id"] for each in json.loads(shown.stdout)} == set(notices[:3])
    only = run("correction", "dead", "--client", "fund")
    assert (only.exit_code, only.stdout.count("HTTP 500")) == (1, 1)
    number = str(notices[1])
    assert json.loads(run("correction", "retry", "--notice", number, "--json").stdout) == {"notices": 1}
    assert "no such dead notice" in one_line(run("correction", "retry", "--notice", number))
    assert json.loads(run("correction", "retry", "--client", "school", "--json").stdout) == {"notices": 1}
    assert json.loads(run("correction", "retry", "--json").stdout) == {"notices": 1}
    left = run("correction", "dead")
    assert (left.exit_code, "HTTP 500" in left.stdout) == (0, False)
    waiting = sql(
        database_url, "SELECT attempts, next_attempt_at IS NOT NULL FROM exchange.correction_notice"
    )
    assert sorted(waiting) == [(0, True)] * 3 + [(7, True)]
    told = revivals(database_url, "correction-notice-revived")
    assert [(each["client"], each["number"]) for each in told] == [("operator-command", 1)] * 3


def test_dead_messages_are_listed_and_tried_again_while_there_is_something_to_send(
    run: Run, database_url: str
) -> None:
    ids = [uuid.uuid4() for _ in range(3)]
    for message, target, sealed in zip(ids, ("credit", MARKET, MARKET), (b"x", b"x", None), strict=True):
        sql(
            database_url,
            "INSERT INTO exchange.outbox (id, target, kind, sealed, made_at, attempts, dead_at, last_failure)"
            " VALUES (%s, %s, 'benefit-due', %s, now(), 7, now(), 'ConnectError')",
            message,
            target,
            sealed,
        )
    shown = run("outbox", "dead", "--json")
    assert shown.exit_code == 1
    assert {each["id"] for each in json.loads(shown.stdout)} == set(map(str, ids))
    assert "ConnectError" in run("outbox", "dead").stdout
    one = ("outbox", "retry", "--message", str(ids[0]))
    assert json.loads(run(*one, "--json").stdout) == {"messages": 1}
    assert "no such dead message" in one_line(run(*one))
    # What has no text any more cannot be sent.
    assert "no such dead message" in one_line(run("outbox", "retry", "--message", str(ids[2])))
    assert json.loads(run("outbox", "retry", "--target", MARKET, "--json").stdout) == {"messages": 1}
    assert json.loads(run("outbox", "retry", "--json").stdout) == {"messages": 0}
    assert [each["number"] for each in revivals(database_url, "message-revived")] == [1, 1, 0]
