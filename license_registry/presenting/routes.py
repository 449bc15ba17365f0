"""HTTP of presenting: a person's own licences, codes, and their verification at the counter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import both
from foundation.problems import documented
from foundation.text import Code, FreeText
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.issuing.routes import CALLER_PROBLEMS, shown, without_citizen_id
from license_registry.lifecycle.states import STATE_NAMES
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy, own_licence, present
from license_registry.presenting.verify import verify_code
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1", tags=["presenting"])


class PresentationRequest(BaseModel):
    """Which licence to present, which of its fields to disclose, for what purpose (用证事由) and matter."""

    model_config = ConfigDict(extra="forbid")

    identifier: Annotated[str, StringConstraints(min_length=20, max_length=120, pattern=r"^[0-9A-Z.]+$")]
    disclose: Annotated[list[Code], Field(max_length=100)] = []
    purpose: FreeText
    matter: Annotated[Code, AfterValidator(without_citizen_id)]


class CodeVerification(BaseModel):
    """A presented code, or the text of its QR code, and the case it is verified for."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, StringConstraints(min_length=8, max_length=100, pattern=r"^[A-Z0-9:]+$")]
    case: FreeText


@router.get(
    "/me/licences",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="Licences that I may present 我的证照",
)
async def own(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> dict[str, Any]:
    """List the caller's own licences, whatever their state."""
    registry: Registry = request.app.state.registry
    assert caller.subject is not None
    return {"licences": [shown(found) for found in await tables.of_presenter(registry.pool, caller.subject)]}


@router.get(
    "/me/licences/{identifier}/credential",
    openapi_extra=audited("fetched"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found", "object-missing", "object-altered"]
    ),
    summary="The licence itself, as a file to keep (SD-JWT VC with all disclosures)",
)
async def own_credential(
    identifier: str, request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> Response:
    """Give the holder their licence."""
    registry: Registry = request.app.state.registry
    licence = await own_licence(registry, caller, identifier)
    credential = await lead_copy(registry, licence)
    async with registry.pool.acquire() as connection:
        await tables.add_event(connection, happened("fetched", identifier, caller, datetime.now(UTC)))
    return PlainTextResponse(
        credential, media_type="application/dc+sd-jwt", headers={"Cache-Control": "no-store"}
    )


@router.post(
    "/presentations",
    status_code=201,
    openapi_extra=audited("presented"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "invalid-request",
            "not-found",
            "holder-ended",
            "credential-invalid",
            "object-missing",
            "object-altered",
        ],
    ),
    summary="Present a licence 亮证",
)
async def presentations(
    body: PresentationRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> dict[str, Any]:
    """Make a code that shows the chosen fields once, within a minute."""
    registry: Registry = request.app.state.registry
    made = await present(
        registry, caller, body.identifier, body.disclose, body.purpose, body.matter, datetime.now(UTC)
    )
    return {"code": made.code, "qr": made.qr, "expires_at": made.expires_at.isoformat()}


@router.post(
    "/presentations/verify",
    openapi_extra=audited("presentation-verified"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [*CALLER_PROBLEMS, "invalid-request", "not-found", "code-used", "code-expired", "credential-invalid"],
    ),
    summary="Verify what was presented 验证",
)
async def verify(
    body: CodeVerification,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.COUNTER))],
) -> dict[str, Any]:
    """Verify a presentation: result code 0 to 6, every check by name, the disclosed fields."""
    registry: Registry = request.app.state.registry
    verified = await verify_code(registry, caller, body.code, body.case, datetime.now(UTC))
    checked = verified.checked
    return {
        "result": int(checked.result),
        "checks": checked.checks,
        "state": checked.state.value,
        "state_name": both(STATE_NAMES[checked.state]),
        "identifier": verified.identifier,
        "purpose": verified.purpose,
        "matter": verified.matter,
        "fields": checked.fields,
    }
