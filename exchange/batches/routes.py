"""HTTP of batches."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from exchange.audit.record import prepare
from exchange.batches import tables
from exchange.batches.accept import CHARSETS, Sent, accept
from exchange.batches.batch import (
    OPEN,
    Batch,
    BatchCutShort,
    BatchEncodingWrong,
    BatchFormUnknown,
    BatchKeyInvalid,
    Form,
    Mode,
    Question,
    State,
    progress,
    require_open,
    require_result,
)
from exchange.batches.work import finish
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.queries.claims import Comparison
from foundation.errors import NotFound
from foundation.idempotency import HEADER, is_key, key_parameter
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code, FreeText

PREFIX = "/v1/batches"
router = APIRouter(prefix=PREFIX, tags=["batches"])

EVENTS_EVERY_SECONDS = 0.5
EVENTS_SECONDS = 60.0
"""After this long a stream of events ends; whoever listens opens it again (as `EventSource` does by itself)."""
SEEN_EVERY_SECONDS = 15.0

_FORMS = {"application/x-ndjson": Form.LINES, "application/jsonl": Form.LINES, "text/csv": Form.CSV}
_CALLER = ("token-missing", "role-missing", "invalid-request", "not-found")


class BatchComparison(BaseModel):
    """How a claim is compared whose rows give the value only; docs/asking.md lists the ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Code | None = None
    comparison: Annotated[Comparison, Field(alias="is")]


class BatchQuestion(BaseModel):
    """What is asked about every subject."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["verify", "query"] = "verify"
    resource: Code
    fields: Annotated[list[Code], Field(max_length=50)] = []
    claims: Annotated[dict[Code, BatchComparison], Field(max_length=50)] = {}
    matter: Code
    case: FreeText
    result_key: dict[str, Any] | None = Field(
        default=None,
        description="Public JWK that the result is sealed to; none: the registered one with use enc",
    )

    @model_validator(mode="after")
    def _fits(self) -> BatchQuestion:
        if bool(self.fields) != (self.mode == "query"):
            raise ValueError("a query names its fields, a verification has claims in its rows")
        if self.claims and self.mode == "query":
            raise ValueError("a query claims nothing")
        return self


class BatchProgress(BaseModel):
    """How far a batch is."""

    id: uuid.UUID
    state: State
    problem: str | None
    resume_at: datetime | None
    mode: Mode
    resource: str
    matter: str
    case: str
    rows: int
    done: int
    answered: int
    unknown: int
    malformed: int
    refused: int
    unanswered: int
    records: int
    rate: int | None
    seconds_left: int | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None
    expires_at: datetime


class Batches(BaseModel):
    """Batches, newest first."""

    batches: list[BatchProgress]


_MULTIPART = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["question", "subjects"],
                "properties": {
                    "question": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": BatchQuestion.model_json_schema(),
                    },
                    "subjects": {"type": "string", "format": "binary"},
                },
            },
            "encoding": {"subjects": {"contentType": ", ".join([*_FORMS, "text/csv; charset=gb18030"])}},
        }
    },
}


@router.post(
    "",
    status_code=202,
    openapi_extra=audited("batch-sent")
    | {"parameters": [key_parameter(required=True, new_for_each="batch")], "requestBody": _MULTIPART},
    response_model=BatchProgress,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            "token-missing",
            "role-missing",
            "malformed-body",
            "invalid-request",
            "body-too-large",
            "resource-unknown",
            "resource-not-shared",
            "resource-not-connected",
            "source-unavailable",
            "field-unknown",
            "not-granted",
            "grant-not-in-force",
            "mode-not-granted",
            "matter-not-granted",
            "field-not-granted",
            "outside-hours",
            "batch-key-invalid",
            "batch-key-reused",
            "batch-empty",
            "batch-too-many-rows",
            "batch-encoding-wrong",
            "batch-form-unknown",
            "batch-columns-wrong",
            "batch-result-key-unusable",
            "batches-too-many",
            "too-many-unknown",
            "batch-cut-short",
        ],
    ),
    summary="Ask about many subjects 批量核验",
)
async def send(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))]
) -> dict[str, Any]:
    """Take a batch in: a form with the part `question` (JSON) and the part `subjects` (JSON lines or CSV)."""
    exchange: Exchange = request.app.state.exchange
    key = request.headers.get(HEADER, "")
    if not is_key(key):
        raise BatchKeyInvalid(_("send 1 to 200 visible ASCII characters, new for each request"))
    try:
        # What is larger than a part in memory lies in a file of no name, gone with its last handle.
        async with request.form(max_files=1, max_fields=1) as form:
            question = _question(form.get("question"))
            subjects = form.get("subjects")
            if not isinstance(subjects, UploadFile):
                raise _missing("subjects")
            form_, charset = _form(subjects.content_type or "")
            sent = Sent(subjects.file, form_, charset)
            batch = await accept(exchange, caller, key, question, sent, datetime.now(UTC))
    except ClientDisconnect as error:
        raise BatchCutShort(_("the body ended before its end")) from error
    return progress(batch)


@router.get(
    "",
    openapi_extra=audited("none"),
    response_model=Batches,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Batches of the calling client, newest first",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List the caller's batches."""
    exchange: Exchange = request.app.state.exchange
    return {"batches": [progress(each) for each in await tables.newest(exchange.pool, caller.id, limit)]}


