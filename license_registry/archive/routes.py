"""HTTP of the registry's own archives: what a closed matter rests on, packed for the authority that issued it."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Moment, media
from foundation.problems import documented
from foundation.text import Code, FreeText
from license_registry.archive import tables
from license_registry.archive.keep import ToKeep, keep, key_of
from license_registry.archive.pack import fetch
from license_registry.archive.tables import Archive
from license_registry.audit.event import happened
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import add_event

router = APIRouter(prefix="/v1/archives", tags=["archives"])

DocumentName = Annotated[str, StringConstraints(pattern=r"^[^/\\.\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,99}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")]


class ArchiveRequest(BaseModel):
    """What goes into a package. The same `id` again gives the same package, so a retry is safe."""

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    matter: Code
    case: FreeText
    licences: Annotated[list[str], Field(min_length=1, max_length=100)]
    answers: Annotated[list[Token], Field(max_length=100)] = []
    documents: Annotated[dict[DocumentName, Base64Bytes], Field(max_length=100)] = {}


class ArchiveReply(TypedDict):
    """A package in the store; digests (hex) and size are of what is handed out.

    `sm3` and `bytes` are null for packages that were made before these were noted.
    """

    key: str
    matter: str
    case: str
    sha256: str
    sm3: str | None
    bytes: int | None
    made_at: Moment


class ArchivesReply(TypedDict):
    """Packages, the latest first."""

    archives: list[ArchiveReply]


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("archived"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "malformed-body",
            "invalid-request",
            "body-too-large",
            "not-found",
            "issuer-mismatch",
            "answer-invalid",
            "archive-stands",
            "object-missing",
            "object-altered",
            "store-full",
            "store-unavailable",
        ],
    ),
    summary="Archive what a closed matter rests on 归档",
)
async def archive(
    body: ArchiveRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> ArchiveReply:
    """Pack licences that the caller's authority issued, with answers and documents; kept sealed, never replaced."""
    registry: Registry = request.app.state.registry
    wanted = ToKeep(body.matter, body.case, list(dict.fromkeys(body.licences)), body.answers, body.documents)
    kept = await keep(
        registry, caller, wanted, datetime.now(UTC), archive_id=body.id, issuer=caller.department
    )
    return _shown(kept.archive)


@router.get(
    "",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request"]),
    summary="Archives of my authority 档案",
)
async def archives(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ArchivesReply:
    """List the packages that were made for the caller's authority."""
    registry: Registry = request.app.state.registry
    found = await tables.of_department(registry.pool, caller.department, limit)
    return {"archives": [_shown(each) for each in found]}


@router.get(
    "/{archive_id}/package",
    openapi_extra=audited("archive-fetched"),
    responses={
        200: media("application/zip", "The package", binary=True),
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "invalid-request",
                "not-found",
                "object-missing",
                "object-altered",
                "store-unavailable",
            ],
        ),
    },
    response_class=Response,
    summary="Fetch a package 档案包",
)
async def package(
    archive_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> Response:
    """Give a package that the caller's authority had made, recorded first."""
    registry: Registry = request.app.state.registry
    found = await tables.find(registry.pool, key_of(archive_id))
    if found is None or found.department != caller.department:
        raise NotFound(_("no such archive of yours"))
    event = happened(
        "archive-fetched",
        None,
        caller,
        datetime.now(UTC),
        object_key=found.object_key,
        matter=found.matter,
        case=found.case_ref,
    )
    async with registry.pool.acquire() as connection:
        await add_event(connection, event)
    digest = base64.b64encode(found.sha256).decode("ascii")
    return Response(
        await fetch(registry, found),
        media_type="application/zip",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{archive_id}.zip"',
            "Repr-Digest": f"sha-256=:{digest}:",
        },
    )


def _shown(each: Archive) -> ArchiveReply:
    return {
        "key": each.object_key,
        "matter": each.matter,
        "case": each.case_ref,
        "sha256": each.sha256.hex(),
        "sm3": None if each.sm3 is None else each.sm3.hex(),
        "bytes": each.bytes,
        "made_at": each.made_at.isoformat(),
    }
