"""The one process: both applications mounted, with authorisation server, log tiles, health and metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

import exchange.app
import foundation.identity.routes
import license_registry.app
import zhengtong.routes
from foundation.database import UNAVAILABLE
from foundation.identity import development_issuer
from foundation.identity.errors import IDENTITY_PROBLEMS
from foundation.problems import install
from foundation.settings import Settings
from foundation.telemetry import Door
from zhengtong.house import open_house


def create_app(settings: Settings, address: str) -> Door:
    """Return the ASGI application of the whole house.

    Args:
        address: of the database, whose schema the caller has checked.
    """

    @contextlib.asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with open_house(settings, address) as house:
            app.state.house = house
            app.state.authorisation_server = house.authorisation_server
            if settings.development_issuer:
                development_issuer.mount(app, settings, house.exchange.keys)
            app.mount("/exchange", exchange.app.create_app(house.exchange, house.exchange_guard))
            app.mount("/registry", license_registry.app.create_app(house.registry, house.registry_guard))
            settings.ledger_folder.mkdir(parents=True, exist_ok=True)
            app.mount("/ledger", StaticFiles(directory=settings.ledger_folder))
            yield

    app = FastAPI(title="证通 · Zhengtong", version="1", lifespan=opened, redirect_slashes=False)
    app.include_router(zhengtong.routes.router)
    app.include_router(foundation.identity.routes.router)
    install(app, IDENTITY_PROBLEMS, UNAVAILABLE)
    return Door(app, settings.maximum_body_bytes)
