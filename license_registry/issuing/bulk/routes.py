"""HTTP of jobs that issue many licences."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal, NotRequired

from fastapi import APIRouter, Depends, Query, Request
from typing_extensions import TypedDict

from foundation.idempotency import key_parameter
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from license_registry.audit.event import happened
from license_registry.issuing.bulk import tables
from license_registry.issuing.bulk.jobs import own_job, submit
from license_registry.issuing.bulk.tables import Job
from license_registry.issuing.errors import KeyInvalid
from license_registry.issuing.routes import CALLER_PROBLEMS, idempotency_key
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import add_event

PREFIX = "/v1/issue-jobs"
router = APIRouter(prefix=PREFIX, tags=["issuing"])

LINES = "application/x-ndjson"


class JobReply(TypedDict):
    """How far a job is: `rows` in all, `done` of them, and what became of those."""

    id: Uuid
    kind: str
    state: str
    rows: int
    done: int
    issued: int
    known: int
    refused: int
    problem: str | None
    created_at: Moment
    changed_at: Moment


class RowReply(TypedDict):
    """What became of a row: its licence, or why there is none."""

    row: int
    identifier: NotRequired[str | None]
    error: NotRequired[str]
    pointer: NotRequired[str | None]
    detail: NotRequired[str | None]


class RowsReply(TypedDict):
    """A page of rows; `after` asks for the next, and is null at the end."""

    rows: list[RowReply]
    after: int | None


@router.post(
    "",
    status_code=202,
    openapi_extra=audited("issue-job")
    | {
        "parameters": [key_parameter(required=True)],
        "requestBody": {"required": True, "content": {LINES: {"schema": {"type": "string"}}}},
    },
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "issuing-key-invalid",
            "issuing-key-reused",
            "invalid-request",
            "body-too-large",
            "store-full",
            "store-unavailable",
        ],
    ),
    summary="Issue many licences, one request a line 批量签发",
)
async def issue_many(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
    kind: Literal["issue", "take-over"] = "issue",
) -> JobReply:
    """Take in lines of JSON, each a request as for one licence. `take-over`: of papers that are in force (存量)."""
    registry: Registry = request.app.state.registry
    key = idempotency_key(request, caller)
    if key is None:
        raise KeyInvalid(_("send 1 to 200 visible ASCII characters, new for each request"))
    now = datetime.now(UTC)
    job = await submit(registry, caller, key, kind, await request.body(), now)
    event = happened("issue-job", None, caller, now, job=str(job.id), rows=job.rows)
    async with registry.pool.acquire() as connection:
        await add_event(connection, event)
    return shown_job(job)


@router.get(
    "/{job_id}",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="Progress of a job",
)
async def progress(
    job_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> JobReply:
    """Tell how far a job of the caller's authority is."""
    return shown_job(await own_job(request.app.state.registry, caller, job_id))


@router.get(
    "/{job_id}/rows",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="Report of a job, row by row",
)
async def report(
    job_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=10000)] = 1000,
    refused: bool = False,
) -> RowsReply:
    """Give the licence or the reason of each row, in order, a page at a time; with `refused` only those not issued."""
    registry: Registry = request.app.state.registry
    job = await own_job(registry, caller, job_id)
    found = await tables.results(registry.pool, job.id, after, limit, refused_only=refused)
    rows: list[RowReply] = [
        {"row": each.row, "identifier": each.identifier}
        if each.error is None
        else {"row": each.row, "error": each.error, "pointer": each.pointer, "detail": each.message}
        for each in found
    ]
    return {"rows": rows, "after": found[-1].row if found else None}


def shown_job(job: Job) -> JobReply:
    """Return a job for a reply."""
    return {
        "id": str(job.id),
        "kind": job.kind,
        "state": job.state,
        "rows": job.rows,
        "done": job.next_row - 1,
        "issued": job.issued,
        "known": job.known,
        "refused": job.refused,
        "problem": job.problem,
        "created_at": job.created_at.isoformat(),
        "changed_at": job.changed_at.isoformat(),
    }
