"""SQL of share requests (tables `exchange.share_request`, `exchange.share_request_step`, `exchange.request_notice`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from exchange.registers.tables import metadata
from exchange.requests.request import Act, Asked, Scope, ShareRequest
from exchange.requests.states import WITH_GRANT, Action, Actor, State

share_request = Table(
    "share_request",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("sharing_class", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("asked", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("submitted_at", TIMESTAMP(timezone=True), nullable=False),
    Column("step_since", TIMESTAMP(timezone=True), nullable=False),
    Column("due_on", Date),
    Column("overdue_at", TIMESTAMP(timezone=True)),
    Column("checked_at", TIMESTAMP(timezone=True)),
    Column("answer", Text),
    Column("answered_at", TIMESTAMP(timezone=True)),
    Column("answered_in_time", Boolean),
    Column("answer_days", Integer),
    Column("reason", Text),
    Column("legal_basis", Text),
    Column("granted", JSONB),
    Column("until", TIMESTAMP(timezone=True), nullable=False),
    Column("grant_id", UUID),
    Column("disputed_at", TIMESTAMP(timezone=True)),
    Column("decided_at", TIMESTAMP(timezone=True)),
    Index("share_request_department", "department", "submitted_at"),
    Index("share_request_owner", "owner", "submitted_at"),
)
Index(
    "share_request_due",
    share_request.c.due_on,
    postgresql_where=text("due_on IS NOT NULL AND overdue_at IS NULL"),
)
Index(
    "share_request_until",
    share_request.c.until,
    postgresql_where=text("state NOT IN ('refused', 'decided-refused', 'ended', 'expired', 'withdrawn')"),
)
Index("share_request_grant", share_request.c.grant_id, postgresql_where=text("grant_id IS NOT NULL"))

share_request_step = Table(
    "share_request_step",
    metadata,
    Column("request", UUID, ForeignKey(share_request.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("said", JSONB, nullable=False),
)
Index(
    "share_request_step_overdue",
    share_request_step.c.request,
    postgresql_where=text("action = 'overdue'"),
)

request_notice = Table(
    "request_notice",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("item", UUID, nullable=False),
    Column("department", Text),
    Column("step", Text, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("seen_at", TIMESTAMP(timezone=True)),
    Column("seen_by", Text),
    Index("request_notice_department", "department", "created_at"),
)

_COLUMNS = (
    "id", "client_id", "department", "owner", "sharing_class", "resource", "asked", "state", "submitted_at",
    "step_since", "due_on", "overdue_at", "checked_at", "answer", "answered_at", "answered_in_time", "answer_days",
    "reason", "legal_basis", "granted", "until", "grant_id", "disputed_at", "decided_at",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM exchange.share_request"  # noqa: S608  # names of our own columns
_INSERT = (
    f"INSERT INTO exchange.share_request ({', '.join(_COLUMNS)})"  # noqa: S608
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))}) ON CONFLICT (id) DO NOTHING RETURNING 1"
)
_UPDATE = (
    "UPDATE exchange.share_request SET "  # noqa: S608
    + ", ".join(f"{name} = ${n}" for n, name in enumerate(_COLUMNS, 1) if name != "id")
    + " WHERE id = $1"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a request's history.

    Args:
        state: after it.
        said: what was said with it.
    """

    number: int
    at: datetime
    client_id: str
    department: str
    actor: Actor
    action: Action
    state: State
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """That a term has passed, told to a department or (`department` None) to the sharing authority.

    Args:
        kind: `request-overdue`, or `correction-overdue`; `item`: id of which.
    """

    id: int
    kind: str
    item: uuid.UUID
    department: str | None
    step: str
    due_on: date
    created_at: datetime
    seen_at: datetime | None
    seen_by: str | None


async def add(connection: Any, request: ShareRequest) -> bool:
    """Store a new request; False when one with its id stands already.

    Args:
        connection: of asyncpg, as everywhere here.
    """
    return await connection.fetchval(_INSERT, *_values(request)) is not None


async def put(connection: Any, request: ShareRequest) -> None:
    """Store what has become of a request."""
    await connection.execute(_UPDATE, *_values(request))


