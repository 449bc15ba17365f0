"""HTTP of questions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.queries.authorise import Inquiry, Question
from exchange.queries.query import query
from exchange.queries.verify import verify
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.shortcut import JsonReply, read_body
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1", tags=["queries"])


class ComparedClaim(BaseModel):
    """A claim that is compared in another way than by being equal; docs/asking.md lists the ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Code | None = None
    comparison: Annotated[Code, Field(alias="is")]
    value: CleanText | StrictBool | StrictInt

    def asked(self) -> dict[str, Any]:
        """Return the claim as it was asked."""
        field = {} if self.field is None else {"field": self.field}
        return {**field, "is": self.comparison, "value": self.value}


class VerificationRequest(BaseModel):
    """What an applicant claims about a subject, to be checked for a matter and a case.

    A claim is a value that the field of its name must equal, or a comparison: `{"field": …, "is": …, "value": …}`.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "resource": "persons-basic",
                    "subject": "990101198002291233",
                    "claims": {"name": "张三丰", "marital_status": "married"},
                    "matter": "housing-fund-withdrawal",
                    "case": "2025-000001",
                }
            ]
        },
    )

    resource: Code
    subject: CleanText
    claims: Annotated[
        dict[Code, CleanText | StrictBool | StrictInt | ComparedClaim], Field(min_length=1, max_length=50)
    ]
    matter: Code
    case: FreeText


class VerificationResult(BaseModel):
    """For each claim `match`, `mismatch` or `unknown`; the signed answer (compact JWS) to file with the case."""

    results: dict[str, str]
    answer: str
    receipt: dict[str, str]


class QueryRequest(BaseModel):
    """Which fields of a subject are wanted, for a matter and a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: Code
    subject: CleanText
    fields: Annotated[list[Code], Field(min_length=1, max_length=50)]
    matter: Code
    case: FreeText


class QueryResult(BaseModel):
    """The values, those of `masked` masked; the signed answer (compact JWS) to file with the case."""

    found: bool
    values: dict[str, Any]
    masked: list[str]
    answer: str
    receipt: dict[str, str]


_PROBLEMS = [
    "malformed-body",
    "invalid-request",
    "body-too-large",
    "token-missing",
    "token-unknown",
    "token-expired",
    "token-wrong-audience",
    "role-missing",
    "resource-unknown",
    "resource-not-shared",
    "resource-not-connected",
    "field-unknown",
    "subject-malformed",
    "source-late",
    "source-unavailable",
    "source-answer-invalid",
    "source-refused",
    "not-granted",
    "grant-not-in-force",
    "mode-not-granted",
    "matter-not-granted",
    "field-not-granted",
    "outside-hours",
    "subject-not-covered",
    "quota-exceeded",
    "too-many-unknown",
]


@router.post(
    "/verifications",
    openapi_extra=audited("verify"),
    response_model=None,
    responses={
        200: {"model": VerificationResult},
        **documented(EXCHANGE_PROBLEMS, [*_PROBLEMS, "claim-malformed"]),
    },
    summary="Verify what an applicant claims 核验",
)
async def verifications(
    body: VerificationRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Answer whether the claims hold, signed and recorded; nothing else is disclosed."""
    return await _answer(request, caller, body)


@router.post(
    "/queries",
    openapi_extra=audited("query"),
    response_model=None,
    responses={200: {"model": QueryResult}, **documented(EXCHANGE_PROBLEMS, _PROBLEMS)},
    summary="Ask for fields of a subject 查询",
)
async def queries(
    body: QueryRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """Disclose the fields that a grant covers, masked where it does not say otherwise; signed and recorded."""
    return await _disclose(request, caller, body)


_asking = requires(Role.DEPARTMENT_SYSTEM)


async def verifications_directly(request: Request) -> Response:
    """Do as `verifications`, for `foundation.shortcut`."""
    return await _answer(request, await _asking(request), await read_body(request, VerificationRequest))


async def queries_directly(request: Request) -> Response:
    """Do as `queries`, for `foundation.shortcut`."""
    return await _disclose(request, await _asking(request), await read_body(request, QueryRequest))


async def _answer(request: Request, caller: Principal, body: VerificationRequest) -> Response:
    exchange: Exchange = request.app.state.exchange
    claims = {
        name: claim.asked() if isinstance(claim, ComparedClaim) else claim
        for name, claim in body.claims.items()
    }
    question = Question(body.resource, body.subject, claims, body.matter, body.case)
    answered = await verify(exchange, caller, question, datetime.now(UTC))
    return _reply({"results": answered.results, "answer": answered.jws, "receipt": answered.receipt})


async def _disclose(request: Request, caller: Principal, body: QueryRequest) -> Response:
    exchange: Exchange = request.app.state.exchange
    inquiry = Inquiry(body.resource, body.subject, tuple(body.fields), body.matter, body.case)
    found = await query(exchange, caller, inquiry, datetime.now(UTC))
    return _reply(
        {
            "found": found.found,
            "values": found.values,
            "masked": found.masked,
            "answer": found.jws,
            "receipt": found.receipt,
        }
    )


def _reply(content: dict[str, Any]) -> Response:
    return JsonReply(orjson.dumps(content))
