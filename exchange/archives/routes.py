"""HTTP of archives: the package of a closed case, for the department that decided it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from typing_extensions import TypedDict

from exchange.archives import hand_out
from exchange.archives.tables import CaseArchive, State
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.openapi import Moment, Uuid, media
from foundation.problems import documented
from foundation.text import Code, FreeText

router = APIRouter(prefix="/v1", tags=["archives"])

CaseInPath = Annotated[FreeText, Path(description="Number of the case")]
MatterAsked = Annotated[Code, Query(description="Which of the matters that were decided under this number")]
_CALLER = ("token-missing", "role-missing", "invalid-request", "not-found")


class ArchiveReply(TypedDict):
    """The package of a case and a matter: `waiting-for-log`, `packed` or `failed`; digests (hex) once it is packed.

    `problem`: code of what was in the way last.
    """

    outcome: Uuid
    matter: str
    state: State
    problem: str | None
    asked_at: Moment
    packed_at: Moment | None
    bytes: int | None
    sha256: str | None
    sm3: str | None


class ArchivesReply(TypedDict):
    """The packages of a case, one for each matter that was decided under its number."""

    case: str
    archives: list[ArchiveReply]


@router.get(
    "/cases/{case:path}/archive",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Whether a closed case is archived 办件归档状态",
)
async def archive(
    case: CaseInPath,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> ArchivesReply:
    """Give state and digests of the packages of a case, one for each matter that was decided under its number."""
    exchange: Exchange = request.app.state.exchange
    found = await hand_out.of_case(exchange, caller, case)
    return {"case": case, "archives": [_shown(each) for each in found]}


@router.get(
    "/cases/{case:path}/archive/package",
    openapi_extra=audited("case-archive-fetched"),
    responses={
        200: media("application/zip", "The package", binary=True),
        **documented(
            EXCHANGE_PROBLEMS, [*_CALLER, "archive-not-packed", "archive-damaged", "archive-unavailable"]
        ),
    },
    response_class=Response,
    summary="The e-archive package of a closed case 电子档案包",
)
async def package(
    case: CaseInPath,
    matter: MatterAsked,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Give the package to the department that decided, as it was made; `zhengtong verify` checks it offline."""
    exchange: Exchange = request.app.state.exchange
    found = await hand_out.fetch(exchange, caller, case, matter, datetime.now(UTC))
    assert found.archive.sha256 is not None
    digest = base64.b64encode(found.archive.sha256).decode("ascii")
    return Response(
        found.data,
        media_type="application/zip",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{found.archive.outcome}.zip"',
            "Repr-Digest": f"sha-256=:{digest}:",
        },
    )


@router.post(
    "/cases/{case:path}/archive/retry",
    openapi_extra=audited("case-archive-retried"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "archive-unavailable"]),
    summary="Have a package made that could not be, or was damaged 重新归档",
)
async def retry(
    case: CaseInPath,
    matter: MatterAsked,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> ArchiveReply:
    """Begin anew with a package that failed, or that is not in the store as it was made; a sound one stays."""
    exchange: Exchange = request.app.state.exchange
    return _shown(await hand_out.retry(exchange, caller, case, matter, datetime.now(UTC)))


def _shown(each: CaseArchive) -> ArchiveReply:
    return {
        "outcome": str(each.outcome),
        "matter": each.matter,
        "state": each.state,
        "problem": each.problem,
        "asked_at": each.asked_at.isoformat(),
        "packed_at": None if each.packed_at is None else each.packed_at.isoformat(),
        "bytes": each.bytes,
        "sha256": None if each.sha256 is None else each.sha256.hex(),
        "sm3": None if each.sm3 is None else each.sm3.hex(),
    }
