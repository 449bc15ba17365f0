"""HTTP of subscriptions."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.subscriptions import feed_tables, subscribing, tables
from exchange.subscriptions.feed_tables import Event
from exchange.subscriptions.reading import own, read
from exchange.subscriptions.subscribing import Wanted
from exchange.subscriptions.subscription import Scope, Subscription
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import CleanText, Code, FreeText

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

LONGEST_WAIT = 30
MOST_AT_ONCE = 10_000

_CALLER = ["token-missing", "token-unknown", "token-expired", "token-wrong-audience", "role-missing"]
_BODY = ["malformed-body", "invalid-request", "body-too-large"]
_GRANT = [
    "not-granted",
    "grant-not-in-force",
    "mode-not-granted",
    "matter-not-granted",
    "outside-hours",
]

FeedSequence = Annotated[int, Field(ge=1, le=2**62)]


class SubscriptionRequest(BaseModel):
    """What a department wants to be told. The same `id` again gives the same subscription, so a retry is safe.

    `scope` is `named` (subjects are named afterwards) or `all` in the scope of the grant. Without `url` the feed is
    only read.
    """

    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    grant: uuid.UUID
    matter: Code
    kinds: Annotated[list[Code], Field(min_length=1, max_length=20)]
    scope: Scope = Scope.NAMED
    url: FreeText | None = None


class NamedSubject(BaseModel):
    """A subject, and the reference by which events name it: the department's own, and nothing of the person."""

    model_config = ConfigDict(extra="forbid")

    subject: CleanText
    reference: Code


class Naming(BaseModel):
    """Whom to tell of from now on, and whom no longer (by reference)."""

    model_config = ConfigDict(extra="forbid")

    add: Annotated[list[NamedSubject], Field(max_length=MOST_AT_ONCE)] = []
    remove: Annotated[list[Code], Field(max_length=MOST_AT_ONCE)] = []


class Elsewhere(BaseModel):
    """Where webhooks go from now on."""

    model_config = ConfigDict(extra="forbid")

    url: FreeText


class Replay(BaseModel):
    """From which event on all are delivered again."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: FeedSequence = Field(alias="from")


class Retry(BaseModel):
    """Which dead events are tried again; null: all."""

    model_config = ConfigDict(extra="forbid")

    sequences: Annotated[list[FeedSequence], Field(min_length=1, max_length=1000)] | None = None


class Dismissal(BaseModel):
    """Which dead events are given up for good, so that later ones of their subjects are delivered."""

    model_config = ConfigDict(extra="forbid")

    sequences: Annotated[list[FeedSequence], Field(min_length=1, max_length=1000)]


@router.post(
    "",
    status_code=201,
    openapi_extra=audited("subscribe"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            *_BODY,
            *_GRANT,
            "resource-unknown",
            "event-kind-unknown",
            "webhook-refused",
            "subscription-differs",
        ],
    ),
    summary="Subscribe to changes 订阅变更",
)
async def subscribe(
    body: SubscriptionRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Make a subscription under a grant with mode `subscribe`."""
    exchange: Exchange = request.app.state.exchange
    wanted = Wanted(body.id, body.grant, body.matter, tuple(body.kinds), body.scope, body.url)
    return shown(await subscribing.subscribe(exchange, caller, wanted, datetime.now(UTC)))


@router.get(
    "",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Subscriptions of the calling client; the operator sees all",
)
async def listed(
    request: Request, caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.OPERATOR))]
) -> dict[str, Any]:
    """List subscriptions, the newest first."""
    exchange: Exchange = request.app.state.exchange
    whose = None if Role.OPERATOR in caller.roles else caller.id
    async with exchange.pool.acquire() as connection:
        return {"subscriptions": [shown(each) for each in await tables.of_client(connection, whose)]}


@router.get(
    "/{subscription_id}",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found", "invalid-request"]),
    summary="One subscription",
)
async def one(
    subscription_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.OPERATOR))],
) -> dict[str, Any]:
    """Show a subscription, and how many subjects it names."""
    exchange: Exchange = request.app.state.exchange
    found = await _seen(exchange, caller, subscription_id)
    async with exchange.pool.acquire() as connection:
        return {**shown(found), "subjects": await tables.count_subjects(connection, found.id)}


@router.delete(
    "/{subscription_id}",
    status_code=204,
    openapi_extra=audited("subscription-ended"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "not-found", "invalid-request"]),
    summary="End a subscription 取消订阅",
)
async def end(
    subscription_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> Response:
    """End a subscription: nothing of it leaves any more, and whom it named is forgotten."""
    await subscribing.end(request.app.state.exchange, caller, subscription_id, datetime.now(UTC))
    return Response(status_code=204)


@router.post(
    "/{subscription_id}/subjects",
    openapi_extra=audited("watch"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            *_BODY,
            *_GRANT,
            "not-found",
            "subject-malformed",
            "subscription-ended",
            "subscription-names-nobody",
            "too-many-subjects",
        ],
    ),
    summary="Name subjects to be told of, and forget others",
)
async def name(
    subscription_id: uuid.UUID,
    body: Naming,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, int]:
    """Name subjects; again without harm. Whether there are such is not told."""
    added = [(each.subject, each.reference) for each in body.add]
    count = await subscribing.name_subjects(
        request.app.state.exchange, caller, subscription_id, added, body.remove, datetime.now(UTC)
    )
    return {"subjects": count}


