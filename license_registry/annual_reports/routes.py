"""HTTP of annual reports: which are due, and filing one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from foundation.errors import DomainError, NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.openapi import Day, Moment
from foundation.problems import documented
from foundation.text import FreeText
from license_registry import tables
from license_registry.annual_reports.tables import AnnualReport, file, of_licence
from license_registry.audit.event import happened
from license_registry.identities import stands_behind
from license_registry.issuing.routes import CALLER_PROBLEMS
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

router = APIRouter(prefix="/v1/licences", tags=["annual reports"])


class ReportNotDue(DomainError):
    code = "annual-report-not-due"


class Filing(BaseModel):
    """Where the report itself is kept, such as its number in the reporting system."""

    model_config = ConfigDict(extra="forbid")

    reference: FreeText


class AnnualReportReply(TypedDict):
    """The report of a year, filed or not."""

    year: int
    due_until: Day
    filed_at: Moment | None
    reference: str | None
    overdue: bool


class AnnualReportsReply(TypedDict):
    """Reports of a licence, the latest first."""

    annual_reports: list[AnnualReportReply]


@router.get(
    "/{identifier}/annual-reports",
    openapi_extra=audited("none"),
    responses=documented(REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "not-found"]),
    summary="Annual reports of a licence 年度报告",
)
async def reports(
    identifier: str,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.PERSON))],
) -> AnnualReportsReply:
    """List the reports of a licence, the latest first, to its issuer and to who holds or presents it."""
    registry: Registry = request.app.state.registry
    await _require_own(registry, caller, identifier)
    return {"annual_reports": [_shown(each) for each in await of_licence(registry.pool, identifier)]}


@router.post(
    "/{identifier}/annual-reports/{year}",
    openapi_extra=audited("annual-report-filed"),
    responses=documented(
        REGISTRY_PROBLEMS, [*CALLER_PROBLEMS, "invalid-request", "not-found", "annual-report-not-due"]
    ),
    summary="File an annual report 报送年度报告",
)
async def file_report(
    identifier: str,
    year: Annotated[int, Path(ge=1900, le=9999)],
    body: Filing,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.ISSUING_AUTHORITY, Role.PERSON))],
) -> AnnualReportReply:
    """Note that the report of a year was filed. Sent again it gives what was noted first."""
    registry: Registry = request.app.state.registry
    await _require_own(registry, caller, identifier)
    now = datetime.now(UTC)
    async with registry.pool.acquire() as connection, connection.transaction():
        if await file(connection, identifier, year, body.reference, now):
            event = happened(
                "annual-report-filed", identifier, caller, now, year=year, reference=body.reference
            )
            await tables.add_event(connection, event)
        found = [each for each in await of_licence(connection, identifier) if each.year == year]
    if not found:
        raise ReportNotDue(_("no report of this year is due for the licence"), pointer="/year")
    return _shown(found[0])


async def _require_own(registry: Registry, caller: Principal, identifier: str) -> None:
    found = await tables.find(registry.pool, identifier)
    if (
        found is not None
        and caller.subject is not None
        and await stands_behind(registry, found, caller.subject)
    ):
        return
    if found is None or caller.subject is not None or found.issuer != caller.department:
        raise NotFound(_("no such licence"))


def _shown(each: AnnualReport) -> AnnualReportReply:
    return {
        "year": each.year,
        "due_until": each.due_until.isoformat(),
        "filed_at": None if each.filed_at is None else each.filed_at.isoformat(),
        "reference": each.reference,
        "overdue": each.overdue_told_at is not None and each.filed_at is None,
    }
