"""HTTP of what is shown without a code: by number, by file, by grant, and dossiers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _, both
from foundation.openapi import Moment, Uuid, media
from foundation.problems import documented
from foundation.text import CleanText, Code, FreeText
from license_registry.audit.event import happened
from license_registry.catalog.types import require_type
from license_registry.disclosing import tables
from license_registry.disclosing.by_file import UPLOAD_PROBLEMS, verify_upload
from license_registry.disclosing.by_grant import dossier, require_fields, see
from license_registry.disclosing.copies import fetch_copy, make_copy
from license_registry.disclosing.history import look_back
from license_registry.disclosing.number import check_number
from license_registry.disclosing.tables import Grant
from license_registry.documents.drawing import Format
from license_registry.documents.routes import DRAWING_PROBLEMS
from license_registry.identities import held_by, presentable_by
from license_registry.issuing.routes import CALLER_PROBLEMS, LicenceReply, shown, without_citizen_id
from license_registry.lifecycle.routes import HistoryReply, shown_history
from license_registry.ports import Registry
from license_registry.presenting.routes import LicencesReply
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.verifying.report import RESULT_NAMES

router = APIRouter(prefix="/v1", tags=["disclosing"])

Identifier = Annotated[str, StringConstraints(min_length=20, max_length=120, pattern=r"^[0-9A-Z.]+$")]
Matter = Annotated[Code, AfterValidator(without_citizen_id)]


class NumberCheck(BaseModel):
    """Type, number and holder's name, as they stand on a licence."""

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    number: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    holder_name: CleanText


class SeeRequest(BaseModel):
    """A licence that a department wants to see, for which matter and case."""

    model_config = ConfigDict(extra="forbid")

    identifier: Identifier
    matter: Matter
    case: FreeText


class CopyRequest(SeeRequest):
    """A licence that a department wants a marked copy of; `format`: as a document, else the signed copy alone."""

    format: Format | None = None


class DossierRequest(BaseModel):
    """Whose licences; the code stands in the body, so that no log of addresses holds it."""

    model_config = ConfigDict(extra="forbid")

    holder_code: Annotated[str, StringConstraints(min_length=15, max_length=18)]
    matter: Matter
    case: FreeText


class GrantBody(BaseModel):
    """What a department may see of licences of a type; `history`: ended ones and earlier versions, too."""

    model_config = ConfigDict(extra="forbid")

    client_id: Code
    licence_type: Code
    fields: Annotated[list[Code], Field(max_length=100)] = []
    matters: Annotated[list[Matter], Field(min_length=1, max_length=1000)]
    purpose: FreeText
    legal_basis: FreeText
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    history: bool = False


class NumberReply(TypedDict):
    """Whether a licence is valid (result code 0 to 6), and of which type it is."""

    result: int
    result_name: str
    valid: bool
    licence_type: str | None
    licence_name: str | None


class FileReply(TypedDict):
    """What a file is and whether it holds: result code 0 to 6, every check by name, what was shown."""

    kind: str
    result: int
    valid: bool
    checks: dict[str, bool | None]
    reasons: dict[str, str]
    fields: dict[str, Any]
    problem: str | None
    presented: NotRequired[dict[str, Any]]
    parts: NotRequired[dict[str, Any]]


class SeenReply(FileReply):
    """What a grant shows of a licence."""

    state: str
    grant: Uuid
    purpose: str


class CopyReply(TypedDict):
    """A marked copy and the link that fetches it, once."""

    copy: Uuid
    sha256: str
    valid_until: Moment
    link: str
    link_expires_at: Moment


class DossierReply(TypedDict):
    """Licences that the caller holds, and those of entities that the caller represents."""

    held: list[LicenceReply]
    represented: list[LicenceReply]


class HistorySeen(HistoryReply):
    """What befell a licence, by which grant and for which purpose."""

    grant: Uuid
    purpose: str


class DisclosureGrantReply(TypedDict):
    """What a department may see of licences of a type."""

    id: Uuid
    client_id: str
    licence_type: str
    fields: list[str]
    matters: list[str]
    purpose: str
    legal_basis: str
    valid_from: Moment
    valid_until: Moment
    history: bool


class DisclosureGrantsReply(TypedDict):
    """Grants that nobody has ended."""

    grants: list[DisclosureGrantReply]


