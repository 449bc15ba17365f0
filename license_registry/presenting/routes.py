"""HTTP of presenting: a person's own licences, codes, and their verification at the counter."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import both
from foundation.openapi import Moment, Uuid, media
from foundation.problems import documented
from foundation.shortcut import JsonReply, read_body
from foundation.text import Code, FreeText
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.identities import of_caller, presentable_by
from license_registry.issuing.routes import CALLER_PROBLEMS, LicenceReply, shown, without_citizen_id
from license_registry.lifecycle.states import STATE_NAMES
from license_registry.ports import Registry
from license_registry.presenting import tables as presenting_tables
from license_registry.presenting.delegation import DelegationRequest, delegate, withdraw
from license_registry.presenting.present import (
    MOST_LICENCES,
    Occasion,
    Presented,
    Wanted,
    for_matter,
    lead_copy,
    own_licence,
    present,
    present_offline,
)
from license_registry.presenting.qr import picture
from license_registry.presenting.tables import Delegation
from license_registry.presenting.verify import Verified, verify_code
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.verifying.offline_code import LONGEST_TEXT

router = APIRouter(prefix="/v1", tags=["presenting"])


Identifier = Annotated[str, StringConstraints(min_length=20, max_length=120, pattern=r"^[0-9A-Z.]+$")]
Fields = Annotated[list[Code], Field(max_length=100)]
Matter = Annotated[Code, AfterValidator(without_citizen_id)]
CodeText = Annotated[
    str,
    StringConstraints(
        min_length=8, max_length=LONGEST_TEXT, pattern=r"^([A-Z0-9:]{8,100}|ZT2:[A-Z0-9 $%*+./:-]+)$"
    ),
]


class LicenceShown(BaseModel):
    """A licence to present, and which of its fields to disclose."""

    model_config = ConfigDict(extra="forbid")

    identifier: Identifier
    disclose: Fields = []


class PresentationRequest(LicenceShown):
    """Which licence to present, for what purpose (用证事由) and matter.

    `further`: licences that the same code shows too. `delegation`: by which an agent acts.
    """

    purpose: FreeText
    matter: Matter
    further: Annotated[list[LicenceShown], Field(max_length=MOST_LICENCES - 1)] = []
    delegation: uuid.UUID | None = None
    picture: bool = False


class OfflineRequest(LicenceShown):
    """What a signed code shows, for what purpose and matter."""

    purpose: FreeText
    matter: Matter
    delegation: uuid.UUID | None = None
    picture: bool = False


class AskedLicence(BaseModel):
    """A licence type that a matter asks for, and the fields it needs."""

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    fields: Fields = []


class MatterRequest(BaseModel):
    """All that a matter asks for; one code shows it (一码)."""

    model_config = ConfigDict(extra="forbid")

    asked: Annotated[list[AskedLicence], Field(min_length=1, max_length=MOST_LICENCES)]
    purpose: FreeText
    matter: Matter
    picture: bool = False


class CodeVerification(BaseModel):
    """A presented code, or the text of its QR code, and the case it is verified for."""

    model_config = ConfigDict(extra="forbid")

    code: CodeText
    case: FreeText


class DelegationBody(BaseModel):
    """An agent by citizen ID, which licences, for which matter, until when."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[str, StringConstraints(min_length=15, max_length=18)]
    identifiers: Annotated[list[Identifier], Field(min_length=1, max_length=MOST_LICENCES)]
    matter: Matter
    valid_until: AwareDatetime


class LicencesReply(TypedDict):
    """Licences, whatever their state."""

    licences: list[LicenceReply]


class CodeReply(TypedDict):
    """A code: its text, what the QR code holds, until when it works, and a picture (data URL) if one was asked for."""

    code: str
    qr: str
    expires_at: Moment
    picture: NotRequired[str]


class CodeForMatterReply(CodeReply):
    """A code for a matter, and the licences that it shows."""

    identifiers: list[str]


