"""Interfaces on a real socket: every paging, every way to sign in, and what a bad one may do to us."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from connectors.sources.http_calls import ATTEMPTS, Clock, sign
from connectors.sources.raw import HeaderDiffers, SourceError
from connectors.sources.rest import RestSource
from tests.conftest import free_port
from tests.connectors.sources.licences import connections, mapping, numbers, rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def licence(number: int) -> dict[str, Any]:
    return {
        "licence_type": "个体",
        "licence_number": f"11990{number:08}",
        "holder_name": "店",
        "issued_on": None,
    }


@dataclass(slots=True)
class Department:
    """An interface whose behaviour a test sets; `asked` is what it was asked."""

    port: int
    records: list[Any] = field(default_factory=lambda: [licence(n) for n in range(25)])
    answer: Callable[[Request], Response | None] = lambda request: None
    asked: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def source(self, user: str = "", **origin: Any) -> RestSource:
        made = mapping(
            {"kind": "rest", "connection": "department", "path": "licences", "records": "data.items"}
            | origin,
        )
        uri = f"http://{user}127.0.0.1:{self.port}/api/"
        return RestSource(
            made, made.origin, connections(uri), Clock(self.now, lambda: self.seconds, self.sleep)
        )  # type: ignore[arg-type]

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.seconds += seconds

    def application(self) -> FastAPI:
        application = FastAPI()

        @application.api_route("/{path:path}", methods=["GET", "POST"])
        async def serve(request: Request) -> Response:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            self.asked.append(target)
            await request.body()
            return self.answer(request) or self.page(request)

        return application

    def page(self, request: Request, size: int = 10) -> Response:
        query = request.query_params
        number = int(query.get("page", query.get("cursor", "1")))
        found = self.records[(number - 1) * size : number * size]
        more = number * size < len(self.records)
        body = {"data": {"items": found, "next": number + 1 if more else None}}
        links = {"Link": f'</api/licences?page={number + 1}>; rel="next"'} if more else {}
        return reply(body, **links)


def reply(body: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers, "application/json")


@pytest.fixture
def department() -> Iterator[Department]:
    made = Department(free_port())
    server = uvicorn.Server(
        uvicorn.Config(made.application(), port=made.port, log_config=None, access_log=False)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the interface did not start"
        time.sleep(0.01)
    yield made
    server.should_exit = True
    thread.join(20)


PAGINGS = {
    "cursor": {"kind": "cursor", "member": "data.next", "parameter": "cursor"},
    "page": {"kind": "page", "parameter": "page"},
    "sized": {"kind": "page", "parameter": "page", "size_parameter": "size", "size": 10},
    "link": {"kind": "link"},
}
PAGED = pytest.mark.parametrize("paging", PAGINGS.values(), ids=PAGINGS)


@PAGED
def test_all_pages_come_once(department: Department, paging: dict[str, Any]) -> None:
    source = department.source(paging=paging, parameters={"since": "2020"})
    batches = list(source.batches(4))
    assert numbers(batches) == [f"11990{n:08}" for n in range(25)]
    assert [row[0] for row in rows(batches)] == list(range(1, 26))
    assert "since=2020" in department.asked[0]


@PAGED
def test_a_run_cut_off_anywhere_goes_on_exactly_there(department: Department, paging: dict[str, Any]) -> None:
    every = list(department.source(paging=paging, append_only=True).batches(4))
    for number, batch in enumerate(every):
        assert batch.cursor is not None
        later = department.source(paging=paging, append_only=True).batches(4, batch.cursor)
        assert numbers(later) == numbers(every[number + 1 :])
    department.records.extend(licence(n) for n in range(25, 40))
    later = department.source(paging=paging, append_only=True).batches(100, every[-1].cursor)
    assert numbers(later) == [f"11990{n:08}" for n in range(25, 40)]


def test_without_append_only_there_is_no_cursor_and_all_is_read(department: Department) -> None:
    (batch,) = department.source(paging=PAGINGS["page"]).batches(100, "10 2")
    assert batch.cursor is None and batch.end == 25


def test_oauth_fetches_a_token_and_another_when_it_is_refused(department: Department) -> None:
    given: list[str] = []
    seen: list[str] = []

    def answer(request: Request) -> Response | None:
        if request.url.path == "/api/token":
            assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"id:geheim").decode()
            given.append(f"token-{len(given)}")
            return reply({"access_token": given[-1], "expires_in": 3600})
        seen.append(request.headers["Authorization"])
        return reply({}, 401) if seen[-1] == "Bearer token-0" and len(seen) > 1 else None

    department.answer = answer
    auth = {"kind": "oauth2", "token_path": "token", "scope": "read"}
    found = department.source(user="id:geheim@", paging=PAGINGS["link"], auth=auth).batches(100)
    assert len(numbers(found)) == 25
    assert seen == ["Bearer token-0", "Bearer token-0", "Bearer token-1", "Bearer token-1"]


def test_a_key_goes_into_its_header_and_signatures_verify(department: Department) -> None:
    headers: list[Any] = []
    department.answer = lambda request: headers.append((request.url, request.headers))
    list(department.source(user=":k%40y@", auth={"kind": "api-key", "header": "X-Key"}).batches(100))
    assert headers[-1][1]["X-Key"] == "k@y"
    signed = department.source(
        user="me:s@", auth={"kind": "hmac"}, parameters={"名": "值"}, paging=PAGINGS["page"]
    )
    list(signed.batches(100))
    url, found = headers[-1]
    expected = sign("s", "GET", f"{url.path}?{url.query}", found["Date"], b"")
    assert found["Authorization"] == f'HMAC-SHA256 keyId="me",signature="{expected}"'
    assert found["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_the_signature_is_that_of_the_documentation() -> None:
    found = sign("geheim", "GET", "/api/licences?page=1", "Sun, 01 Mar 2026 12:00:00 GMT", b"")
    assert found == "4aa8f24ae47749b5857696f2cdb382199869e486470e7f0f301622ae185bb523"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("after", "waits"),
    [("7", 7.0), (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0), ("soon", 1.0), ("", 1.0)],
)
def test_it_waits_as_long_as_it_is_asked_to(
    department: Department, status: int, after: str, waits: float
) -> None:
    department.answer = lambda _: (
        reply({}, status, **({"Retry-After": after} if after else {})) if len(department.asked) == 1 else None
    )
    assert len(numbers(department.source().batches(100))) == 10
    assert department.waited == [waits]


def test_it_gives_up_in_the_end(department: Department) -> None:
    department.answer = lambda _: reply({}, 503)
    with pytest.raises(SourceError, match="cannot be reached: 503"):
        list(department.source().batches(100))
    assert len(department.asked) == ATTEMPTS and department.waited == [1, 2, 4, 8]
    department.answer = lambda _: reply({}, 429, **{"Retry-After": "86400"})
    with pytest.raises(SourceError, match="come back in 86400 seconds"):
        list(department.source().batches(100))
    assert len(department.waited) == 4


def test_nobody_there_is_told_without_the_password(department: Department) -> None:
    department.port = free_port()
    with pytest.raises(SourceError, match="cannot be reached: ConnectError") as caught:
        list(department.source(user="u:geheim@").batches(100))
    assert "geheim" not in str(caught.value)


def test_requests_keep_their_rate(department: Department) -> None:
    list(department.source(per_second=2, paging=PAGINGS["page"]).batches(100))
    assert department.waited == [0.5, 0.5, 0.5][: len(department.asked) - 1]


def circle(request: Request) -> Response:
    return reply({"data": {"items": [licence(int(request.query_params.get("cursor", "0")))], "next": "7"}})


BAD: dict[str, tuple[Callable[[Request], Response], dict[str, Any], str]] = {
    "same page for ever": (
        lambda _: reply({"data": {"items": [licence(1)]}}),
        {"paging": PAGINGS["page"]},
        "the same page again",
    ),
    "same mark for ever": (circle, {"paging": PAGINGS["cursor"]}, "the same page again"),
    "pages without end": (
        lambda r: reply({"data": {"items": [licence(int(r.query_params["page"]))]}}),
        {"paging": PAGINGS["page"], "most_pages": 5},
        "more than 5 pages",
    ),
    "too large": (lambda _: reply({"data": "x" * 3000}), {"most_bytes": 2000}, "more than 2000 bytes"),
    "HTML": (lambda _: Response("<p>", media_type="text/html"), {}, "something else than JSON"),
    "broken": (lambda _: Response('{"data":', media_type="application/json"), {}, "JSON that is broken"),
    "NaN": (lambda _: Response('{"data":NaN}', media_type="application/json"), {}, "JSON that is broken"),
    "deep": (lambda _: Response("[" * 100_000, media_type="application/json"), {}, "JSON that is broken"),
    "no array": (lambda _: reply({"data": []}), {}, "no array of records"),
    "refused": (lambda _: reply({}, 403), {}, "refuses: status 403"),
    "not modified": (lambda _: Response(status_code=304), {}, "refuses: status 304"),
    "redirected": (lambda _: reply({}, 302, Location="http://localhost:1/x"), {}, "to another host"),
    "redirected for ever": (lambda _: reply({}, 302, Location="/x"), {}, "in circles"),
    "next elsewhere": (
        lambda _: reply({"data": {"items": [licence(1)]}}, Link='<https://example.org/>; rel="next"'),
        {"paging": PAGINGS["link"]},
        "to another host",
    ),
    "odd mark": (
        lambda _: reply({"data": {"items": [licence(1)], "next": {}}}),
        {"paging": PAGINGS["cursor"]},
        "by no text",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_interface_is_told(department: Department, kind: str) -> None:
    answer, origin, message = BAD[kind]
    department.answer = answer
    with pytest.raises(SourceError, match=message):
        list(department.source(**origin).batches(100))


def test_a_redirect_on_the_same_host_is_followed(department: Department) -> None:
    department.answer = lambda request: (
        reply({}, 307, Location="/api/new") if request.url.path.endswith("licences") else None
    )
    assert len(numbers(department.source().batches(100))) == 10


def test_members_that_vanish_or_appear_stop_the_run(department: Department) -> None:
    department.records = [{"holder" if n == "holder_name" else n: v for n, v in licence(1).items()}]
    assert len(numbers(department.source().batches(100))) == 1, "a name that the mapping knows, too"
    department.records = [{n: v for n, v in licence(1).items() if n != "issued_on"} | {"phone": 1}]
    with pytest.raises(HeaderDiffers, match=r"missing \[issued_on\], unknown \[phone\]"):
        list(department.source().batches(100))


def test_values_become_text_exactly_and_what_is_no_record_is_kept_aside(department: Department) -> None:
    text = (
        '[{"licence_type": 12345678901234567890123, "licence_number": 1.10, "holder_name": true, "issued_on": null},'
        ' {"licence_type": 1e-7}, 5.50, {"holder_name": ["x"]}, {"licence_type": 1e999999999}, {"holder_name": "\\ud800"}]'
    )
    department.answer = lambda _: Response(text, media_type="application/json")
    (batch,) = department.source(records="").batches(100)
    assert rows([batch]) == [
        (1, "12345678901234567890123", "1.10", "true", None),
        (2, "0.0000001", None, None, None),
    ]
    assert [(bad.origin_row, bad.reason) for bad in batch.bad] == [
        (3, "not-an-object"),
        (4, "nested-value"),
        (5, "not-a-number"),
        (6, "undecodable-bytes"),
    ]