@router.post(
    "/number-checks",
    openapi_extra=audited("number-checked"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "licence-type-unknown", "too-many-tries"]
    ),
    summary="Is a licence of this number and holder valid? 编号核验",
)
async def number_checks(
    body: NumberCheck,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.COUNTER, Role.PERSON))],
) -> NumberReply:
    """Say valid or not, and the type; nothing else. A few wrong numbers an hour are heard."""
    registry: Registry = request.app.state.registry
    known = await check_number(
        registry, caller, body.licence_type, body.number, body.holder_name, datetime.now(UTC)
    )
    return {
        "result": int(known.result),
        "result_name": both(RESULT_NAMES[known.result]),
        "valid": int(known.result) == 0,
        "licence_type": None if known.type is None else known.type.id,
        "licence_name": None if known.type is None else f"{known.type.name} · {known.type.name_en}",
    }


@router.post(
    "/file-verifications",
    openapi_extra=audited("file-verified")
    | {
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    response_model=None,
    responses={
        200: {"model": FileReply},
        **documented(
            REGISTRY_PROBLEMS,
            [*CALLER_PROBLEMS, *UPLOAD_PROBLEMS],
        ),
    },
    summary="Verify a file: credential, signed code or a picture of one, document 文件核验",
)
async def file_verifications(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.COUNTER))],
    case: Annotated[FreeText, Query()],
) -> dict[str, Any]:
    """Verify the body, whatever of ours it is; of an OFD each seal, of a PDF whether it was drawn here."""
    registry: Registry = request.app.state.registry
    body = await request.body()
    return (await verify_upload(registry, caller, body, case, datetime.now(UTC), {})).as_json()


@router.post(
    "/department/verifications",
    response_model=None,
    openapi_extra=audited("seen-by-grant"),
    responses={
        200: {"model": SeenReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "invalid-request",
                "not-found",
                "disclosure-not-granted",
                "credential-invalid",
                "object-missing",
                "object-altered",
            ],
        ),
    },
    summary="Verify a licence by grant, without its holder's act 依职权核验",
)
async def department_verifications(
    body: SeeRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Show the granted fields of a licence, for the matter of the grant and a case."""
    registry: Registry = request.app.state.registry
    seen = await see(registry, caller, body.identifier, body.matter, body.case, datetime.now(UTC))
    return {
        **seen.verdict.as_json(),
        "state": seen.licence.state.value,
        "grant": str(seen.grant.id),
        "purpose": seen.grant.purpose,
    }


@router.post(
    "/department/dossiers",
    openapi_extra=audited("dossier-seen"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "disclosure-not-granted", "holder-invalid"]
    ),
    summary="Licences of a person or an entity, as far as granted 一人一档、一企一档",
)
async def department_dossiers(
    body: DossierRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> LicencesReply:
    """List number, dates and state of the licences that grants cover; their fields are seen one by one.

    Ended ones and earlier versions are listed where the grant covers history.
    """
    registry: Registry = request.app.state.registry
    found = await dossier(registry, caller, body.holder_code, body.matter, body.case, datetime.now(UTC))
    return {"licences": [shown(licence) for licence in found]}


@router.post(
    "/department/histories",
    openapi_extra=audited("history-seen"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found", "disclosure-not-granted"]
    ),
    summary="What befell a licence, by a grant that covers history 依职权查询证照历史",
)
async def department_histories(
    body: SeeRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> HistorySeen:
    """Give all versions of a licence and every signed change; the fields of a version are seen by its identifier."""
    registry: Registry = request.app.state.registry
    looked = await look_back(registry, caller, body.identifier, body.matter, body.case, datetime.now(UTC))
    return {
        **shown_history(looked.history),
        "grant": str(looked.grant.id),
        "purpose": looked.grant.purpose,
    }


@router.post(
    "/department/copies",
    status_code=201,
    openapi_extra=audited("copy-made"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [
            *CALLER_PROBLEMS,
            "invalid-request",
            "not-found",
            "disclosure-not-granted",
            "credential-invalid",
            "object-missing",
            "object-altered",
            *DRAWING_PROBLEMS,
        ],
    ),
    summary="A marked copy of a licence for the calling department 加注件",
)
async def department_copies(
    body: CopyRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> CopyReply:
    """Make a copy that says for whom, for what and until when; its link works once, for ten minutes."""
    registry: Registry = request.app.state.registry
    made = await make_copy(
        registry, caller, body.identifier, body.matter, body.case, datetime.now(UTC), form=body.format
    )
    return {
        "copy": str(made.copy.id),
        "sha256": made.copy.sha256.hex(),
        "valid_until": made.copy.valid_until.isoformat(),
        "link": f"{registry.issuer}/v1/downloads/{made.link}",
        "link_expires_at": made.link_expires_at.isoformat(),
    }


@router.get(
    "/downloads/{link}",
    openapi_extra=audited("copy-fetched"),
    responses={
        200: {
            "description": "The marked copy",
            "content": {
                **media("application/jose", "")["content"],
                **media("application/pdf", "", binary=True)["content"],
                **media("application/ofd", "", binary=True)["content"],
            },
        },
        **documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "link-spent", "object-missing", "object-altered"]),
    },
    summary="Fetch a marked copy, once",
)
async def downloads(
    link: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Give the copy to the department that it was made for."""
    registry: Registry = request.app.state.registry
    fetched = await fetch_copy(registry, caller, link, datetime.now(UTC))
    return Response(fetched.data, media_type=fetched.media_type, headers={"Cache-Control": "no-store"})


@router.get(
    "/me/dossier",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="All licences that I hold, or present for an entity 我的证照档案",
)
async def own_dossier(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.PERSON))]
) -> DossierReply:
    """List the caller's licences of every state, and those of entities that the caller represents."""
    registry: Registry = request.app.state.registry
    assert caller.subject is not None
    held = await held_by(registry, caller.subject)
    known = {licence.identifier for licence in held}
    presented = await presentable_by(registry, caller.subject)
    return {
        "held": [shown(licence) for licence in held],
        "represented": [shown(licence) for licence in presented if licence.identifier not in known],
    }


