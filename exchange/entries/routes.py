"""HTTP of lists: the sharing authority says who keeps which, the keeper sends entries in, ends and sees them."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from exchange.entries import keep, tables
from exchange.entries.entry import Subject
from exchange.entries.replies import (
    ListedEntries,
    ListedEntry,
    ListedEntryInFull,
    Lists,
    ListShown,
    SentEntries,
)
from exchange.entries.tables import EntryList, Listed
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.registers.entries import Entry
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.problems import documented
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1", tags=["entries"])

_CALLER = ("token-missing", "role-missing", "invalid-request")
_KIND = r"^[a-z0-9][a-z0-9._-]{0,60}$"

Kind = Annotated[str, StringConstraints(pattern=_KIND)]


class ListRequest(BaseModel):
    """Who keeps a list, and by which law."""

    model_config = ConfigDict(extra="forbid")

    title: FreeText
    title_en: FreeText
    department: Code
    legal_basis: FreeText


class ListedSubjectNamed(BaseModel):
    """Whom an entry is about."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["citizen-id", "uscc"]
    identifier: CleanText


class ListedEntryRequest(BaseModel):
    """An entry, which counts from `decided_on`. `until`: the last day on which it counts; absent: until it is ended.

    The same `id` again gives the same entry, so a retry is safe.
    """

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    kind: Kind
    subject: ListedSubjectNamed
    decided_on: date
    until: date | None = None
    text: Annotated[str, Field(min_length=1, max_length=5000)]


class ListedEntriesRequest(BaseModel):
    """Up to 500 entries."""

    model_config = ConfigDict(extra="forbid")

    entries: Annotated[list[ListedEntryRequest], Field(min_length=1, max_length=500)]


class EndRequest(BaseModel):
    """From which day an entry counts no longer."""

    model_config = ConfigDict(extra="forbid")

    on: date


@router.get(
    "/entry-lists",
    openapi_extra=audited("none"),
    response_model=Lists,
    responses=documented(EXCHANGE_PROBLEMS, ["token-missing", "role-missing"]),
    summary="Which lists there are, and who keeps them 名单目录",
)
async def all_lists(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Name the kinds that a claim `no-entry` can ask about."""
    exchange: Exchange = request.app.state.exchange
    return {"lists": [asdict(each) for each in await tables.lists(exchange.pool)]}


@router.put(
    "/entry-lists/{kind}",
    openapi_extra=audited("entry-list"),
    response_model=ListShown,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "malformed-body"]),
    summary="Say which department keeps a list 指定名单管理部门",
)
async def assigned(
    kind: Annotated[str, Path(pattern=_KIND, description="Of its entries, as a claim `no-entry` names it")],
    body: ListRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> dict[str, Any]:
    """Set it, or change it; entries that stand already stay, and are the new keeper's to end."""
    exchange: Exchange = request.app.state.exchange
    new = EntryList(kind, body.title, body.title_en, body.department, body.legal_basis)
    await keep.assign(exchange, caller, new, datetime.now(UTC))
    return asdict(new)


@router.post(
    "/entries",
    status_code=201,
    openapi_extra=audited("listed-entry"),
    response_model=ListedEntry,
    responses=documented(
        EXCHANGE_PROBLEMS,
        [*_CALLER, "malformed-body", "subject-malformed", "list-of-another", "entry-invalid", "entry-stands"],
    ),
    summary="Put an entry on a list that my department keeps 列入名单",
)
async def listed(
    body: ListedEntryRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """From then on a claim `no-entry` of its kind is a mismatch; the same `id` again changes nothing."""
    exchange: Exchange = request.app.state.exchange
    return _shown(await keep.enter(exchange, caller, *_read(body), datetime.now(UTC)))


@router.post(
    "/entries/many",
    openapi_extra=audited("listed-entry"),
    response_model=SentEntries,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "malformed-body"]),
    summary="Put many entries on lists that my department keeps 批量列入名单",
)
async def many_listed(
    body: ListedEntriesRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Take each as if it were sent alone; one that is refused holds up no other, and all can be sent again."""
    exchange: Exchange = request.app.state.exchange
    wanted = [_read(each) for each in body.entries]
    said = await keep.enter_many(exchange, caller, wanted, datetime.now(UTC))
    return {
        "entries": [
            {"id": each.id, "stands": problem is None, "problem": problem}
            for each, problem in zip(body.entries, said, strict=True)
        ]
    }


@router.get(
    "/entries",
    openapi_extra=audited("none"),
    response_model=ListedEntries,
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Entries of the lists that my department keeps 本部门名单",
)
async def own(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    kind: Annotated[str | None, Query(pattern=_KIND)] = None,
    on: Annotated[date | None, Query(description="Only those that count on this day")] = None,
    after: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Give a page of them; whom each is about and what it says is asked for one by one."""
    exchange: Exchange = request.app.state.exchange
    page = await tables.listed(exchange.pool, caller.department, kind, on, after, limit)
    return {
        "entries": [_shown(each) for each in page],
        "next": page[-1].id if len(page) == limit else None,
    }


@router.get(
    "/entries/{entry}",
    openapi_extra=audited("listed-entry"),
    response_model=ListedEntryInFull,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found"]),
    summary="One entry, with whom it is about and what it says",
)
async def one(
    entry: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Tell it to the keeper of its list, recorded."""
    exchange: Exchange = request.app.state.exchange
    found, subject, text = await keep.look_at(exchange, caller, entry, datetime.now(UTC))
    return {**_shown(found), "subject": asdict(subject), "text": text}


@router.post(
    "/entries/{entry}/end",
    openapi_extra=audited("listed-entry"),
    response_model=ListedEntry,
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "malformed-body", "not-found", "entry-invalid"]),
    summary="Take an entry off the list 移出名单",
)
async def ended(
    entry: uuid.UUID,
    body: EndRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Let it count no longer from a day on; one that was ended before stays as it is."""
    exchange: Exchange = request.app.state.exchange
    return _shown(await keep.end(exchange, caller, entry, body.on, datetime.now(UTC)))


def _read(body: ListedEntryRequest) -> tuple[Subject, Entry]:
    new = Entry(body.id, b"", body.kind, "", body.decided_on, body.until, body.text, "")
    return Subject(body.subject.kind, body.subject.identifier), new


def _shown(each: Entry | Listed) -> dict[str, Any]:
    return {
        "id": each.id,
        "kind": each.kind,
        "authority": each.authority,
        "decided_on": each.decided_on,
        "until": each.until,
        "ended_on": each.ended_on,
    }