class VerifiedLicence(TypedDict):
    """What a counter learns of a licence: result code 0 to 6, every check by name, the disclosed fields."""

    result: int
    checks: dict[str, bool | None]
    reasons: dict[str, str]
    state: str
    state_name: str
    identifier: str
    purpose: str
    matter: str
    by_agent: bool
    fields: dict[str, Any]


class CodeVerified(VerifiedLicence):
    """What a counter learns from a code; `further` where it shows several licences."""

    further: NotRequired[list[VerifiedLicence]]


class DelegationReply(TypedDict):
    """A delegation that the caller gave (`given`) or got, with its signed statements (compact JWS)."""

    id: Uuid
    given: bool
    identifiers: list[str]
    matter: str
    made_at: Moment
    valid_until: Moment
    withdrawn_at: Moment | None
    statement: str
    withdrawal: str | None


class DelegationsReply(TypedDict):
    """Delegations, whether or not they still stand."""

    delegations: list[DelegationReply]


@router.get(
    "/me/licences",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="Licences that I may present 我的证照",
)
async def own(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> LicencesReply:
    """List the caller's own licences, whatever their state."""
    registry: Registry = request.app.state.registry
    assert caller.subject is not None
    return {"licences": [shown(found) for found in await presentable_by(registry, caller.subject)]}


@router.get(
    "/me/licences/{identifier}/credential",
    openapi_extra=audited("fetched"),
    responses={
        200: media("application/dc+sd-jwt", "The licence"),
        **documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found", "object-missing", "object-altered"]),
    },
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


_PRESENTING = [
    *CALLER_PROBLEMS,
    "invalid-request",
    "not-found",
    "holder-ended",
    "credential-invalid",
    "delegation-invalid",
    "holder-ended",
    "object-missing",
    "object-altered",
]


@router.post(
    "/presentations",
    status_code=201,
    openapi_extra=audited("presented"),
    responses=documented(REGISTRY_PROBLEMS, _PRESENTING),
    summary="Present licences 亮证",
)
async def presentations(
    body: PresentationRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> CodeReply:
    """Make a code that shows the chosen fields once, within a minute."""
    registry: Registry = request.app.state.registry
    wanted = [Wanted(each.identifier, tuple(each.disclose)) for each in (body, *body.further)]
    occasion = Occasion(body.purpose, body.matter, body.delegation)
    return _made(await present(registry, caller, wanted, occasion, datetime.now(UTC)), body.picture)


@router.post(
    "/presentations/for-matter",
    status_code=201,
    openapi_extra=audited("presented"),
    responses=documented(REGISTRY_PROBLEMS, [*_PRESENTING, "licence-type-unknown", "licence-lacking"]),
    summary="Present all licences that a matter asks for by one code 一码",
)
async def presentation_for_matter(
    body: MatterRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> CodeForMatterReply:
    """Find the caller's licence in force of each type that is asked for, and make one code for all."""
    registry: Registry = request.app.state.registry
    wanted = await for_matter(
        registry, caller, [(each.licence_type, tuple(each.fields)) for each in body.asked]
    )
    occasion = Occasion(body.purpose, body.matter)
    made = await present(registry, caller, wanted, occasion, datetime.now(UTC))
    return {**_made(made, body.picture), "identifiers": [each.identifier for each in wanted]}


@router.post(
    "/presentations/offline",
    status_code=201,
    openapi_extra=audited("presented-offline"),
    responses=documented(REGISTRY_PROBLEMS, [*_PRESENTING, "code-too-large"]),
    summary="Make a signed code that is verified without a network 离线亮证",
)
async def presentation_offline(
    body: OfflineRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> CodeReply:
    """Sign what is shown into a code of its own (CWT); it works until it expires."""
    registry: Registry = request.app.state.registry
    wanted = Wanted(body.identifier, tuple(body.disclose))
    occasion = Occasion(body.purpose, body.matter, body.delegation)
    return _made(await present_offline(registry, caller, wanted, occasion, datetime.now(UTC)), body.picture)


def _made(made: Presented, with_picture: bool) -> CodeReply:
    told: CodeReply = {"code": made.code, "qr": made.qr, "expires_at": made.expires_at.isoformat()}
    if with_picture:
        told["picture"] = "data:image/png;base64," + base64.b64encode(picture(made.qr)).decode("ascii")
    return told


@router.post(
    "/presentations/verify",
    openapi_extra=audited("presentation-verified"),
    responses={
        200: {"model": CodeVerified},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "invalid-request",
                "not-found",
                "code-used",
                "code-expired",
                "holder-ended",
                "credential-invalid",
                "delegation-invalid",
            ],
        ),
    },
    summary="Verify what was presented 验证",
)
async def verify(
    body: CodeVerification,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.COUNTER))],
) -> Response:
    """Verify a presentation: result code 0 to 6, every check by name, the disclosed fields.

    Of a code for several licences the others stand in `further`.
    """
    return await _verify(request, caller, body)