@router.post(
    "/disclosure-grants",
    status_code=201,
    openapi_extra=audited("disclosure-granted"),
    responses=documented(
        REGISTRY_PROBLEMS,
        [*CALLER_PROBLEMS, "invalid-request", "licence-type-unknown", "disclosure-not-granted"],
    ),
    summary="Let a department see licences of a type 授权依职权核验",
)
async def give_grant(
    body: GrantBody,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> DisclosureGrantReply:
    """Give a grant; it is in the log with its legal basis."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    fields = frozenset(body.fields)
    require_fields(require_type(registry.types, body.licence_type), fields)
    grant = Grant(
        uuid.uuid4(),
        body.client_id,
        body.licence_type,
        fields,
        frozenset(body.matters),
        body.purpose,
        body.legal_basis,
        body.valid_from,
        body.valid_until,
        caller.id,
        now,
        history=body.history,
    )
    event = happened("disclosure-granted", None, caller, now, grant=_grant(grant))
    async with registry.pool.acquire() as connection:
        await tables.add_grant(connection, grant, event)
    return _grant(grant)


@router.get(
    "/disclosure-grants",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, CALLER_PROBLEMS),
    summary="Grants of the calling client, or of `client_id`",
)
async def grants(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY))],
    client_id: Code | None = None,
) -> DisclosureGrantsReply:
    """List grants that nobody has ended; a department sees only its own."""
    registry: Registry = request.app.state.registry
    wanted = client_id if client_id and Role.SHARING_AUTHORITY in caller.roles else caller.id
    return {"grants": [_grant(each) for each in await tables.grants_of(registry.pool, wanted)]}


@router.delete(
    "/disclosure-grants/{grant_id}",
    status_code=204,
    openapi_extra=audited("disclosure-grant-ended"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found"]),
    summary="End a grant at once",
)
async def end_grant(
    grant_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> Response:
    """End a grant; nothing is shown by it any more."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    event = happened("disclosure-grant-ended", None, caller, now, grant=str(grant_id))
    async with registry.pool.acquire() as connection:
        if not await tables.end_grant(connection, grant_id, now, event):
            raise NotFound(_("no such grant in force"))
    return Response(status_code=204)


def _grant(grant: Grant) -> DisclosureGrantReply:
    return {
        "id": str(grant.id),
        "client_id": grant.client_id,
        "licence_type": grant.licence_type,
        "fields": sorted(grant.fields),
        "matters": sorted(grant.matters),
        "purpose": grant.purpose,
        "legal_basis": grant.legal_basis,
        "valid_from": grant.valid_from.isoformat(),
        "valid_until": grant.valid_until.isoformat(),
        "history": grant.history,
    }