@router.get(
    "/{batch_id}",
    openapi_extra=audited("none"),
    response_model=BatchProgress,
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Progress of a batch",
)
async def shown(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Tell how far a batch is."""
    return progress(await _own(request.app.state.exchange, caller, batch_id))


@router.get(
    "/{batch_id}/events",
    openapi_extra=audited("none"),
    response_model=None,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **documented(EXCHANGE_PROBLEMS, _CALLER),
    },
    summary="Progress of a batch as it goes on (server-sent events)",
)
async def events(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> StreamingResponse:
    """Send an event `progress` whenever the batch has moved, until it is over or a minute has passed."""
    exchange: Exchange = request.app.state.exchange
    await _own(exchange, caller, batch_id)
    return StreamingResponse(
        _events(exchange, caller, batch_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


@router.post(
    "/{batch_id}/pause",
    openapi_extra=audited("batch-paused"),
    response_model=BatchProgress,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "batch-finished"]),
    summary="Let a batch rest",
)
async def pause(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Pause after the part that is being written; what is done stays done."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    require_open(await _own(exchange, caller, batch_id))
    await _record(exchange, caller, "batch-paused", "paused", batch_id)
    await tables.pause(exchange.pool, batch_id, None, None, now)
    return progress(await _own(exchange, caller, batch_id))


@router.post(
    "/{batch_id}/resume",
    openapi_extra=audited("batch-resumed"),
    response_model=BatchProgress,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "batch-finished"]),
    summary="Let a paused batch go on",
)
async def resume(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Go on at the row where it was; of a batch that runs, nothing changes."""
    exchange: Exchange = request.app.state.exchange
    require_open(await _own(exchange, caller, batch_id))
    await _record(exchange, caller, "batch-resumed", "resumed", batch_id)
    await tables.resume(exchange.pool, batch_id, datetime.now(UTC))
    return progress(await _own(exchange, caller, batch_id))


@router.post(
    "/{batch_id}/cancel",
    openapi_extra=audited("batch-cancelled"),
    response_model=BatchProgress,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "batch-finished"]),
    summary="Cancel a batch",
)
async def cancel(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """End a batch where it is: the rows that were done keep their answers, the others are dropped unasked."""
    exchange: Exchange = request.app.state.exchange
    batch = await _own(exchange, caller, batch_id)
    if batch.state is not State.CANCELLED:
        require_open(batch)
        await _record(exchange, caller, "batch-cancelled", "cancelled", batch_id)
        batch = await finish(exchange, batch_id, State.CANCELLED, None, datetime.now(UTC))
    return progress(batch)


@router.get(
    "/{batch_id}/result",
    openapi_extra=audited("batch-result"),
    response_model=None,
    responses={
        200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}},
        **documented(EXCHANGE_PROBLEMS, [*_CALLER, "batch-not-finished", "batch-result-expired"]),
    },
    summary="Result of a batch, sealed to the client",
)
async def result(
    batch_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> StreamingResponse:
    """Stream the statement (compact JWS) and then the parts (JWE), a line of JSON each."""
    exchange: Exchange = request.app.state.exchange
    batch = await _own(exchange, caller, batch_id)
    require_result(batch)
    await _record(exchange, caller, "batch-result", "handed-out", batch_id)
    return StreamingResponse(
        _result(exchange, batch), media_type="application/jsonl", headers={"Cache-Control": "no-store"}
    )


async def _own(exchange: Exchange, caller: Principal, batch_id: uuid.UUID) -> Batch:
    batch = await tables.find(exchange.pool, batch_id)
    if batch is None or batch.client_id != caller.id:
        raise NotFound(_("no such batch"))
    return batch


async def _record(
    exchange: Exchange, caller: Principal, event: str, outcome: str, batch_id: uuid.UUID
) -> None:
    await exchange.recorder.record(prepare(event, outcome, caller, datetime.now(UTC), batch=str(batch_id)))


async def _events(exchange: Exchange, caller: Principal, batch_id: uuid.UUID) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    loop = asyncio.get_running_loop()
    ends, seen, last = loop.time() + EVENTS_SECONDS, loop.time(), b""
    while loop.time() < ends:
        batch = await _own(exchange, caller, batch_id)
        said = orjson.dumps(progress(batch))
        if said != last:
            last, seen = said, loop.time()
            yield b"event: progress\ndata: " + said + b"\n\n"
        elif loop.time() - seen > SEEN_EVERY_SECONDS:
            seen = loop.time()
            yield b": still here\n\n"
        if batch.state not in OPEN:
            return
        await asyncio.sleep(EVENTS_EVERY_SECONDS)


async def _result(exchange: Exchange, batch: Batch) -> AsyncIterator[bytes]:
    assert batch.statement is not None, "a batch that is over has its statement"
    yield orjson.dumps({"statement": batch.statement}) + b"\n"
    for part in range(batch.next_part):
        sealed = await tables.result(exchange.pool, batch.id, part)
        if sealed is None:
            return  # it expired meanwhile: the reader misses the part by the statement
        first = part * batch.part_rows + 1
        last = min(first + batch.part_rows - 1, batch.rows)
        yield b'{"part":%d,"rows":[%d,%d],"jwe":"%b"}\n' % (part, first, last, sealed)


def _question(text: object) -> Question:
    if not isinstance(text, str):
        raise _missing("question")
    try:
        body = BatchQuestion.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**each, "loc": ("body", "question", *each["loc"])} for each in found]
        ) from error
    return Question(
        Mode(body.mode),
        body.resource,
        tuple(sorted(set(body.fields))),
        {
            name: claim.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, claim in body.claims.items()
        },
        body.matter,
        body.case,
        body.result_key or {},
    )


def _missing(name: str) -> RequestValidationError:
    return RequestValidationError([{"type": "missing", "loc": ("body", name), "msg": "Field required"}])


def _form(content_type: str) -> tuple[Form, str]:
    kind, _semicolon, parameters = content_type.partition(";")
    form = _FORMS.get(kind.strip().lower())
    if form is None:
        raise BatchFormUnknown(_("send the subjects as {forms}"), forms=", ".join(_FORMS))
    charset = "utf-8"
    for parameter in parameters.split(";"):
        name, _equals, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    if charset not in CHARSETS:
        raise BatchEncodingWrong(_("charset may be {charsets}"), charsets=", ".join(CHARSETS))
    return form, charset
