"""HTTP of the process itself: health, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from foundation.identity.guard import PUBLIC, audited
from foundation.telemetry import METRICS
from foundation.unavailable import UNAVAILABLE
from zhengtong.house import House

router = APIRouter(tags=["operation"])


@router.get("/healthz", dependencies=PUBLIC, openapi_extra=audited("none"))
async def health() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=PUBLIC, openapi_extra=audited("none"))
async def readiness(request: Request, response: Response) -> dict[str, Any]:
    """Tell whether requests can be served: the database answers within two seconds."""
    house: House = request.app.state.house
    try:
        async with asyncio.timeout(2):
            pending = await house.exchange.pool.fetchval("SELECT count(*) FROM ledger.pending")
    except UNAVAILABLE:
        response.status_code = 503
        return {"status": "database unavailable"}
    return {"status": "ok", "ledger_pending": pending}


@router.get("/metrics", dependencies=PUBLIC, openapi_extra=audited("none"))
async def metrics() -> Response:
    """Give the metrics of this process to Prometheus."""
    return Response(generate_latest(METRICS), media_type=CONTENT_TYPE_LATEST)
