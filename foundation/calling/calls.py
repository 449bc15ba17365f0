"""A call as data: what is sent, to whom, whether it may be sent again, and how its reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import httpx
import orjson

from foundation.calling.errors import PROBLEM_PREFIX, FieldError, Problem, ReplyUnreadable

Result = TypeVar("Result")

EXCHANGE: Final = "urn:zhengtong:exchange"
REGISTRY: Final = "urn:zhengtong:license-registry"

_OWN_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "pointer", "instance", "errors"})


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One request and the meaning of its reply.

    Args:
        path: below the address of the service, such as `/exchange/v1/verifications`.
        read: turns a reply of 2xx into the result; raises ReplyUnreadable.
        audience: whom the access token is for; None: the call needs none.
        json: body, if there is one; or `content` with its `content_type`.
        repeatable: sending it twice does no more than once, so that it may be sent again when nobody knows whether
            it arrived. A GET is; a POST where it carries an `Idempotency-Key` or the id of what it makes, or changes
            nothing.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], Result]
    audience: str | None = EXCHANGE
    json: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    timeout: float | None = None


def read_json(reply: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a reply."""
    try:
        value = orjson.loads(reply.content)
    except orjson.JSONDecodeError as error:
        raise ReplyUnreadable("the reply is not JSON") from error
    if not isinstance(value, dict):
        raise ReplyUnreadable("the reply is not a JSON object")
    return value


def read_text(reply: httpx.Response) -> str:
    """Return the text of a reply."""
    return reply.text


def read_nothing(reply: httpx.Response) -> None:
    """Read a reply that has no body."""


def problem_of(reply: httpx.Response, retry_after: float | None) -> Problem:
    """Return what a reply of 4xx or 5xx says, whether or not it is a problem document."""
    try:
        document = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        document = None
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(kind, str) or not kind.startswith(PROBLEM_PREFIX):
        title = reply.reason_phrase or "refused"
        return Problem(f"http-{reply.status_code}", reply.status_code, title, retry_after=retry_after)
    told = document.get("errors")
    return Problem(
        code=kind.removeprefix(PROBLEM_PREFIX),
        status=reply.status_code,
        title=str(document.get("title", "")),
        detail=_text(document, "detail"),
        pointer=_text(document, "pointer"),
        instance=_text(document, "instance"),
        errors=tuple(
            FieldError(str(each.get("pointer", "")), str(each.get("reason", "")))
            for each in (told if isinstance(told, list) else [])
            if isinstance(each, dict)
        ),
        values={name: value for name, value in document.items() if name not in _OWN_MEMBERS},
        retry_after=retry_after,
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None
