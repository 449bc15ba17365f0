"""HTTP of licence interfaces: data by holder, identifier and code, the file, verification of data and of files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import both
from foundation.openapi import Moment, Uuid
from foundation.problems import documented
from foundation.text import CleanText, FreeText
from license_registry.catalog.types import type_of
from license_registry.disclosing.by_file import UPLOAD_PROBLEMS, verify_upload
from license_registry.disclosing.by_grant import dossier, see
from license_registry.disclosing.copies import make_copy
from license_registry.disclosing.routes import Identifier, Matter
from license_registry.documents.drawing import Format
from license_registry.documents.routes import DRAWING_PROBLEMS
from license_registry.issuing.routes import CALLER_PROBLEMS, without_citizen_id
from license_registry.lifecycle.states import STATE_NAMES, State
from license_registry.ports import Registry
from license_registry.presenting.check import Result
from license_registry.presenting.routes import CodeText
from license_registry.presenting.verify import Intended, verify_code
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.sharing.names import LicenceData, of_fields, of_licence
from license_registry.sharing.verify_data import verify_data
from license_registry.verifying.copy import KIND as COPY_KIND
from license_registry.verifying.credential import CREDENTIAL_KIND, OFFLINE_KIND
from license_registry.verifying.report import RESULT_NAMES

router = APIRouter(prefix="/v1/sharing", tags=["sharing"])

_LICENCE_KINDS = frozenset({CREDENTIAL_KIND, OFFLINE_KIND, COPY_KIND})

TypeCode = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Z]{18}[0-9A-Z]{3}$"), AfterValidator(without_citizen_id)
]
ShortName = Annotated[
    str, StringConstraints(pattern=r"^(ZZ|CZZT|KZ_)[A-Za-z0-9_]{0,60}$"), AfterValidator(without_citizen_id)
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=10000)]


class Use(BaseModel):
    """What a licence is used for: cause of use (用证事由), matter and case; all of it stands in the log."""

    model_config = ConfigDict(extra="forbid")

    use_cause: FreeText
    matter: Matter
    case: FreeText


class HolderUse(Use):
    """Whose licences, by the code of the holder, and of which type (all, where none is named)."""

    CZZTDM: Annotated[str, StringConstraints(min_length=15, max_length=18)]
    ZZLXDM: TypeCode | None = None


class IdentifierUse(Use):
    """A licence by its identifier."""

    ZZBS: Identifier


class FileUse(IdentifierUse):
    """A licence whose file is wanted; `format`: as a document, else the signed copy alone."""

    format: Format | None = None


class CodeUse(Use):
    """The text of a QR code that a holder presents."""

    code: CodeText


class DataUse(IdentifierUse):
    """Data of a licence as they stand on what somebody has in hand, by short name."""

    data: Annotated[
        dict[ShortName, Text | Annotated[list[CleanText], Field(min_length=1, max_length=100)] | None],
        Field(min_length=1, max_length=100),
    ]


class StateReply(TypedDict):
    """State of a licence (`01` to `07`, `99`)."""

    state: str
    state_name: str


class LicenceDataFound(LicenceData, StateReply):
    """Data of a licence without its holder's fields, and its state."""


class HolderData(TypedDict):
    """Licences of a holder that grants cover."""

    licences: list[LicenceDataFound]


class ResultReply(TypedDict):
    """Result code 0 to 6, its name, and whether it is 0."""

    result: int
    result_name: str
    valid: bool


class IdentifierData(ResultReply, StateReply):
    """A licence by grant: result, state, by which grant and for which purpose, and the data granted."""

    grant: Uuid
    purpose: str
    data: LicenceData


class PresentedLicence(ResultReply, StateReply):
    """A licence that a code shows, for the purpose that its holder named; `by_agent`: somebody acts for the holder."""

    purpose: str
    by_agent: bool
    data: LicenceData


class CodeData(TypedDict):
    """All licences that a code shows."""

    licences: list[PresentedLicence]


class FileMade(TypedDict):
    """A marked copy: maker, when, why, until when, its digest, and the link that fetches it once."""

    ZZBS: str
    JZJZZZ: str
    JZJZZSJ: Moment
    JZJZZSY: str
    JZJYXQJZSJ: Moment
    copy: Uuid
    sha256: str
    link: str
    link_expires_at: Moment


class DataVerified(ResultReply):
    """Whether data agree with a licence: names that differ, and names that the licence does not say; never values."""

    differing: list[str]
    lacking: list[str]


class SharedFileVerified(ResultReply):
    """What a file is and whether it holds: checks by name, the data of a licence, how it was presented or marked."""

    kind: str
    checks: dict[str, bool | None]
    reasons: dict[str, str]
    data: LicenceData | None
    presented: dict[str, Any]


_BY_GRANT = [
    *CALLER_PROBLEMS,
    "invalid-request",
    "disclosure-not-granted",
    "credential-invalid",
    "object-missing",
    "object-altered",
]


