"""HTTP of issuing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from foundation.errors import NotFound
from foundation.identifiers import contains_citizen_id
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code
from license_registry import tables
from license_registry.issuing.issue import IssueRequest, issue
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import Licence

router = APIRouter(prefix="/v1/licences", tags=["issuing"])

FieldText = Annotated[
    str, StringConstraints(min_length=1, max_length=10000, pattern=r"^[^\x00-\x08\x0b-\x1f]*$")
]
CALLER_PROBLEMS = ("token-missing", "token-unknown", "token-expired", "token-wrong-audience", "role-missing")


def without_citizen_id(code: str) -> str:
    """Return a number or code that is stored in clear, or raise ValueError if it holds a citizen ID of 18 characters.

    Old registration numbers of 15 digits look like citizen IDs of 15 digits too often to refuse those.
    """
    if len(code) >= 18 and contains_citizen_id(code):
        raise ValueError("a citizen ID does not belong into this field")
    return code


class LicenceRequest(BaseModel):
    """What to issue. Sent again unchanged it gives the same licence, so a retry is safe."""

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    number: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9A-Z()（）号第字-]{1,60}$"),
        AfterValidator(without_citizen_id),
    ]
    fields: Annotated[dict[Code, FieldText | None], Field(min_length=1, max_length=100)]
    valid_from: date
    valid_until: date | None = None
    presenter: Annotated[str, StringConstraints(min_length=1, max_length=18)] | None = None


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("issued"),
    responses={
        200: {"description": "It had been issued before, by an equal request"},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "malformed-body",
                "invalid-request",
                "licence-type-unknown",
                "issuer-not-entitled",
                "licence-fields-invalid",
                "holder-invalid",
                "validity-invalid",
                "licence-in-force",
                "store-full",
                "store-unavailable",
            ],
        ),
    },
    summary="Issue an e-licence 签发电子证照",
)
async def issue_licence(
    body: LicenceRequest,
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> dict[str, Any]:
    """Issue a licence in the name of the caller's authority."""
    registry: Registry = request.app.state.registry
    wanted = IssueRequest(
        body.licence_type, body.number, body.fields, body.valid_from, body.valid_until, body.presenter
    )
    issued = await issue(registry, caller, wanted, datetime.now(UTC))
    if not issued.fresh:
        response.status_code = 200
    return shown(issued.licence)


@router.get(
    "/{identifier}",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found"]),
    summary="A licence of the calling authority, without its holder's fields",
)
async def one(
    identifier: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> dict[str, Any]:
    """Give number, dates and state of a licence to the authority that issued it."""
    registry: Registry = request.app.state.registry
    found = await tables.find(registry.pool, identifier)
    if found is None or found.issuer != caller.department:
        raise NotFound(_("no such licence"))
    return shown(found)


def shown(licence: Licence) -> dict[str, Any]:
    """Return the metadata of a licence for a reply."""
    return {
        "identifier": licence.identifier,
        "type_code": licence.type_code,
        "number": licence.number,
        "issuer_code": licence.issuer,
        "state": licence.state.value,
        "state_reason": licence.state_reason,
        "state_since": licence.state_since.isoformat(),
        "valid_from": licence.valid_from.isoformat(),
        "valid_until": None if licence.valid_until is None else licence.valid_until.isoformat(),
        "issued_at": licence.issued_at.isoformat(),
    }
