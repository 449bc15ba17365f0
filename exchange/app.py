"""The exchange as an ASGI application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

import exchange.audit.routes
import exchange.batches.routes
import exchange.catalog.drafts.routes
import exchange.catalog.formats.routes
import exchange.catalog.routes
import exchange.commitments.routes
import exchange.consents.routes
import exchange.corrections.routes
import exchange.grants.routes
import exchange.matters.routes
import exchange.outbox.routes
import exchange.outcomes.routes
import exchange.plans.routes
import exchange.queries.routes
import exchange.requests.routes
import exchange.statistics.routes
import exchange.subscriptions.routes
from exchange.plans.plan import Planning
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import Guard
from foundation.problems import ProblemTable, install
from foundation.shortcut import Shortcut
from foundation.unavailable import UNAVAILABLE
from foundation.workdays import load_calendar

AUDIENCE = "urn:zhengtong:exchange"


def create_app(
    ports: Exchange,
    guard: Guard,
    *,
    routers: Sequence[APIRouter] = (),
    problems: ProblemTable | None = None,
    state: Mapping[str, object] | None = None,
) -> ASGIApp:
    """Return the application; its ports stay owned, and are closed, by the caller.

    Args:
        routers: what floors above serve under this application's path, with their `problems` and their `state`.
    """
    app = FastAPI(title="证通 数据共享交换 · Zhengtong exchange", version="1", redirect_slashes=False)
    app.state.exchange = ports
    app.state.guard = guard
    app.state.planning = Planning(ports, load_calendar(ports.settings.workdays_file))
    app.include_router(exchange.catalog.routes.router)
    app.include_router(exchange.catalog.drafts.routes.router)
    app.include_router(exchange.catalog.formats.routes.router)
    app.include_router(exchange.grants.routes.router)
    app.include_router(exchange.queries.routes.router)
    app.include_router(exchange.batches.routes.router)
    app.include_router(exchange.audit.routes.router)
    app.include_router(exchange.plans.routes.router)
    app.include_router(exchange.consents.routes.router)
    app.include_router(exchange.commitments.routes.router)
    app.include_router(exchange.statistics.routes.router)
    app.include_router(exchange.outbox.routes.router)
    app.include_router(exchange.outcomes.routes.router)
    app.include_router(exchange.requests.routes.router)
    app.include_router(exchange.subscriptions.routes.router)
    app.include_router(exchange.matters.routes.router)
    app.include_router(exchange.corrections.routes.router)
    app.include_router(exchange.corrections.routes.router)
    app.include_router(exchange.subscriptions.routes.router)
    app.include_router(exchange.matters.routes.router)
    for router in routers:
        app.include_router(router)
    for name, value in (state or {}).items():
        setattr(app.state, name, value)
    install(app, {**EXCHANGE_PROBLEMS, **(problems or {})}, UNAVAILABLE)
    return Shortcut(
        app,
        {
            "/v1/verifications": exchange.queries.routes.verifications_directly,
            "/v1/queries": exchange.queries.routes.queries_directly,
        },
    )