async def find(connection: Any, request_id: uuid.UUID, *, lock: bool = False) -> ShareRequest | None:
    """Return a request; with `lock`, nobody else changes it until the transaction ends."""
    row = await connection.fetchrow(f"{_SELECT} WHERE id = $1{' FOR UPDATE' if lock else ''}", request_id)
    return None if row is None else _request(row)


async def listed(
    connection: Any,
    *,
    department: str | None,
    owner: str | None,
    state: str | None,
    overdue_on: date | None,
    before: datetime | None,
    limit: int,
) -> list[ShareRequest]:
    """Return requests, the latest first.

    Args:
        department: and `owner`: those that this department asks, or that it is to answer (either); None: anybody's.
        overdue_on: only those whose term had passed before that day.
    """
    rows = await connection.fetch(
        f"{_SELECT} WHERE ($1::text IS NULL AND $2::text IS NULL OR department = $1 OR owner = $2)"
        " AND ($3::text IS NULL OR state = $3) AND ($4::date IS NULL OR due_on < $4)"
        " AND ($5::timestamptz IS NULL OR submitted_at < $5) ORDER BY submitted_at DESC, id LIMIT $6",
        department,
        owner,
        state,
        overdue_on,
        before,
        limit,
    )
    return [_request(row) for row in rows]


async def add_step(
    connection: Any,
    request: ShareRequest,
    actor: Actor,
    act: Act,
    client_id: str,
    department: str,
    at: datetime,
    said: Mapping[str, Any] | None = None,
) -> None:
    """Write the next line of a request's history; whoever calls has locked or just made the request."""
    await connection.execute(
        "INSERT INTO exchange.share_request_step"
        " (request, number, at, client_id, department, actor, action, state, said)"
        " SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8"
        " FROM exchange.share_request_step WHERE request = $1",
        request.id,
        at,
        client_id,
        department,
        actor.value,
        act.action.value,
        request.state.value,
        dict(act.document() if said is None else said),
    )


async def history(connection: Any, request_id: uuid.UUID) -> list[Step]:
    """Return the lines of a request's history, in order."""
    rows = await connection.fetch(
        "SELECT number, at, client_id, department, actor, action, state, said FROM exchange.share_request_step"
        " WHERE request = $1 ORDER BY number",
        request_id,
    )
    return [
        Step(
            row["number"],
            row["at"],
            row["client_id"],
            row["department"],
            Actor(row["actor"]),
            Action(row["action"]),
            State(row["state"]),
            row["said"],
        )
        for row in rows
    ]


async def take_overdue(connection: Any, today: date, limit: int) -> list[ShareRequest]:
    """Lock and return requests whose term has passed without anybody having been told."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE due_on < $1 AND overdue_at IS NULL ORDER BY due_on, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        today,
        limit,
    )
    return [_request(row) for row in rows]


async def take_expired(connection: Any, now: datetime, limit: int) -> list[ShareRequest]:
    """Lock and return requests that have outlived what they ask for."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE until <= $1 AND state NOT IN ('refused', 'decided-refused', 'ended', 'expired', 'withdrawn')"
        " ORDER BY until, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit,
    )
    return [_request(row) for row in rows]


async def without_grant(connection: Any, limit: int) -> list[ShareRequest]:
    """Return requests that were provided and whose grant is not there: whoever provided them died in between."""
    rows = await connection.fetch(
        f"{_SELECT} r WHERE state IN ('provided', 'disputed') AND grant_id IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM exchange.share_grant g WHERE g.id = r.grant_id) LIMIT $1",
        limit,
    )
    return [_request(row) for row in rows]


