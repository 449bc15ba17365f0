"""Structured logs (JSON lines with request ids), Prometheus metrics, and the limits at the door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.deprecation import deprecation_of
from foundation.identifiers import mask_citizen_ids
from foundation.problems import GENERAL_PROBLEMS, problem_response

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

METRICS = CollectorRegistry()
REQUESTS = Counter(
    "zhengtong_http_requests_total", "HTTP requests", ["method", "route", "status"], registry=METRICS
)
SECONDS = Histogram(
    "zhengtong_http_request_seconds",
    "Time to answer",
    ["route"],
    registry=METRICS,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)


def gathered() -> CollectorRegistry:
    """Return the metrics of all processes that serve together, or of this one where it serves alone."""
    if values.ValueClass is values.MutexValue:
        return METRICS
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

access_logger = logging.getLogger("zhengtong.access")

ACCOUNT_SECONDS = 0.2
"""Requests are counted and their access lines written together, at most so long after them: one by one costs more."""


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, request id, and the extras.

    What looks like a citizen ID is masked in the finished line: a net under the rule not to log one.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        known = request_id.get()
        if known is not None:
            line["request_id"] = known
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # lone surrogates, numbers beyond 64 bits: as escapes and as they are
            text = json.dumps(line, default=str, skipkeys=True)
        masked = mask_citizen_ids(text)
        if masked == text:
            return text
        # Masked anew value by value: a number with asterisks in it would not be JSON.
        return mask_citizen_ids(
            json.dumps(json.loads(text, parse_int=_number(int), parse_float=_number(float)))
        )


def _number(kind: Callable[[str], float]) -> Callable[[str], float | str]:
    def read(text: str) -> float | str:
        masked = mask_citizen_ids(text)
        return kind(text) if masked == text else masked

    return read


def configure_logging(level: str, folder: Path | None = None) -> None:
    """Send all logs as JSON lines to `folder/zhengtong.jsonl`, or to standard error where no folder is given.

    The file may be moved away at any time by a log rotation; it is opened anew.
    """
    handler: logging.Handler
    if folder is None:
        handler = logging.StreamHandler()
    else:
        folder.mkdir(parents=True, exist_ok=True)
        handler = WatchedFileHandler(folder / "zhengtong.jsonl", encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel("WARNING")


_Served = tuple[str, str, int, float, str, float]
"""Method, route, status, seconds, request id, and when it ended."""


class Door:
    """Outermost ASGI layer: request id, size limit of bodies, metrics and one access line per request.

    A body beyond the limit is refused by its Content-Length before it is read, or while it is read where
    none was given. Paths never carry personal data here, and queries are not logged.
    """

    def __init__(
        self, app: ASGIApp, maximum_body_bytes: int, others: Mapping[str, int] | None = None
    ) -> None:
        """Make the door.

        Args:
            others: beginning of a path → limit of its own, for what takes more than all else.
        """
        self.app = app
        self.maximum_body_bytes = maximum_body_bytes
        self._others = tuple((others or {}).items())
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._served: list[_Served] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            try:
                await self.app(scope, receive, send)
            finally:
                self.account()
            return
        started = time.perf_counter()
        given = header_of(scope, b"x-request-id")
        # All else in an access line is ours: only here could a citizen ID come in.
        known = mask_citizen_ids(given) if given and _REQUEST_ID.fullmatch(given) else _new_id()
        token = request_id.set(known)
        scope.setdefault("state", {})["request_id"] = known
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", known.encode())]
                gone = deprecation_of(getattr(scope.get("route"), "endpoint", None))
                if gone is not None:
                    message["headers"] += gone.headers()
            await send(message)

        try:
            length = header_of(scope, b"content-length")
            if length is not None and length.isdigit() and int(length) > self._most(scope):
                code = "body-too-large"
                refusal = problem_response(code, GENERAL_PROBLEMS[code], request_id=known)
                refusal.headers["connection"] = "close"
                await refusal(scope, receive, send_on)
            elif length is not None:
                await self.app(scope, receive, send_on)
            else:
                await self._with_counted_body(scope, receive, send_on, known)
        finally:
            request_id.reset(token)
            self._note(scope, status, time.perf_counter() - started, known)

    async def _with_counted_body(self, scope: Scope, receive: Receive, send: Send, known: str) -> None:
        size = 0
        most = self._most(scope)
        refused = False

        async def counted() -> Message:
            nonlocal size, refused
            message = await receive()
            size += len(message.get("body", b""))
            if size > most and not refused:
                refused = True
                code = "body-too-large"
                await problem_response(code, GENERAL_PROBLEMS[code], request_id=known)(scope, receive, send)
                # The application sees a client that went away, and stops.
                return {"type": "http.disconnect"}
            return message

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await self.app(scope, counted, send_unless_refused)

    def _most(self, scope: Scope) -> int:
        path: str = scope["path"]
        return next((most for start, most in self._others if path.startswith(start)), self.maximum_body_bytes)

    def _note(self, scope: Scope, status: int, seconds: float, known: str) -> None:
        route = scope.get("route")
        path = scope.get("root_path", "") + getattr(route, "path", "") if route is not None else "unknown"
        self._served.append((scope["method"], path, status, seconds, known, time.time()))
        if len(self._served) == 1:
            asyncio.get_running_loop().call_later(ACCOUNT_SECONDS, self.account)

    def account(self) -> None:
        """Count what was served since the last time and write its access lines; called before metrics are read."""
        served, self._served = self._served, []
        logged = access_logger.isEnabledFor(logging.INFO)
        lines = []
        for given, path, status, seconds, known, moment in served:
            method = given if given in _METHODS else "other"
            key = (method, path, status)
            children = self._children.get(key)
            if children is None:
                children = (REQUESTS.labels(method, path, str(status)), SECONDS.labels(path))
                self._children[key] = children
            children[0].inc()
            children[1].observe(seconds)
            if logged:
                lines.append(
                    {
                        "time": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
                        "level": "INFO",
                        "logger": access_logger.name,
                        "message": "request",
                        "request_id": known,
                        "method": method,
                        "route": path,
                        "status": status,
                        "milliseconds": round(seconds * 1000, 2),
                    }
                )
        if lines:
            _write_lines(lines)


def _write_lines(lines: list[dict[str, Any]]) -> None:
    text = b"".join([orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines]).decode()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.formatter, JsonLines):
            with handler.lock or contextlib.nullcontext():
                if isinstance(handler, WatchedFileHandler):
                    handler.reopenIfNeeded()
                handler.stream.write(text)
                handler.flush()


_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_PREFIX = secrets.token_hex(4)
_counter = 0


def _new_id() -> str:
    global _counter
    _counter += 1
    return f"{_PREFIX}{os.getpid():x}x{_counter:x}"


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return a header field of a request as it came, the first of its name; None where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None
