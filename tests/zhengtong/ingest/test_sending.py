"""Sending batches over HTTP: brought in once, refused with a reason, both recorded."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
import psycopg
import pyarrow as arrow
import pytest

from demonstration.parties import System
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, serving
from zhengtong.ingest import tables
from zhengtong.ingest.accept import ARROW, LINES

OWN = """
source: census
title: 普查
contact: 统计局
register: persons
format: json-array
senders: [sender]
columns:
  - {column: 号码, field: citizen_id, kind: citizen-id}
  - {column: 姓名, field: name}
  - {column: 状态, field: status, kind: dictionary, dictionary: {在: resident}}
  - {column: 出生, field: birth_date, kind: date}
"""
LIMIT = 1 << 21


def person(number: int) -> str:
    return CitizenId.compute("990101", date(1980, 2, 28), number).reveal()


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {"号码": person(number), "姓名": "张三丰", "状态": "在", "出生": "1980-02-28", **changes}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in rows)


def stream(*rows: dict[str, Any]) -> bytes:
    table = arrow.Table.from_pylist(list(rows))
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    (home / "sources").mkdir()
    (home / "sources" / "census.yaml").write_text(OWN, encoding="utf-8")
    gated = OWN.replace("source: census", "source: gated") + "gates: {rows_at_least: 1000}\n"
    (home / "sources" / "gated.yaml").write_text(gated, encoding="utf-8")
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=home, database_url=address, listen_port=free_port(), maximum_ingest_bytes=LIMIT
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture
def sender(service: Service) -> System:
    return service.system("sender", Role.DATA_SOURCE)


def send(
    service: Service,
    system: System,
    body: Any,
    *,
    source: str = "census",
    key: str | None = None,
    media_type: str = LINES,
    **headers: str,
) -> httpx.Response:
    given = {
        "Authorization": f"Bearer {system.token(service.http, 'urn:zhengtong:exchange')}",
        "Content-Type": media_type,
        "Idempotency-Key": str(uuid.uuid4()) if key is None else key,
        **headers,
    }
    return service.http.post(f"/exchange/v1/ingest/{source}", content=body, headers=given)


def problem(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.status_code, reply.json()["type"].rpartition(":")[2]


def last_record(service: Service) -> dict[str, Any]:
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 1"
    )
    found: dict[str, Any] = json.loads(content)
    return found


def test_json_lines_come_in_and_their_report_is_the_answer(service: Service, sender: System) -> None:
    reply = send(service, sender, lines(row(1), row(2, 状态="?"), 7) + b"\n{broken\n")
    assert reply.status_code == 200, reply.text
    report = reply.json()
    assert (report["read"], report["inserted"], report["quarantined"]) == (4, 1, 3)
    assert report["reasons"] == {"unknown-value": 1, "not-an-object": 1, "malformed-row": 1}
    record = last_record(service)
    assert (record["event"], record["outcome"], record["source"]) == ("ingest", "brought-in", "census")
    assert record["run"] == report["run_id"]
    assert service.sql("SELECT origin FROM exchange.ingest_run WHERE id = %s", report["run_id"]) == [
        ("sent/sender",)
    ]


def test_a_stream_of_arrow_comes_in_as_json_lines_do(service: Service, sender: System) -> None:
    body = stream(row(11, 出生=date(1980, 2, 28)), row(12, 出生=None), row(13, 号码="x", 出生=None))
    report = send(service, sender, body, media_type=ARROW).json()
    assert (report["read"], report["inserted"], report["quarantined"]) == (3, 2, 1)
    assert send(service, sender, lines(row(11)), media_type=LINES).json()["unchanged"] == 1


def test_the_same_key_with_the_same_body_is_answered_the_same_and_with_another_refused(
    service: Service, sender: System
) -> None:
    key = str(uuid.uuid4())
    first = send(service, sender, lines(row(21)), key=key)
    runs = service.sql("SELECT count(*) FROM exchange.ingest_run")
    again = send(service, sender, lines(row(21)), key=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert service.sql("SELECT count(*) FROM exchange.ingest_run") == runs
    assert problem(send(service, sender, lines(row(22)), key=key)) == (422, "idempotency-key-reused")
    assert service.sql("SELECT count(*) FROM exchange.ingest_run") == runs


def test_a_key_that_is_being_worked_on_is_to_be_asked_again(service: Service, sender: System) -> None:
    key = str(uuid.uuid4())
    with psycopg.connect(service.address, autocommit=True) as other:
        assert tables.try_lock(other, "sender", key)
        reply = send(service, sender, lines(row(31)), key=key)
        assert problem(reply) == (409, "ingest-under-way")
        assert reply.headers["retry-after"] == "5"
    assert send(service, sender, lines(row(31)), key=key).status_code == 200


def test_the_same_batch_sent_many_times_at_once_comes_in_once(service: Service, sender: System) -> None:
    key = str(uuid.uuid4())
    body = lines(*(row(number) for number in range(40, 60)))
    sender.token(service.http, "urn:zhengtong:exchange")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: send(service, sender, body, key=key), range(6)))
    assert {reply.status_code for reply in replies} <= {200, 409}
    reports = [reply.json() for reply in replies if reply.status_code == 200]
    assert reports
    assert all(report == reports[0] for report in reports)
    assert reports[0]["inserted"] == 20


def test_a_closed_gate_is_told_and_nothing_comes_in(service: Service, sender: System) -> None:
    before = service.sql("SELECT count(*) FROM exchange.person")
    reply = send(service, sender, lines(row(71)), source="gated")
    assert problem(reply) == (422, "gate-closed")
    assert "rows_at_least 1 < 1000" in reply.json()["detail"]
    assert service.sql("SELECT count(*) FROM exchange.person") == before
    record = last_record(service)
    assert (record["outcome"], record["reason"]) == ("refused", "gate-closed")


@pytest.mark.parametrize(
    ("body", "changes", "refused"),
    [
        (lines(row(81)), {"source": "nowhere"}, (404, "not-found")),
        (lines(row(81)), {"source": "population"}, (403, "sender-not-allowed")),
        (lines(row(81)), {"media_type": "text/csv"}, (415, "media-type-unknown")),
        (lines(row(81)), {"key": ""}, (400, "idempotency-key-missing")),
        (lines(row(81)), {"key": "k" * 201}, (400, "idempotency-key-missing")),
        (b"", {}, (400, "body-empty")),
        (b"not arrow", {"media_type": ARROW}, (422, "source-unreadable")),
        (stream(row(81))[:-100], {"media_type": ARROW}, (422, "source-unreadable")),
        (stream({"号码": "x", "多余": "y"}), {"media_type": ARROW}, (422, "header-differs")),
        (b"1" * (1 << 20), {}, (422, "source-unreadable")),
    ],
)
def test_what_cannot_be_taken_is_refused_and_recorded(
    service: Service, sender: System, body: bytes, changes: dict[str, str], refused: tuple[int, str]
) -> None:
    reply = send(service, sender, body, **changes)
    assert problem(reply) == refused
    record = last_record(service)
    assert (record["event"], record["outcome"], record["reason"]) == ("ingest", "refused", refused[1])
    assert "nowhere" not in str(record)


def test_only_this_route_takes_more_than_the_others_and_not_without_end(
    service: Service, sender: System
) -> None:
    large = b" \n" * (service.settings.maximum_body_bytes // 2 + 1) + lines(row(91))
    assert send(service, sender, large).status_code == 200
    too_large = b" \n" * LIMIT
    assert problem(send(service, sender, too_large)) == (413, "body-too-large")
    assert problem(send(service, sender, iter([too_large[:LIMIT], b" \n"]))) == (413, "body-too-large")
    elsewhere = service.http.post("/exchange/v1/verifications", content=large)
    assert problem(elsewhere) == (413, "body-too-large")


def test_a_body_that_is_cut_short_is_not_read(service: Service, sender: System) -> None:
    people = service.sql("SELECT count(*) FROM exchange.person")
    whole = lines(row(93), row(94))
    head = (
        "POST /exchange/v1/ingest/census HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {sender.token(service.http, 'urn:zhengtong:exchange')}\r\n"
        f"Content-Type: {LINES}\r\nIdempotency-Key: cut\r\nContent-Length: {len(whole)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.settings.listen_port)) as connection:
        connection.sendall(head.encode() + whole[: len(whole) // 2 + 20])
    deadline = time.monotonic() + 20
    while last_record(service).get("reason") != "malformed-body":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert service.sql("SELECT count(*) FROM exchange.person") == people


def test_without_the_role_or_a_token_nothing_is_taken(service: Service) -> None:
    other = service.system("other", Role.DEPARTMENT_SYSTEM)
    assert problem(send(service, other, lines(row(95)))) == (403, "role-missing")
    stranger = service.system("stranger", Role.DATA_SOURCE)
    assert problem(send(service, stranger, lines(row(95)))) == (403, "sender-not-allowed")
    assert problem(service.http.post("/exchange/v1/ingest/census", content=b"x")) == (401, "token-missing")
