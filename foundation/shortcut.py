"""A short way for the few hottest routes: past the framework's routing and dependencies, with the same outcome.

The route itself stays declared in its `routes.py`, where it documents itself; the short way calls the same function
behind it. Errors go through the handlers that the application has installed. Measured in `benchmarks/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from foundation.telemetry import header_of

Handler = Callable[[Request], Awaitable[Response]]
_Body = TypeVar("_Body", bound=BaseModel)


class _Route:
    """What metrics and logs read off a route."""

    def __init__(self, path: str) -> None:
        self.path = path


class Shortcut:
    """An application with some of its routes served the short way.

    Args:
        routes: path (whole, without parameters) → handler of its POST.
    """

    def __init__(self, app: FastAPI, routes: Mapping[str, Handler]) -> None:
        self.app = app
        self._handlers = {path: (handler, _Route(path)) for path, handler in routes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        found = self._handlers.get(scope["path"].removeprefix(scope.get("root_path", "")))
        if found is None:
            await self.app(scope, receive, send)
            return
        handler, scope["route"] = found
        scope["app"] = self.app
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 -- the application's own handlers know every one
            response = await self._refuse(request, error)
        await response(scope, receive, send)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            handle = self.app.exception_handlers.get(kind)
            if handle is not None:
                response: Response = await handle(request, error)  # type: ignore[misc]  # ours are all async
                return response
        raise error


async def read_body(request: Request, model: type[_Body]) -> _Body:
    """Return the body of a request, checked.

    Raises:
        RequestValidationError: not JSON, or not as the model wants it.
    """
    body = await _whole(request.receive)
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    if not (header_of(request.scope, b"content-type") or "").startswith("application/json"):
        place = ("header", "content-type")
        raise RequestValidationError([{"type": "content_type", "loc": place, "msg": "send application/json"}])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from error


class JsonReply(Response):
    """A reply of JSON that nobody may keep: what `Response` makes of the same, without asking what it may be.

    Args:
        content: the JSON, spelled.
    """

    def __init__(self, content: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.body = content
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(content)),
            (b"content-type", b"application/json"),
        ]


async def _whole(receive: Receive) -> bytes:
    # Most bodies come in one piece.
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