_verifying = requires(Role.COUNTER)


async def verify_directly(request: Request) -> Response:
    """Do the same for `foundation.shortcut`."""
    return await _verify(request, await _verifying(request), await read_body(request, CodeVerification))


async def _verify(request: Request, caller: Principal, body: CodeVerification) -> Response:
    registry: Registry = request.app.state.registry
    first, *further = await verify_code(registry, caller, body.code, body.case, datetime.now(UTC))
    told: VerifiedLicence | CodeVerified = _verified(first)
    if further:
        told = {**told, "further": [_verified(each) for each in further]}
    return JsonReply(orjson.dumps(told))


def _verified(verified: Verified) -> VerifiedLicence:
    verdict = verified.verdict
    return {
        "result": int(verdict.result),
        "checks": dict(verdict.checks),
        "reasons": {name: both(message, **values) for name, (message, values) in verdict.reasons.items()},
        "state": verified.state.value,
        "state_name": both(STATE_NAMES[verified.state]),
        "identifier": verified.identifier,
        "purpose": verified.purpose,
        "matter": verified.matter,
        "by_agent": verified.agent,
        "fields": dict(verdict.fields),
    }


@router.post(
    "/delegations",
    status_code=201,
    openapi_extra=audited("delegated"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found", "delegation-invalid"]
    ),
    summary="Let an agent present licences of mine 委托代办",
)
async def delegations(
    body: DelegationBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> DelegationReply:
    """Let somebody present named licences for one matter until a date."""
    registry: Registry = request.app.state.registry
    identifiers = tuple(dict.fromkeys(body.identifiers))
    wanted = DelegationRequest(body.agent, identifiers, body.matter, body.valid_until)
    made = await delegate(registry, caller, wanted, datetime.now(UTC))
    return _delegated(made, [made.holder])


@router.get(
    "/delegations",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="Delegations that I gave or got 我的委托",
)
async def own_delegations(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> DelegationsReply:
    """List them, whether or not they still stand, with the signed statements."""
    registry: Registry = request.app.state.registry
    theirs = await of_caller(registry, caller)
    found = await presenting_tables.delegations_of(registry.pool, theirs)
    return {"delegations": [_delegated(each, theirs) for each in found]}


@router.delete(
    "/delegations/{delegation}",
    status_code=204,
    openapi_extra=audited("delegation-withdrawn"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="Withdraw a delegation at once 撤回委托",
)
async def withdraw_delegation(
    delegation: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.PERSON))],
) -> Response:
    """End a delegation of the caller's; codes that were made by it are dead too."""
    registry: Registry = request.app.state.registry
    await withdraw(registry, caller, delegation, datetime.now(UTC))
    return Response(status_code=204)


def _delegated(found: Delegation, theirs: Sequence[bytes]) -> DelegationReply:
    return {
        "id": str(found.id),
        "given": found.holder in theirs,
        "identifiers": list(found.identifiers),
        "matter": found.matter,
        "made_at": found.made_at.isoformat(),
        "valid_until": found.valid_until.isoformat(),
        "withdrawn_at": None if found.withdrawn_at is None else found.withdrawn_at.isoformat(),
        "statement": found.statement,
        "withdrawal": found.withdrawal,
    }
