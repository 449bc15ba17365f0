"""HTTP of counters."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import StringConstraints

from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.statistics import tables
from exchange.statistics.proofs import METHOD, Saved, SavedProof, Scope
from exchange.statistics.replies import ProofsSaved, SavedProofs
from foundation.civil import day_begins
from foundation.errors import DomainError
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code

router = APIRouter(prefix="/v1/statistics", tags=["statistics"])

Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
_READERS = (Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY, Role.AUDITOR)
_PROBLEMS = ("token-missing", "role-missing", "invalid-request")


class CursorMalformed(DomainError):
    code = "cursor-malformed"


@router.get(
    "/proofs-saved",
    openapi_extra=audited("none"),
    response_model=ProofsSaved,
    responses=documented(EXCHANGE_PROBLEMS, _PROBLEMS),
    summary="Proofs not asked for, by matter, department and month 免提交证明统计",
)
async def proofs_saved(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*_READERS))],
    department: Code | None = None,
    matter: Code | None = None,
    since: Annotated[Month | None, Query(description="First month, YYYY-MM")] = None,
    until: Annotated[Month | None, Query(description="Last month, YYYY-MM")] = None,
) -> dict[str, Any]:
    """Count them, with the method; a department sees its own. Each number leads to its records."""
    exchange: Exchange = request.app.state.exchange
    scope = _scope(caller, department, matter, since, until)
    found = await tables.saved(exchange.pool, scope)
    return {
        "method": METHOD,
        "total": sum(each.proofs for each in found),
        "by_way": _by(found, lambda each: each.settled_by),
        "by_matter": _by(found, lambda each: each.matter),
        "by_department": _by(found, lambda each: each.department),
        "by_month": _by(found, lambda each: f"{each.month:%Y-%m}"),
        "counts": [
            {
                "department": each.department,
                "matter": each.matter,
                "month": f"{each.month:%Y-%m}",
                "settled_by": each.settled_by,
                "proofs": each.proofs,
                "records": (
                    f"/v1/statistics/proofs-saved/records?department={each.department}&matter={each.matter}"
                    f"&since={each.month:%Y-%m}&until={each.month:%Y-%m}"
                ),
            }
            for each in found
        ],
    }


@router.get(
    "/proofs-saved/records",
    openapi_extra=audited("none"),
    response_model=SavedProofs,
    responses=documented(EXCHANGE_PROBLEMS, [*_PROBLEMS, "cursor-malformed"]),
    summary="The plans and access records behind the numbers",
)
async def records(
    request: Request,
    caller: Annotated[Principal, Depends(requires(*_READERS))],
    department: Code | None = None,
    matter: Code | None = None,
    since: Month | None = None,
    until: Month | None = None,
    after: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """List each proof that counts, with its plan and the ids of its access records; they name no person."""
    exchange: Exchange = request.app.state.exchange
    scope = _scope(caller, department, matter, since, until)
    found = await tables.proofs(exchange.pool, scope, _read(after), limit)
    return {
        "proofs": [
            {
                "plan": each.plan,
                "department": each.department,
                "matter": each.matter,
                "case": each.case,
                "material": each.material,
                "settled_by": each.settled_by,
                "settled_at": each.settled_at.isoformat(),
                "records": list(each.records),
            }
            for each in found
        ],
        "next": _written(found[-1]) if len(found) == limit else None,
    }


def _scope(
    caller: Principal, department: str | None, matter: str | None, since: str | None, until: str | None
) -> Scope:
    if caller.roles.isdisjoint({Role.SHARING_AUTHORITY, Role.AUDITOR}):
        department = caller.department
    return Scope(
        department,
        matter,
        None if since is None else _begins(since),
        None if until is None else _begins(until, months=1),
    )


def _begins(month: str, months: int = 0) -> datetime:
    year, number = int(month[:4]), int(month[5:]) - 1 + months
    return day_begins(date(year + number // 12, number % 12 + 1, 1))


def _by(found: Iterable[Saved], of: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in found:
        counts[of(each)] = counts.get(of(each), 0) + each.proofs
    return counts


def _written(last: SavedProof) -> str:
    return f"{last.settled_at.isoformat()}~{last.plan}~{last.material}"


def _read(after: str | None) -> tuple[datetime, uuid.UUID, str] | None:
    if after is None:
        return None
    try:
        moment, plan, material = after.split("~")
        return datetime.fromisoformat(moment), uuid.UUID(plan), material
    except ValueError as error:
        raise CursorMalformed(_("send `next` of the page before as it is"), pointer="/after") from error
