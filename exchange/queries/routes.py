"""HTTP of questions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.queries.authorise import Question
from exchange.queries.verify import verify
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.shortcut import read_body
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1", tags=["queries"])


class VerificationRequest(BaseModel):
    """What an applicant claims about a subject, to be checked for a matter and a case."""

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
    claims: Annotated[dict[Code, CleanText | StrictBool | StrictInt], Field(min_length=1, max_length=50)]
    matter: Code
    case: FreeText


class VerificationResult(BaseModel):
    """For each claim `match`, `mismatch` or `unknown`; the signed answer (compact JWS) to file with the case."""

    results: dict[str, str]
    answer: str
    receipt: dict[str, str]


@router.post(
    "/verifications",
    openapi_extra=audited("verify"),
    response_model=None,
    responses={
        200: {"model": VerificationResult},
        **documented(
            EXCHANGE_PROBLEMS,
            [
                "malformed-body",
                "invalid-request",
                "body-too-large",
                "token-missing",
                "token-unknown",
                "token-expired",
                "token-wrong-audience",
                "role-missing",
                *(code for code in EXCHANGE_PROBLEMS if code != "receipt-not-included"),
            ],
        ),
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


_asking = requires(Role.DEPARTMENT_SYSTEM)


async def verifications_directly(request: Request) -> Response:
    """Do the same for `foundation.shortcut`."""
    return await _answer(request, await _asking(request), await read_body(request, VerificationRequest))


async def _answer(request: Request, caller: Principal, body: VerificationRequest) -> Response:
    exchange: Exchange = request.app.state.exchange
    question = Question(body.resource, body.subject, body.claims, body.matter, body.case)
    answered = await verify(exchange, caller, question, datetime.now(UTC))
    reply = {"results": answered.results, "answer": answered.jws, "receipt": answered.receipt}
    return Response(orjson.dumps(reply), media_type="application/json", headers={"Cache-Control": "no-store"})