@router.post(
    "/data-by-holder",
    openapi_extra=audited("dossier-seen"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "disclosure-not-granted", "holder-invalid"]
    ),
    summary="Data of licences by their holder 按持证主体获取证照数据",
)
async def data_by_holder(
    body: HolderUse,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> HolderData:
    """List the licences that grants cover; their holder's fields are given one by one, by identifier."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    found = await dossier(
        registry, caller, body.CZZTDM, body.matter, body.case, now, body.use_cause, body.ZZLXDM
    )
    licences: list[LicenceDataFound] = []
    for licence in found:
        type_ = type_of(registry.types, licence.type_code, licence.type_version)
        licences.append({**of_licence(licence, type_), **_state(licence.state)})
    return {"licences": licences}


@router.post(
    "/data-by-identifier",
    openapi_extra=audited("seen-by-grant"),
    responses=documented(REGISTRY_PROBLEMS, [*_BY_GRANT, "not-found"]),
    summary="Data of a licence by its identifier 按证照标识获取证照数据",
)
async def data_by_identifier(
    body: IdentifierUse,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> IdentifierData:
    """Verify a licence by grant, and give the granted fields."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    seen = await see(registry, caller, body.ZZBS, body.matter, body.case, now, body.use_cause)
    type_ = type_of(registry.types, seen.licence.type_code, seen.licence.type_version)
    data = of_licence(seen.licence, type_) | of_fields(seen.verdict.fields, registry.types)
    return {
        **_result(seen.verdict.result),
        **_state(seen.licence.state),
        "grant": str(seen.grant.id),
        "purpose": seen.grant.purpose,
        "data": data,
    }


@router.post(
    "/data-by-code",
    openapi_extra=audited("presentation-verified"),
    responses=documented(
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
            "matter-differs",
        ],
    ),
    summary="Data of licences by the text of a QR code 按二维码获取证照数据",
)
async def data_by_code(
    body: CodeUse,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.COUNTER))],
) -> CodeData:
    """Verify what a holder presents for this matter, and give the fields that they chose."""
    registry: Registry = request.app.state.registry
    intended = Intended(body.matter, body.use_cause)
    verified = await verify_code(registry, caller, body.code, body.case, datetime.now(UTC), intended)
    return {
        "licences": [
            {
                **_result(each.verdict.result),
                **_state(each.state),
                "purpose": each.purpose,
                "by_agent": each.agent,
                "data": of_fields(each.verdict.fields, registry.types),
            }
            for each in verified
        ]
    }


@router.post(
    "/files",
    status_code=201,
    openapi_extra=audited("copy-made"),
    responses=documented(REGISTRY_PROBLEMS, [*_BY_GRANT, "not-found", *DRAWING_PROBLEMS]),
    summary="The file of a licence by its identifier 按证照标识获取证照文件",
)
async def files(
    body: FileUse,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> FileMade:
    """Make a marked copy of what the grant shows; its link works once, for ten minutes, for the caller alone."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    made = await make_copy(
        registry, caller, body.ZZBS, body.matter, body.case, now, body.use_cause, body.format
    )
    return {
        "ZZBS": made.copy.identifier,
        "JZJZZZ": made.copy.department,
        "JZJZZSJ": made.copy.made_at.isoformat(),
        "JZJZZSY": made.copy.purpose,
        "JZJYXQJZSJ": made.copy.valid_until.isoformat(),
        "copy": str(made.copy.id),
        "sha256": made.copy.sha256.hex(),
        "link": f"{registry.issuer}/v1/downloads/{made.link}",
        "link_expires_at": made.link_expires_at.isoformat(),
    }


@router.post(
    "/data-verifications",
    openapi_extra=audited("data-verified"),
    responses=documented(REGISTRY_PROBLEMS, _BY_GRANT),
    summary="Do data agree with a licence? 证照数据校验",
)
async def data_verifications(
    body: DataUse,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> DataVerified:
    """Compare granted fields; a licence that there is not, or that no grant covers, has the result 5."""
    registry: Registry = request.app.state.registry
    now = datetime.now(UTC)
    compared = await verify_data(registry, caller, body.ZZBS, body.data, _occasion(body), now)
    return {
        **_result(compared.result),
        "differing": list(compared.differing),
        "lacking": list(compared.lacking),
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
    responses=documented(
        REGISTRY_PROBLEMS,
        [*CALLER_PROBLEMS, *UPLOAD_PROBLEMS],
    ),
    summary="Does a file hold? 证照文件校验",
)
async def file_verifications(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.COUNTER))],
    use: Annotated[Use, Query()],
) -> SharedFileVerified:
    """Verify the body of the request: a credential, a signed code or a picture of one, a marked copy, a document."""
    registry: Registry = request.app.state.registry
    data, occasion = await request.body(), _occasion(use)
    verdict = await verify_upload(registry, caller, data, use.case, datetime.now(UTC), occasion)
    of_a_licence = verdict.kind in _LICENCE_KINDS and verdict.fields
    return {
        **_result(verdict.result),
        "kind": verdict.kind,
        "checks": dict(verdict.checks),
        "reasons": {name: both(message, **values) for name, (message, values) in verdict.reasons.items()},
        "data": of_fields(verdict.fields, registry.types) if of_a_licence else None,
        "presented": dict(verdict.told),
    }


def _occasion(use: Use) -> dict[str, str]:
    return {"matter": use.matter, "case": use.case, "use_cause": use.use_cause}


def _result(result: Result) -> ResultReply:
    return {"result": int(result), "result_name": both(RESULT_NAMES[result]), "valid": result is Result.VALID}


def _state(state: State) -> StateReply:
    return {"state": state.value, "state_name": both(STATE_NAMES[state])}
