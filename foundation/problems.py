"""Errors on HTTP by RFC 9457: one table from error codes to problems, at the edge.

Features raise `DomainError` subclasses with a stable `code` and know no HTTP. Each application brings a table
from code to status and title; what is in no table becomes a bare internal error that discloses nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from foundation.errors import DomainError
from foundation.identifiers import mask_citizen_ids
from foundation.language import _, both

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:zhengtong:problem:"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of a problem table: HTTP status, title (gettext message id), headers that go with it."""

    status: int
    title: str
    headers: Mapping[str, str] | None = None


ProblemTable = Mapping[str, ProblemKind]

BEARER = {"WWW-Authenticate": 'Bearer error="invalid_token"'}

GENERAL_PROBLEMS: ProblemTable = {
    "malformed-body": ProblemKind(400, _("The body cannot be read")),
    "invalid-request": ProblemKind(422, _("The request does not fit its schema")),
    "body-too-large": ProblemKind(413, _("The body is too large")),
    "not-found": ProblemKind(404, _("Nothing is here")),
    "method-not-allowed": ProblemKind(405, _("This method is not allowed here")),
    "token-missing": ProblemKind(401, _("An access token is needed"), {"WWW-Authenticate": "Bearer"}),
    "token-unknown": ProblemKind(401, _("The access token is not known here"), BEARER),
    "token-expired": ProblemKind(401, _("The access token has expired"), BEARER),
    "token-wrong-audience": ProblemKind(401, _("The access token is meant for another service"), BEARER),
    "role-missing": ProblemKind(403, _("The caller lacks the role for this")),
    "people-issuer-unavailable": ProblemKind(
        503, _("The issuer that people come from cannot be reached"), {"Retry-After": "5"}
    ),
    "database-unavailable": ProblemKind(503, _("The database cannot be reached"), {"Retry-After": "5"}),
    "http-error": ProblemKind(400, _("The request was refused")),
    "internal-error": ProblemKind(500, _("Something went wrong inside")),
}


def problem_response(
    code: str,
    kind: ProblemKind,
    *,
    detail: str | None = None,
    pointer: str | None = None,
    errors: list[dict[str, str]] | None = None,
    request_id: str | None = None,
    members: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the RFC 9457 response of one problem."""
    body: dict[str, object] = {"type": TYPE_PREFIX + code, "title": both(kind.title), "status": kind.status}
    body.update(members or {})
    if detail is not None:
        body["detail"] = detail
    if pointer is not None:
        body["pointer"] = pointer
    if errors:
        body["errors"] = errors
    if request_id is not None:
        body["instance"] = f"urn:zhengtong:request:{request_id}"
    told = {**(kind.headers or {}), **(headers or {})}
    return Response(orjson.dumps(body), kind.status, told, media_type=PROBLEM_MEDIA_TYPE)


def install(app: FastAPI, table: ProblemTable, unavailable: tuple[type[Exception], ...] = ()) -> None:
    """Make every error of `app` an RFC 9457 problem, in its OpenAPI document too.

    Args:
        table: codes of this application's own errors.
        unavailable: exception types that mean 'the database cannot be reached': answered with 503.
    """
    kinds = {**GENERAL_PROBLEMS, **table}

    async def domain_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, DomainError)
        kind = kinds.get(error.code)
        if kind is None:
            return await unexpected(request, error)
        return problem_response(
            error.code,
            kind,
            detail=both(error.message, **error.values),
            pointer=error.pointer,
            request_id=_request_id(request),
            members=error.members(),
            headers=error.headers(),
        )

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        code = "malformed-body" if any(e["type"] == "json_invalid" for e in found) else "invalid-request"
        # Only place and reason: the value itself may be a citizen ID.
        errors = [{"pointer": _pointer(e["loc"]), "reason": str(e["msg"])} for e in found[:20]]
        return problem_response(code, kinds[code], errors=errors, request_id=_request_id(request))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        by_status = {
            400: "malformed-body",
            404: "not-found",
            405: "method-not-allowed",
            413: "body-too-large",
            500: "internal-error",
        }
        code = by_status.get(error.status_code, "http-error")
        kind = kinds[code]
        kind = ProblemKind(error.status_code, kind.title, {**(kind.headers or {}), **(error.headers or {})})
        return problem_response(code, kind, request_id=_request_id(request))

    async def database_down(request: Request, error: Exception) -> Response:
        logger.error("database unavailable", extra={"error": type(error).__name__})
        code = "database-unavailable"
        return problem_response(code, kinds[code], request_id=_request_id(request))

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("unexpected error", exc_info=error)
        code = "internal-error"
        reply = problem_response(code, kinds[code], request_id=_request_id(request))
        # The server ends the connection after an error that it does not know: nobody should send on it what gets lost.
        reply.headers["connection"] = "close"
        return reply

    app.add_exception_handler(DomainError, domain_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    for kind_of_error in unavailable:
        app.add_exception_handler(kind_of_error, database_down)
    app.add_exception_handler(Exception, unexpected)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        _describe_invalid_requests(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI provides for it


def _describe_invalid_requests(document: dict[str, Any]) -> None:
    # FastAPI adds a form of its own for requests that do not fit; ours is another.
    ours = documented({}, ["invalid-request"])[422]
    for operations in document["paths"].values():
        for operation in operations.values():
            given = operation["responses"].get("422")
            if given is not None and PROBLEM_MEDIA_TYPE not in given["content"]:
                operation["responses"]["422"] = ours
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)


def documented(table: ProblemTable, codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI `responses` that put these problems, each with its stable `type`, into OpenAPI.

    Where a token may be missing it may also be bad; and everything may find the database down.
    """
    kinds = {**GENERAL_PROBLEMS, **table}
    by_status: dict[int | str, dict[str, Any]] = {}
    named = list(codes)
    if "token-missing" in named:
        named += _BAD_TOKENS
    for code in dict.fromkeys([*named, "database-unavailable", "internal-error"]):
        kind = kinds[code]
        example = {"type": TYPE_PREFIX + code, "title": both(kind.title), "status": kind.status}
        entry = by_status.setdefault(
            kind.status,
            {
                "description": both(kind.title),
                "content": {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "examples": {}}},
            },
        )
        entry["content"][PROBLEM_MEDIA_TYPE]["examples"][code] = {"value": example}
    return by_status


_BAD_TOKENS = ("token-unknown", "token-expired", "token-wrong-audience", "people-issuer-unavailable")

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Problem details (RFC 9457)",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": f"stable, starts with {TYPE_PREFIX}"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON Pointer of the member at fault"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
        "instance": {"type": "string", "format": "uri"},
    },
}


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = location[1:] if location and location[0] == "body" else location
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    # Members' names come from outside too: one may be a citizen ID.
    return mask_citizen_ids(pointer)


def _request_id(request: Request) -> str | None:
    found = request.scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else None
