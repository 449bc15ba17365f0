"""HTTP of matters: their descriptions for everybody, drafts and decisions for those who look after them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from exchange.audit.record import prepare
from exchange.matters import decisions, tables
from exchange.matters.deciding import decide, waiting
from exchange.matters.decisions import Decision
from exchange.matters.drafting import draft
from exchange.matters.matching import vocabulary
from exchange.matters.publishing import publish
from exchange.matters.replies import (
    CandidateList,
    DecisionResult,
    EvidenceTypeList,
    MatterPage,
    MatterReport,
    MatterVersion,
    MatterVersions,
    SettledAlreadyList,
)
from exchange.matters.report import Report, report
from exchange.matters.settled_already import Asked, settled_already
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.errors import NotFound
from foundation.identity.guard import PUBLIC, audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1/matters", tags=["matters"])

VersionNumber = Annotated[int, Path(ge=1, le=9999)]
Limit = Annotated[int, Query(ge=1, le=500)]


class DecisionRequest(BaseModel):
    """A steward's word on a name: which evidence type it stands for, or which it does not.

    Without `evidence_type` the candidate's is meant; without `role` the words of each name say whose paper it is.
    """

    model_config = ConfigDict(extra="forbid")

    name: FreeText
    decision: Literal["confirmed", "rejected"]
    evidence_type: Code | None = None
    role: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    reason: FreeText | None = None


@router.get(
    "",
    dependencies=PUBLIC,
    response_model=MatterPage,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["invalid-request"]),
    summary="Published matters 政务服务事项",
)
async def published(
    request: Request,
    words: CleanText | None = None,
    department: Code | None = None,
    after: Code | None = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """List published matters by code, a page at a time: `words` stand in the title or begin the code.

    `next` is the `after` of the next page, and null on the last.
    """
    exchange: Exchange = request.app.state.exchange
    return await _page(exchange, ["published"], words, department, after, limit)


@router.get(
    "/drafts",
    response_model=MatterPage,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Drafts; a department sees its own",
)
async def drafts(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.DEPARTMENT_SYSTEM))],
    words: CleanText | None = None,
    department: Code | None = None,
    after: Code | None = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """List drafts by code, a page at a time."""
    exchange: Exchange = request.app.state.exchange
    return await _page(exchange, ["draft"], words, _seen_by(caller, department), after, limit)


@router.get(
    "/report",
    response_model=MatterReport,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="What share of the papers asked for the exchange could settle",
)
async def whole_report(
    request: Request,
    caller: Annotated[
        Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.AUDITOR, Role.DEPARTMENT_SYSTEM))
    ],
    department: Code | None = None,
    published_only: bool = False,
) -> dict[str, Any]:
    """Count papers of the newest versions that are not retired; a department's system sees its own."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection:
        found = await tables.current(
            connection, department=_seen_by(caller, department), published_only=published_only
        )
        decided = await decisions.all_of(connection)
    return shown_report(await asyncio.to_thread(report, [each.document for each in found], decided))


@router.get(
    "/settled-already",
    response_model=SettledAlreadyList,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="Papers that should no longer be asked 不应再要求提交的材料",
)
async def no_longer_to_be_asked(
    request: Request,
    caller: Annotated[
        Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.AUDITOR, Role.DEPARTMENT_SYSTEM))
    ],
    department: Code | None = None,
) -> dict[str, Any]:
    """List required materials of published matters that the exchange can settle, with what plans made of them."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection:
        found = await tables.current(connection, department=_seen_by(caller, department), published_only=True)
        planned = await tables.planned(connection)
    asked = None if planned is None else {each: Asked(*counts) for each, counts in planned.items()}
    return {"materials": [asdict(each) for each in settled_already((e.document for e in found), asked)]}


@router.get(
    "/evidence-types",
    dependencies=PUBLIC,
    response_model=EvidenceTypeList,
    openapi_extra=audited("none"),
    summary="What papers' names are matched to",
)
async def evidence_types() -> dict[str, Any]:
    """List the evidence types with the names that stand for them."""
    return {"evidence_types": [asdict(each) for each in vocabulary().types.values()]}


@router.get(
    "/candidates",
    response_model=CandidateList,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "invalid-request"]),
    summary="Names of papers that wait for a steward's decision",
)
async def candidates(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
    limit: Limit = 100,
) -> dict[str, Any]:
    """List what names may stand for, the surest and most used first, and what was decided."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection:
        decided = await decisions.all_of(connection)
        found = await tables.current(connection)
    # A moment of work for some thousand matters: the questions of others do not wait for it.
    open_ones = await asyncio.to_thread(waiting, [each.document for each in found], decided)
    return {
        "waiting": len(open_ones),
        "candidates": [asdict(each) for each in open_ones[:limit]],
        "decided": [_shown_decision(each) for each in decided],
    }


@router.put(
    "/candidates",
    response_model=DecisionResult,
    openapi_extra=audited("material-decided"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            "token-missing",
            "role-missing",
            "invalid-request",
            "evidence-type-unknown",
            "material-name-malformed",
            "material-confirmed-otherwise",
            "material-without-candidate",
        ],
    ),
    summary="Confirm or reject what a name stands for; safe to repeat",
)
async def decided(
    body: DecisionRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Decide for all matters, those still to come too; published ones get a new draft."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    done = await decide(
        exchange.pool,
        body.name,
        body.evidence_type,
        confirm=body.decision == decisions.CONFIRMED,
        role=body.role,
        reason=body.reason,
        decided_by=caller.id,
        now=now,
    )
    await exchange.recorder.record(
        prepare("material-decided", body.decision, caller, now, details=_shown_decision(done.decision))
    )
    return {
        "decision": _shown_decision(done.decision),
        "changed_drafts": done.changed_drafts,
        "new_drafts": done.new_drafts,
        "left_out": done.left_out,
    }


