"""Logs, metrics and the limits at the door: what is told of a request, and that no citizen ID is ever in it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.telemetry import JsonLines, configure_logging
from tests.conftest import Service, free_port, fresh_database

PERSON = CitizenId.compute("990105", date(1979, 3, 4), 555).reveal()
FIFTEEN = PERSON[:6] + PERSON[8:17]


@pytest.fixture(scope="module")
def logged(server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A house served by its command, in a process of its own: it alone sets up the logs."""
    home = tmp_path_factory.mktemp("home")
    with fresh_database(server_address, template) as address:
        settings = Settings(home=home, database_url=address, listen_port=free_port())
        environment = {
            "PATH": os.environ["PATH"],
            "ZHENGTONG_DATABASE_URL": address,
            "ZHENGTONG_DEVELOPMENT_ISSUER": "true",
            "ZHENGTONG_LOG_LEVEL": "DEBUG",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "zhengtong", "--home", home, "serve", "--port", str(settings.listen_port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with httpx.Client(base_url=settings.base_url, timeout=30) as http:
                deadline = time.monotonic() + 60
                while True:
                    try:
                        http.get("/readyz").raise_for_status()
                        break
                    except httpx.TransportError:
                        assert process.poll() is None, process.communicate()
                        assert time.monotonic() < deadline
                        time.sleep(0.05)
                yield Service(settings, address, http)
        finally:
            process.terminate()
            out, _nothing = process.communicate(timeout=20)
        # Everything else goes to the file: a person at the terminal is told where it serves.
        assert out.splitlines() == [f"服务地址 {settings.base_url} · Serving at {settings.base_url}"]


def log_of(service: Service) -> str:
    return (service.settings.logs_folder / "zhengtong.jsonl").read_text(encoding="utf-8")


def lines_of(service: Service, request: str) -> list[dict[str, Any]]:
    """Return the log lines of one request; the access line is the last thing that happens to it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [
            line
            for line in map(json.loads, log_of(service).splitlines())
            if line.get("request_id") == request
        ]
        if any(line["logger"] == "zhengtong.access" for line in found):
            return found
        time.sleep(0.01)
    raise AssertionError(f"no access line of {request}")


def test_every_line_is_json_with_time_level_and_logger(logged: Service) -> None:
    reply = logged.http.get("/healthz")
    lines_of(logged, reply.headers["x-request-id"])
    lines = [json.loads(line) for line in log_of(logged).splitlines()]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
        assert {"level", "logger", "message"} <= set(line)


def test_a_request_is_one_access_line_with_its_id(logged: Service) -> None:
    reply = logged.http.get("/certificates/none.pem?page=2")
    (line,) = lines_of(logged, reply.headers["x-request-id"])
    del line["time"]
    assert line.pop("milliseconds") >= 0
    assert line == {
        "level": "INFO",
        "logger": "zhengtong.access",
        "message": "request",
        "request_id": reply.headers["x-request-id"],
        "method": "GET",
        "route": "/certificates/{kid}.pem",
        "status": 404,
    }
    assert reply.json()["instance"] == f"urn:zhengtong:request:{reply.headers['x-request-id']}"


@pytest.mark.parametrize("given", ["abc123", "A" * 64, "0f3c2d1e-8b7a-4c5d-9e6f-001122334455"])
def test_a_request_id_that_is_given_is_kept(logged: Service, given: str) -> None:
    reply = logged.http.get("/healthz", headers={"X-Request-Id": given})
    assert reply.headers.get_list("x-request-id") == [given]
    assert lines_of(logged, given)[-1]["route"] == "/healthz"


@pytest.mark.parametrize("given", ["", "A" * 65, "a b", 'a"b', "a{b}", "编号".encode(), b"\xff"])
def test_a_request_id_that_is_no_id_is_replaced(logged: Service, given: Any) -> None:
    reply = logged.http.get("/healthz", headers={"X-Request-Id": given})
    assert re.fullmatch(r"[A-Za-z0-9]{10,64}", reply.headers["x-request-id"])


def test_request_ids_differ(logged: Service) -> None:
    assert len({logged.http.get("/healthz").headers["x-request-id"] for _ in range(20)}) == 20


def test_no_citizen_id_gets_into_logs_or_metrics(logged: Service) -> None:
    asking = logged.system("housing-fund", Role.DEPARTMENT_SYSTEM, Role.COUNTER, Role.AUDITOR)
    http = logged.http
    headers = logged.person(PERSON)
    question = {"resource": "none", "subject": PERSON, "claims": {PERSON: PERSON}, "matter": "m", "case": "c"}
    replies = [
        # In the path: known routes, unknown ones, and mounted ones.
        *(
            http.get(f"/{place}{PERSON}")
            for place in ("", "certificates/", "ledger/", "registry/v1/licences/")
        ),
        http.get(f"/registry/v1/me/licences/{PERSON}/credential", headers=headers),
        http.get(f"/exchange/v1/receipts/{PERSON}", headers=headers),
        # In the query.
        asking.call(http, "GET", f"/exchange/v1/audit/records?client_id={PERSON}&before={PERSON}"),
        http.get("/exchange/v1/me/accesses", headers=headers, params={"of": FIFTEEN}),
        # In the body: well-formed, as a member's name, and broken.
        asking.call(http, "POST", "/exchange/v1/verifications", question),
        asking.call(http, "POST", "/exchange/v1/verifications", {**question, "claims": {"name": PERSON}}),
        asking.call(http, "POST", "/exchange/v1/verifications", {PERSON: 1}),
        http.post("/oauth2/token", data={"client_assertion": PERSON, "grant_type": PERSON}),
        http.post("/oauth2/token", content=PERSON.encode(), headers={"Content-Type": PERSON}),
        # In headers, and as the method.
        http.get("/healthz", headers={"X-Request-Id": PERSON, "Authorization": f"Bearer {PERSON}"}),
        http.get("/registry/v1/me/licences", headers={"Authorization": f"Bearer {PERSON}"}),
        http.request(f"A{PERSON}", "/healthz"),
    ]
    for reply in replies:
        assert reply.status_code < 500, reply.text
        if not reply.is_success:
            assert PERSON not in reply.text, reply.text
    after = http.get("/healthz").headers["x-request-id"]
    lines_of(logged, after)
    text = log_of(logged) + http.get("/metrics").text
    assert text.count("zhengtong.access") >= len(replies)
    for secret in (PERSON, PERSON.lower(), FIFTEEN):
        assert secret not in text


def test_a_failure_inside_is_logged_without_the_citizen_id_in_it() -> None:
    with _captured() as (logger, lines):
        try:
            raise ValueError(f"row of {PERSON} and {FIFTEEN}")
        except ValueError as error:
            logger.error("subject %s", PERSON, exc_info=error, extra={"of": [PERSON], "by": {PERSON: 1}})
    (line,) = lines()
    assert "ValueError" in json.loads(line)["exception"]
    assert PERSON not in line
    assert FIFTEEN not in line


def _numbers() -> Iterator[str]:
    for sequence in range(100):
        yield CitizenId.compute("990105", date(1979, 3, 4), sequence).reveal()


AWKWARD: dict[str, dict[str, Any]] = {
    "citizen ID as a number": {"row": int(next(p for p in _numbers() if p.isdigit()))},
    "lone surrogate": {"text": "\ud800"},
    "huge number": {"size": 1 << 80},
    "bytes": {"digest": b"\xff"},
    "object": {"path": Path("/x"), "at": datetime(2025, 1, 1)},  # noqa: DTZ001 -- any object will do
    "line breaks": {"text": 'a\nb"c'},
    "keys that are no text": {"by": {1: 2, None: 3}},
}


@pytest.mark.parametrize("name", AWKWARD)
def test_whatever_is_logged_is_one_line_of_json(name: str) -> None:
    with _captured() as (logger, lines):
        logger.info("awkward", extra=AWKWARD[name])
        logger.info("next")
    first, second = lines()
    assert json.loads(first)["message"] == "awkward"
    assert json.loads(first).keys() >= AWKWARD[name].keys()
    assert json.loads(second)["message"] == "next"


def test_a_number_that_is_a_citizen_id_is_masked_too() -> None:
    number = int(next(p for p in _numbers() if p.isdigit()))
    with _captured() as (logger, lines):
        logger.info("read", extra={"subject": number, "rows": 3})
    (line,) = lines()
    assert str(number) not in line
    assert json.loads(line)["rows"] == 3


class _captured:  # noqa: N801 -- reads as the function that it is
    """A logger of its own that writes through the formatter."""

    def __enter__(self) -> Any:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(JsonLines())
        logger = logging.Logger("test")
        logger.addHandler(handler)
        return logger, lambda: self.stream.getvalue().splitlines()

    def __exit__(self, *_error: object) -> None:
        pass


def test_the_file_may_be_moved_away_by_a_rotation(tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("INFO", tmp_path)
        logging.getLogger("test").info("before")
        (tmp_path / "zhengtong.jsonl").rename(tmp_path / "zhengtong.jsonl.1")
        logging.getLogger("test").info("after")
        logging.getLogger("test").debug("not at this level")
        for handler in root.handlers:
            handler.close()
    finally:
        root.handlers[:], root.level = handlers, level
    for name, message in (("zhengtong.jsonl.1", "before"), ("zhengtong.jsonl", "after")):
        (line,) = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert json.loads(line)["message"] == message


def samples(service: Service) -> dict[tuple[str, ...], float]:
    reply = service.http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_metrics_count_by_route_and_not_by_path(logged: Service) -> None:
    before = samples(logged)
    for number in range(3):
        logged.http.get(f"/certificates/{number}.pem")
        logged.http.get(f"/exchange/v1/receipts/{number}")
        logged.http.get(f"/nowhere/{number}")
        logged.http.get(f"/registry/nowhere/{number}")
        logged.http.get(f"/ledger/{number}")
        logged.http.request("PROPFIND", "/healthz")
    after = samples(logged)

    def grown(name: str, *labels: str) -> float:
        return after.get((name, *labels), 0) - before.get((name, *labels), 0)

    total = "zhengtong_http_requests_total"
    assert grown(total, "method=GET", "route=/certificates/{kid}.pem", "status=404") == 3
    assert grown(total, "method=GET", "route=/exchange/v1/receipts/{record_id}", "status=401") == 3
    assert grown(total, "method=GET", "route=unknown", "status=404") == 9
    assert grown(total, "method=other", "route=/healthz", "status=405") == 3
    assert grown("zhengtong_http_request_seconds_count", "route=/certificates/{kid}.pem") == 3
    assert grown("zhengtong_http_request_seconds_bucket", "le=+Inf", "route=/certificates/{kid}.pem") == 3
    routes = {label for key in after for label in key if label.startswith("route=")}
    assert not any(re.search(r"/\d", route) for route in routes), routes
