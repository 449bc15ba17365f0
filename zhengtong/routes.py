"""HTTP of the process itself: health, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import NotRequired

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from foundation.identity.guard import PUBLIC, audited
from foundation.openapi import media
from foundation.telemetry import gathered
from foundation.unavailable import UNAVAILABLE
from zhengtong.house import House

router = APIRouter(tags=["operation"])


class Health(TypedDict):
    """`ok`."""

    status: str


class Readiness(TypedDict):
    """`ok`, with the entries that the log has still to take in; or why not."""

    status: str
    ledger_pending: NotRequired[int]


@router.get("/healthz", dependencies=PUBLIC, openapi_extra=audited("none"))
async def health() -> Health:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=PUBLIC, openapi_extra=audited("none"))
async def readiness(request: Request, response: Response) -> Readiness:
    """Tell whether requests can be served: the database answers within two seconds."""
    house: House = request.app.state.house
    try:
        async with asyncio.timeout(2):
            pending = await house.exchange.pool.fetchval("SELECT count(*) FROM ledger.pending")
    except UNAVAILABLE:
        response.status_code = 503
        return {"status": "database unavailable"}
    return {"status": "ok", "ledger_pending": pending}


@router.get(
    "/metrics",
    dependencies=PUBLIC,
    openapi_extra=audited("none"),
    responses={200: media("text/plain", "Metrics as Prometheus reads them")},
)
async def metrics(request: Request) -> Response:
    """Give the metrics to Prometheus, those of all processes that serve together."""
    request.app.state.door.account()
    return Response(generate_latest(gathered()), media_type=CONTENT_TYPE_LATEST)
