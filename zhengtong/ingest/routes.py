"""HTTP of batches that departments send."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from datetime import UTC, datetime
from typing import Annotated, Any, BinaryIO, cast

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect

from connectors.mapping import SourceMapping, load_mapping, mapping_names
from connectors.pipeline import Report
from exchange.audit.record import prepare
from exchange.ports import Exchange
from foundation.errors import DomainError, NotFound
from foundation.idempotency import HEADER, KEY
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from zhengtong.ingest.accept import ARROW, LINES, Accepting, accept, require_known
from zhengtong.ingest.errors import BodyCutShort, BodyEmpty, BodyTooLarge, KeyMissing, SenderNotAllowed
from zhengtong.ingest.problems import INGEST_PROBLEMS

PREFIX = "/v1/ingest"
router = APIRouter(prefix=PREFIX, tags=["ingest"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/{source}",
    openapi_extra=audited("ingest")
    | {"requestBody": {"required": True, "content": {LINES: _BINARY, ARROW: _BINARY}}},
    response_model=None,
    responses={
        200: {"model": Report},
        **documented(
            INGEST_PROBLEMS,
            ["token-missing", "role-missing", "not-found", "body-too-large", *INGEST_PROBLEMS],
        ),
    },
    summary="Send a batch of a source 推送",
)
async def send(
    source: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DATA_SOURCE))],
) -> dict[str, Any]:
    """Bring in a batch; the answer is the report of the run. Sent again with the same key, the answer is the same."""
    exchange: Exchange = request.app.state.exchange
    accepting: Accepting = request.app.state.accepting
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    known = await asyncio.to_thread(mapping_names, accepting.settings.sources_folder)
    # A name of nothing we know may be anything: it is not recorded.
    named = source if source in known else None
    try:
        mapping = await asyncio.to_thread(_allowed, accepting, named, caller)
        key = request.headers.get(HEADER, "")
        if not KEY.fullmatch(key):
            raise KeyMissing(_("send 1 to 200 visible ASCII characters, new for each batch"))
        require_known(media_type)
        # Of no name, and gone with its last handle: what was sent lies nowhere once this request is over.
        with tempfile.TemporaryFile() as file:
            body = cast(BinaryIO, file)
            digest = await _receive(request, body, accepting.settings.maximum_ingest_bytes)
            report = await asyncio.to_thread(
                accept, accepting, mapping, caller.id, key, body, digest, media_type
            )
    except DomainError as error:
        await exchange.recorder.record(
            prepare("ingest", "refused", caller, datetime.now(UTC), source=named, reason=error.code)
        )
        raise
    await exchange.recorder.record(
        prepare("ingest", "brought-in", caller, datetime.now(UTC), source=named, run=report["run_id"])
    )
    return report


def _allowed(accepting: Accepting, source: str | None, caller: Principal) -> SourceMapping:
    if source is None:
        raise NotFound(_("no such source"))
    mapping = load_mapping(source, accepting.settings.sources_folder)
    if caller.id not in mapping.senders:
        raise SenderNotAllowed(_("the mapping of a source names its senders"))
    return mapping


async def _receive(request: Request, body: BinaryIO, most: int) -> bytes:
    """Write the body to a file as it arrives; return its SHA-256."""
    seen = hashlib.sha256()
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise BodyTooLarge(_("at most {size} bytes"), size=most)
            seen.update(chunk)
            await asyncio.to_thread(body.write, chunk)
    except ClientDisconnect as error:
        raise BodyCutShort(_("the body ended before its end")) from error
    if size == 0:
        raise BodyEmpty(_("send at least one row"))
    return seen.digest()
