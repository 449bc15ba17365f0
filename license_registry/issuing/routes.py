"""HTTP of issuing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from foundation.errors import NotFound
from foundation.identifiers import contains_citizen_id
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code, FreeText
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.catalog.types import type_of
from license_registry.issuing.errors import KeyInvalid
from license_registry.issuing.issue import IssueRequest, issue
from license_registry.issuing.metadata import metadata
from license_registry.issuing.requests import Key
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS
from license_registry.tables import Licence

router = APIRouter(prefix="/v1/licences", tags=["issuing"])

_FIELD_TEXT = re.compile(r"[^\x00-\x08\x0b-\x1f\ud800-\udfff]{1,10000}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
MOST_ROWS = 100


def _field_value(value: Any) -> Any:
    """Return the value of a field: text, null, or rows of such, as of several holders; or raise ValueError."""
    if isinstance(value, list):
        if not 1 <= len(value) <= MOST_ROWS or not all(isinstance(row, dict) for row in value):
            raise ValueError(f"1 to {MOST_ROWS} objects, or a text, are allowed")
        for row in value:
            for name, inner in row.items():
                if not _FIELD_NAME.fullmatch(name):
                    raise ValueError("a member has a name that no field has")
                _require_text(inner)
    else:
        _require_text(value)
    return value


def _require_text(value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _FIELD_TEXT.fullmatch(value)):
        raise ValueError("1 to 10000 characters without control characters are allowed")


FieldValue = Annotated[
    Any, PlainValidator(_field_value, json_schema_input_type=str | list[dict[str, str | None]] | None)
]
CALLER_PROBLEMS = ("token-missing", "token-unknown", "token-expired", "token-wrong-audience", "role-missing")


def without_citizen_id(code: str) -> str:
    """Return a number or code that is stored in clear, or raise ValueError if it holds a citizen ID of 18 characters.

    Old registration numbers of 15 digits look like citizen IDs of 15 digits too often to refuse those.
    """
    if len(code) >= 18 and contains_citizen_id(code):
        raise ValueError("a citizen ID does not belong into this field")
    return code


KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 200 visible ASCII characters, new for each request",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


class LicenceRequest(BaseModel):
    """What to issue. Sent again unchanged it gives the same licence, so a retry is safe.

    `number` is left out where the type makes numbers. `origin` is `digitised` for a paper licence that is taken over;
    then `issued_on` and `first_issued_on` are those of the paper.
    """

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    number: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[0-9A-Z\u4e00-\u9fff()（）〔〕-]{1,60}$"),
            AfterValidator(without_citizen_id),
        ]
        | None
    ) = None
    fields: Annotated[dict[Code, FieldValue], Field(min_length=1, max_length=100)]
    valid_from: date
    valid_until: date | None = None
    presenter: Annotated[str, StringConstraints(min_length=1, max_length=18)] | None = None
    division: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None
    issuer_name: FreeText | None = None
    issued_on: date | None = None
    first_issued_on: date | None = None
    origin: Literal["issued", "digitised"] = "issued"

    def wanted(self) -> IssueRequest:
        """Return the request as the rules take it."""
        return IssueRequest(**dict(self))


def idempotency_key(request: Request, caller: Principal) -> Key | None:
    """Return the key of a request, None if it has none, or raise KeyInvalid."""
    text = request.headers.get("idempotency-key")
    if text is None:
        return None
    if not _KEY.fullmatch(text) or contains_citizen_id(text):
        raise KeyInvalid(_("send 1 to 200 visible ASCII characters, new for each request"))
    return Key(caller.id, text)


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("issued") | {"parameters": [KEY_HEADER]},
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
                "licence-number-invalid",
                "holder-invalid",
                "holder-unknown",
                "holder-differs",
                "holder-ended",
                "validity-invalid",
                "licence-in-force",
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
) -> dict[str, Any]:
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
) -> dict[str, Any]:
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
) -> dict[str, Any]:
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


def shown(licence: Licence) -> dict[str, Any]:
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
