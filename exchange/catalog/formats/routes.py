"""HTTP of bringing a catalogue in and giving it out."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from exchange.audit.record import prepare
from exchange.catalog.formats.bring_in import Format, bring_in, in_order, read
from exchange.catalog.formats.dcat import to_json_ld
from exchange.catalog.formats.workbook import MEDIA_TYPE, to_workbook
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented

PREFIX = "/v1/catalogue"
router = APIRouter(prefix=PREFIX, tags=["catalogue"])

IMPORTS = f"{PREFIX}/imports"
JSON_LD = "application/ld+json"

_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/export",
    openapi_extra=audited("none"),
    response_class=Response,
    responses={
        200: {"content": {JSON_LD: {"schema": {"type": "object"}}, MEDIA_TYPE: _BINARY}},
        **documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    },
    summary="The catalogue as DCAT (JSON-LD) or as a workbook 导出",
)
async def export(
    request: Request,
    caller: Annotated[
        Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY, Role.AUDITOR))
    ],
    form: Format = Format.JSON_LD,
) -> Response:
    """Give all that is in force, licence types too."""
    exchange: Exchange = request.app.state.exchange
    documents = exchange.catalogue.documents()
    if form == Format.JSON_LD:
        return Response(orjson.dumps(to_json_ld(documents)), media_type=JSON_LD)
    # Writing a workbook of thousands of rows takes seconds: others go on meanwhile.
    return Response(await asyncio.to_thread(to_workbook, documents), media_type=MEDIA_TYPE)


@router.post(
    "/imports",
    openapi_extra=audited("catalogue-imported")
    | {"requestBody": {"content": {JSON_LD: {"schema": {"type": "object"}}, MEDIA_TYPE: _BINARY}}},
    responses=documented(
        EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "body-too-large", "catalogue-file-unreadable"]
    ),
    summary="Draft what a file holds 导入",
)
async def imports(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))]
) -> dict[str, Any]:
    """Take the good entries of a file as drafts of the caller's department and tell the bad ones with their places.

    The same file again finds everything unchanged, so a retry is safe.
    """
    exchange: Exchange = request.app.state.exchange
    content = await request.body()
    now = datetime.now(UTC)
    named = request.headers.get("content-type", "").split(";")[0].strip().lower()
    form = Format.WORKBOOK if named == MEDIA_TYPE else Format.JSON_LD
    contents = await asyncio.to_thread(read, content, form, caller.department, every=False)
    await exchange.recorder.record(
        prepare(
            "catalogue-imported",
            "requested",
            caller,
            now,
            sha256=hashlib.sha256(content).hexdigest(),
            resources=[each.document["id"] for each in contents.read],
        )
    )
    done = await bring_in(exchange.pool, contents, caller.id, now)
    return asdict(done) | {"bad": [asdict(each) for each in in_order(done.bad)]}
