"""HTTP of documents: to the authority that issued the licence, and to whoever may present it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import media
from foundation.problems import documented
from license_registry import tables as licences
from license_registry.documents.drawing import Format
from license_registry.documents.keep import give
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.ports import Registry
from license_registry.presenting.present import own_licence
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import Licence

router = APIRouter(prefix="/v1/licences", tags=["documents"])

DRAWING_PROBLEMS = (
    "document-template-lacking",
    "document-character-lacking",
    "document-not-drawn",
    "time-stamp-unavailable",
    "store-full",
    "store-unavailable",
)


@router.get(
    "/{identifier}/document",
    openapi_extra=audited("document-given"),
    response_class=Response,
    responses={
        200: {
            "description": "The document",
            "content": {
                **media("application/pdf", "", binary=True)["content"],
                **media("application/ofd", "", binary=True)["content"],
            },
        },
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "invalid-request",
                "not-found",
                "credential-invalid",
                "object-missing",
                "object-altered",
                *DRAWING_PROBLEMS,
            ],
        ),
    },
    summary="The readable document of a licence, as PDF or OFD 证照文件",
)
async def document(
    identifier: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.PERSON))],
    form: Annotated[Format, Query(alias="format")] = Format.PDF,
) -> Response:
    """Give the document with all fields; drawn when it is first asked for, the same bytes ever after."""
    registry: Registry = request.app.state.registry
    licence = await _visible(registry, caller, identifier)
    given = await give(registry, caller, licence, form, datetime.now(UTC))
    return Response(
        given.data,
        media_type=form.media_type,
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{licence.identifier}.{form.value}"',
        },
    )


async def _visible(registry: Registry, caller: Principal, identifier: str) -> Licence:
    """Return a licence that the caller issued or may present, or raise NotFound as for one that does not exist."""
    if caller.subject is not None:
        return await own_licence(registry, caller, identifier)
    found = await licences.find(registry.pool, identifier)
    if found is None or found.issuer != caller.department:
        raise NotFound(_("no such licence"))
    return found
