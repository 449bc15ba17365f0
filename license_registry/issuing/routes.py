"""HTTP of issuing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from typing_extensions import TypedDict

from foundation.errors import NotFound
from foundation.idempotency import HEADER, is_key, key_parameter
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Day, Moment
from foundation.problems import documented
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.catalog.types import type_of
from license_registry.issuing.errors import KeyInvalid
from license_registry.issuing.form import LicenceRequest
from license_registry.issuing.form import without_citizen_id as without_citizen_id
from license_registry.issuing.issue import issue
from license_registry.issuing.metadata import MetadataReply, metadata
from license_registry.issuing.requests import Key
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import Licence

router = APIRouter(prefix="/v1/licences", tags=["issuing"])

CALLER_PROBLEMS = ("token-missing", "token-unknown", "token-expired", "token-wrong-audience", "role-missing")


class LicenceReply(TypedDict):
    """Metadata of a licence without its holder's fields; `state` is one of the codes 01 to 07 and 99."""

    identifier: str
    type_code: str
    type_version: int
    number: str
    issuer_code: str
    state: str
    state_reason: str | None
    state_since: Moment
    valid_from: Day
    valid_until: Day | None
    issued_at: Moment
    issued_on: Day
    first_issued_on: Day
    division: str | None
    issuer_name: str | None
    related_identifier: str | None
    origin: str


def idempotency_key(request: Request, caller: Principal) -> Key | None:
    """Return the key of a request, None if it has none, or raise KeyInvalid."""
    text = request.headers.get(HEADER)
    if text is None:
        return None
    if not is_key(text):
        raise KeyInvalid(_("send 1 to 200 visible ASCII characters, new for each request"))
    return Key(caller.id, text)


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("issued") | {"parameters": [key_parameter(required=False)]},
    responses={
        200: {"description": "It had been issued before, by an equal request", "model": LicenceReply},
        **documented(
            REGISTRY_PROBLEMS,
            [
                *CALLER_PROBLEMS,
                "malformed-body",
                "invalid-request",
                "licence-type-unknown",
                "issuer-not-entitled",
                "licence-fields-invalid",
                "licence-number-invalid",
                "holder-invalid",
                "holder-unknown",
                "holder-differs",
                "holder-ended",
                "validity-invalid",
                "licence-in-force",
                "seal-lacking",
                "issuing-key-invalid",
                "issuing-key-reused",
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
) -> LicenceReply:
    """Issue a licence in the name of the caller's authority."""
    registry: Registry = request.app.state.registry
    key = idempotency_key(request, caller)
    issued = await issue(registry, caller, body.wanted(), datetime.now(UTC), key)
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
) -> LicenceReply:
    """Give number, dates and state of a licence to the authority that issued it."""
    registry: Registry = request.app.state.registry
    found = await tables.find(registry.pool, identifier)
    if found is None or found.issuer != caller.department:
        raise NotFound(_("no such licence"))
    return shown(found)


@router.get(
    "/{identifier}/metadata",
    openapi_extra=audited("metadata-read"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found"]),
    summary="Metadata of GB/T 36903, holders in clear 证照元数据",
)
async def metadata_of(
    identifier: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY))],
) -> MetadataReply:
    """Give all metadata of a licence to the authority that issued it."""
    registry: Registry = request.app.state.registry
    found = await tables.find(registry.pool, identifier)
    if found is None or found.issuer != caller.department:
        raise NotFound(_("no such licence"))
    told = metadata(found, type_of(registry.types, found.type_code, found.type_version), registry.vault)
    event = happened("metadata-read", found.identifier, caller, datetime.now(UTC))
    async with registry.pool.acquire() as connection:
        await tables.add_event(connection, event)
    return told


def shown(licence: Licence) -> LicenceReply:
    """Return the metadata of a licence for a reply."""
    return {
        "identifier": licence.identifier,
        "type_code": licence.type_code,
        "type_version": licence.type_version,
        "number": licence.number,
        "issuer_code": licence.issuer,
        "state": licence.state.value,
        "state_reason": licence.state_reason,
        "state_since": licence.state_since.isoformat(),
        "valid_from": licence.valid_from.isoformat(),
        "valid_until": None if licence.valid_until is None else licence.valid_until.isoformat(),
        "issued_at": licence.issued_at.isoformat(),
        "issued_on": licence.issued_on.isoformat(),
        "first_issued_on": licence.first_issued_on.isoformat(),
        "division": licence.division,
        "issuer_name": licence.issuer_name,
        "related_identifier": licence.related_identifier,
        "origin": licence.origin,
    }