@router.get(
    "/{code}",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["not-found"]),
    summary="The published description of a matter",
)
async def one(code: Code, request: Request) -> dict[str, Any]:
    """Return the description as it was published."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection:
        found = await tables.published(connection, code)
    if found is None:
        raise NotFound(_("no such matter is published"))
    return found


@router.get(
    "/{code}/versions",
    response_model=MatterVersions,
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "not-found"]),
    summary="All versions of a matter, newest first",
)
async def all_versions(
    code: Code,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Return descriptions and where they stand; drafts of other departments are left out."""
    exchange: Exchange = request.app.state.exchange
    async with exchange.pool.acquire() as connection:
        found = await tables.versions(connection, code)
    own = _seen_by(caller, None)
    seen = [each for each in found if own in (None, each.document["department"]) or each.state != "draft"]
    if not seen:
        raise NotFound(_("no such matter"))
    return {"versions": [_shown(each) for each in seen]}


@router.put(
    "/{code}/versions/{version}",
    response_model=MatterVersion,
    openapi_extra=audited("matter-drafted"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            "token-missing",
            "role-missing",
            "malformed-body",
            "invalid-request",
            "body-too-large",
            "matter-malformed",
            "matter-of-another-department",
            "matter-version-stands",
        ],
    ),
    summary="Write a draft; safe to repeat",
)
async def write(
    code: Code,
    version: int,
    body: Annotated[dict[str, Any], Body()],
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Store a description (`schemas/matters/matter.json`) as the draft of this version."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    made = await draft(exchange.pool, body, code, version, caller, now)
    await exchange.recorder.record(
        prepare("matter-drafted", "drafted", caller, now, matter=code, version=version)
    )
    return _shown(made)


@router.put(
    "/{code}/versions/{version}/publication",
    response_model=MatterVersion,
    openapi_extra=audited("matter-published"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            "token-missing",
            "role-missing",
            "not-found",
            "matter-malformed",
            "matter-not-publishable",
            "matter-loop",
        ],
    ),
    summary="Publish a draft in place of what is published; safe to repeat",
)
async def publication(
    code: Code,
    version: int,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Publish: what the evidence names must be there, and no matter may need itself by way of others."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    made = await publish(exchange.pool, exchange.catalogue, code, version, caller.id, now)
    await exchange.recorder.record(
        prepare("matter-published", "published", caller, now, matter=code, version=version)
    )
    return _shown(made)


@router.delete(
    "/{code}/publication",
    status_code=204,
    openapi_extra=audited("matter-retired"),
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing", "not-found"]),
    summary="Retire a matter",
)
async def retirement(
    code: Code, request: Request, caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))]
) -> Response:
    """Retire what is published; a matter that has been retired before stays so."""
    exchange: Exchange = request.app.state.exchange
    now = datetime.now(UTC)
    async with exchange.pool.acquire() as connection:
        retired = await tables.retire(connection, code, caller.id, now)
        if not retired and not any(e.state == "retired" for e in await tables.versions(connection, code)):
            raise NotFound(_("no such matter is published"))
    await exchange.recorder.record(prepare("matter-retired", "retired", caller, now, matter=code))
    return Response(status_code=204)


def shown_report(found: Report) -> dict[str, Any]:
    """Return a report as JSON, with shares in percent of all papers that are asked for, and of all names."""
    return {
        "matters": found.matters,
        "papers": _shares(found.count.occurrences),
        "names": _shares(found.count.names),
        "by_evidence": found.by_evidence,
        "by_sureness": found.by_sureness,
        "paper_free": asdict(found.paper_free),
        "departments": [
            {"department": code, "department_name": name, **counts}
            for (code, name), counts in found.departments.items()
        ],
        "open_names": [{"name": name, "papers": times} for name, times in found.open_names],
    }


def _shares(counts: Any) -> dict[str, Any]:
    total = counts.total()
    return {
        "total": total,
        "standing": {
            name: {"count": count, "percent": round(100 * count / total, 1)}
            for name, count in counts.most_common()
        },
    }


async def _page(
    exchange: Exchange,
    states: list[str],
    words: str | None,
    department: str | None,
    after: Code | None,
    limit: int,
) -> dict[str, Any]:
    async with exchange.pool.acquire() as connection:
        rows = await tables.search(
            connection, states=states, words=words, department=department, after=after or "", limit=limit + 1
        )
    shown = rows[:limit]
    return {"matters": shown, "next": shown[-1]["code"] if len(rows) > limit else None}


def _seen_by(caller: Principal, department: str | None) -> str | None:
    """Return the department whose matters a caller sees; None: of all."""
    if caller.roles & {Role.SHARING_AUTHORITY, Role.AUDITOR}:
        return department
    return caller.department


def _shown(version: tables.Version) -> dict[str, Any]:
    return {
        "code": version.code,
        "version": version.version,
        "state": version.state,
        "changed_at": version.changed_at.isoformat(),
        "changed_by": version.changed_by,
        "document": version.document,
    }


def _shown_decision(decision: Decision) -> dict[str, Any]:
    return {**asdict(decision), "decided_at": decision.decided_at.isoformat()}