async def with_ended_grant(connection: Any, limit: int) -> list[ShareRequest]:
    """Lock and return requests that stand as provided while somebody has ended their grant."""
    rows = await connection.fetch(
        f"{_SELECT} r WHERE state IN ('provided', 'disputed') AND grant_id IS NOT NULL"
        " AND EXISTS (SELECT FROM exchange.share_grant g WHERE g.id = r.grant_id AND g.ended_at IS NOT NULL)"
        " LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    return [_request(row) for row in rows]


async def left_grants(connection: Any, limit: int) -> list[uuid.UUID]:
    """Return grants of requests that stand no more, or have another grant by now, which nobody has ended yet."""
    rows = await connection.fetch(
        "SELECT g.id FROM exchange.share_grant g JOIN exchange.share_request r ON r.id = g.request"
        " WHERE g.ended_at IS NULL AND (g.id <> r.grant_id OR r.state <> ALL($2)) LIMIT $1",
        limit,
        [state.value for state in WITH_GRANT],
    )
    return [row["id"] for row in rows]


async def add_notice(
    connection: Any,
    kind: str,
    item: uuid.UUID,
    department: str | None,
    step: str,
    due_on: date,
    now: datetime,
) -> None:
    """Tell a department, or the sharing authority (None), that the term of a step has passed."""
    await connection.execute(
        "INSERT INTO exchange.request_notice (kind, item, department, step, due_on, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        kind,
        item,
        department,
        step,
        due_on,
        now,
    )


async def notices(
    connection: Any, department: str | None, *, authority: bool, unseen: bool, limit: int
) -> list[Notice]:
    """Return notices to a department, and to the sharing authority where the caller is that; the latest first."""
    rows = await connection.fetch(
        "SELECT id, kind, item, department, step, due_on, created_at, seen_at, seen_by"
        " FROM exchange.request_notice WHERE (department = $1 OR $2 AND department IS NULL)"
        " AND (NOT $3 OR seen_at IS NULL) ORDER BY id DESC LIMIT $4",
        department,
        authority,
        unseen,
        limit,
    )
    return [Notice(**row) for row in rows]


async def see_notice(
    connection: Any, notice_id: int, department: str | None, *, authority: bool, by: str, now: datetime
) -> bool:
    """Note who saw a notice first; False if there is none of that number for them."""
    done = await connection.fetchval(
        "UPDATE exchange.request_notice SET seen_at = coalesce(seen_at, $4), seen_by = coalesce(seen_by, $5)"
        " WHERE id = $1 AND (department = $2 OR $3 AND department IS NULL) RETURNING 1",
        notice_id,
        department,
        authority,
        now,
        by,
    )
    return done is not None


def asked_document(asked: Asked) -> dict[str, Any]:
    """Return what was asked for as JSON."""
    return {
        **asked.scope.document(),
        "title": asked.title,
        "owner": asked.owner,
        "purpose": asked.purpose,
        "legal_basis": asked.legal_basis,
    }


def _values(request: ShareRequest) -> tuple[Any, ...]:
    scope = request.granted or request.asked.scope
    return (
        request.id,
        request.client_id,
        request.department,
        request.owner,
        request.sharing_class,
        request.asked.resource,
        asked_document(request.asked),
        request.state.value,
        request.submitted_at,
        request.step_since,
        request.due_on,
        request.overdue_at,
        request.checked_at,
        request.answer,
        request.answered_at,
        request.answered_in_time,
        request.answer_days,
        request.reason,
        request.legal_basis,
        None if request.granted is None else request.granted.document(),
        scope.until,
        request.grant_id,
        request.disputed_at,
        request.decided_at,
    )


def _request(row: Any) -> ShareRequest:
    asked, granted = row["asked"], row["granted"]
    return ShareRequest(
        id=row["id"],
        client_id=row["client_id"],
        department=row["department"],
        owner=row["owner"],
        sharing_class=row["sharing_class"],
        asked=Asked(
            row["resource"],
            asked["title"],
            asked["owner"],
            Scope.read(asked),
            asked["purpose"],
            asked["legal_basis"],
        ),
        state=State(row["state"]),
        submitted_at=row["submitted_at"],
        step_since=row["step_since"],
        due_on=row["due_on"],
        overdue_at=row["overdue_at"],
        checked_at=row["checked_at"],
        answer=row["answer"],
        answered_at=row["answered_at"],
        answered_in_time=row["answered_in_time"],
        answer_days=row["answer_days"],
        reason=row["reason"],
        legal_basis=row["legal_basis"],
        granted=None if granted is None else Scope.read(granted),
        grant_id=row["grant_id"],
        disputed_at=row["disputed_at"],
        decided_at=row["decided_at"],
    )