@router.put(
    "/{subscription_id}/url",
    openapi_extra=audited("subscription-moved"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            *_BODY,
            "not-found",
            "subscription-ended",
            "subscription-not-delivered",
            "webhook-refused",
        ],
    ),
    summary="Send webhooks to another address",
)
async def move(
    subscription_id: uuid.UUID,
    body: Elsewhere,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, Any]:
    """Send what waits, and all that comes, to another address from now on."""
    exchange: Exchange = request.app.state.exchange
    return shown(
        await subscribing.send_elsewhere(exchange, caller, subscription_id, body.url, datetime.now(UTC))
    )


@router.get(
    "/{subscription_id}/events",
    openapi_extra=audited("notified"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            *_GRANT,
            "invalid-request",
            "not-found",
            "quota-exceeded",
            "subscription-ended",
            "feed-forgotten",
        ],
    ),
    summary="Events of the feed after a sequence, waited for where there are none",
)
async def events(
    subscription_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
    after: Annotated[int, Query(ge=0, le=2**62, description="Sequence of the last event that is known")] = 0,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Read events; `next` is what to ask after then."""
    page = await read(
        request.app.state.exchange,
        caller,
        subscription_id,
        after=after,
        limit=limit,
        wait=wait,
    )
    response.headers["Cache-Control"] = "no-store"
    return asdict(page)


@router.post(
    "/{subscription_id}/replay",
    openapi_extra=audited("feed-replayed"),
    responses=documented(
        EXCHANGE_PROBLEMS,
        [
            *_CALLER,
            *_BODY,
            "not-found",
            "subscription-ended",
            "subscription-not-delivered",
            "feed-forgotten",
        ],
    ),
    summary="Deliver events again from a sequence on",
)
async def replay(
    subscription_id: uuid.UUID,
    body: Replay,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, int]:
    """Deliver again, in order and by the same ids, whatever became of the events before."""
    exchange: Exchange = request.app.state.exchange
    count = await subscribing.replay(exchange, caller, subscription_id, body.first, datetime.now(UTC))
    return {"events": count}


@router.get(
    "/{subscription_id}/dead",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "invalid-request", "not-found"]),
    summary="Events that were given up 死信",
)
async def dead(
    subscription_id: uuid.UUID,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.OPERATOR))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List what could not be delivered; later events of the same subjects wait behind it."""
    exchange: Exchange = request.app.state.exchange
    found = await _seen(exchange, caller, subscription_id)
    async with exchange.pool.acquire() as connection:
        return {"events": [shown_dead(each) for each in await feed_tables.dead(connection, found.id, limit)]}


@router.post(
    "/{subscription_id}/dead/retry",
    openapi_extra=audited("events-revived"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, *_BODY, "not-found"]),
    summary="Try dead events again",
)
async def retry(
    subscription_id: uuid.UUID,
    body: Retry,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM, Role.OPERATOR))],
) -> dict[str, int]:
    """Let dead events be tried again, counting from the beginning."""
    exchange: Exchange = request.app.state.exchange
    found = await _seen(exchange, caller, subscription_id)
    return {"events": await subscribing.retry(exchange, caller, found.id, body.sequences, datetime.now(UTC))}


@router.post(
    "/{subscription_id}/dead/dismiss",
    openapi_extra=audited("events-dismissed"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, *_BODY, "not-found"]),
    summary="Give dead events up for good",
)
async def dismiss(
    subscription_id: uuid.UUID,
    body: Dismissal,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.DEPARTMENT_SYSTEM))],
) -> dict[str, int]:
    """Go on without dead events. They stay in the feed, to be read or replayed."""
    exchange: Exchange = request.app.state.exchange
    found = await own(exchange, caller, subscription_id)
    return {
        "events": await subscribing.dismiss(exchange, caller, found.id, body.sequences, datetime.now(UTC))
    }


async def _seen(exchange: Exchange, caller: Principal, subscription_id: uuid.UUID) -> Subscription:
    if Role.OPERATOR not in caller.roles:
        return await own(exchange, caller, subscription_id)
    async with exchange.pool.acquire() as connection:
        found = await tables.find(connection, subscription_id)
    if found is None:
        raise NotFound(_("no such subscription"))
    return found


def shown(subscription: Subscription) -> dict[str, Any]:
    """Return a subscription for a reply."""
    return {
        "id": str(subscription.id),
        "client_id": subscription.client_id,
        "grant": str(subscription.grant),
        "resource": subscription.resource,
        "matter": subscription.matter,
        "kinds": sorted(subscription.kinds),
        "scope": subscription.scope.value,
        "url": subscription.url,
        "created_at": subscription.created_at.isoformat(),
        "state": subscription.state.value,
        "reason": subscription.reason,
        "head": subscription.head,
        "forgotten": subscription.forgotten,
    }


def shown_dead(event: Event) -> dict[str, Any]:
    """Return a dead event, for a reply to whom it was meant or to the operator: nothing of the subject."""
    return {
        "subscription": str(event.subscription),
        "sequence": event.sequence,
        "id": str(event.id),
        "kind": event.kind,
        "reference": event.reference,
        "attempts": event.attempts,
        "last_failure": event.last_failure,
        "dead_at": None if event.dead_at is None else event.dead_at.isoformat(),
    }
