"""The one process: both applications mounted, with authorisation server, log tiles, health and metrics."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Mapping

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import exchange.app
import exchange.batches.routes
import exchange.catalog.formats.routes
import foundation.identity.routes
import license_registry.app
import license_registry.issuing.bulk.routes
import license_registry.wallets.routes
import zhengtong.ingest.routes
import zhengtong.routes
from foundation.identity import development_issuer
from foundation.identity.errors import IDENTITY_PROBLEMS
from foundation.openapi import complete, operation_id
from foundation.problems import install
from foundation.settings import Settings
from foundation.telemetry import Door
from foundation.unavailable import UNAVAILABLE
from license_registry.disclosing.by_file import LONGEST_UPLOAD
from zhengtong.house import open_house
from zhengtong.ingest.accept import Accepting
from zhengtong.ingest.problems import INGEST_PROBLEMS

INGEST_PATH = f"/exchange{zhengtong.ingest.routes.PREFIX}/"
BATCHES_PATH = f"/exchange{exchange.batches.routes.PREFIX}"
DESCRIPTION = """The authorisation server and the process itself. The exchange is described by `/exchange/openapi.json`,
the licence registry by `/registry/openapi.json`."""

TAGS = {
    "operation": "Health and metrics 运行",
    "identity": "Tokens and public keys 认证",
    "wallets": "What wallets look for at the root of the host 卡包",
}

CATALOGUE_PATH = f"/exchange{exchange.catalog.formats.routes.IMPORTS}"
UPLOAD_PATHS = ("/registry/v1/file-verifications", "/registry/v1/sharing/file-verifications")
JOBS_PATH = f"/registry{license_registry.issuing.bulk.routes.PREFIX}"


def create_app(settings: Settings, address: str) -> Door:
    """Return the ASGI application of the whole house.

    Args:
        address: of the database, whose schema the caller has checked.
    """

    services: dict[str, ASGIApp] = {}

    @contextlib.asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with open_house(settings, address) as house:
            app.state.house = house
            app.state.registry = house.registry
            app.state.authorisation_server = house.authorisation_server
            if settings.development_issuer:
                development_issuer.mount(app, settings, house.exchange.keys)
            services["exchange"] = exchange.app.create_app(
                house.exchange,
                house.exchange_guard,
                routers=[zhengtong.ingest.routes.router],
                problems=INGEST_PROBLEMS,
                state={"accepting": Accepting(settings, address, house.exchange.vault)},
            )
            services["registry"] = license_registry.app.create_app(house.registry, house.registry_guard)
            settings.ledger_folder.mkdir(parents=True, exist_ok=True)
            app.mount("/ledger", StaticFiles(directory=settings.ledger_folder))
            # What is loaded by now stays: the collector need not walk it again and again while requests wait.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            sys.setswitchinterval(0.001)
            yield
            gc.unfreeze()

    app = FastAPI(
        title="证通 · Zhengtong",
        version="1",
        lifespan=opened,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    included = [
        zhengtong.routes.router,
        foundation.identity.routes.router,
        license_registry.wallets.routes.well_known,
    ]
    for router in included:
        app.include_router(router)
    install(app, IDENTITY_PROBLEMS, UNAVAILABLE)
    complete(app, included, IDENTITY_PROBLEMS, TAGS, DESCRIPTION, exchange.app.AUDIENCE)
    door = app.state.door = Door(
        Floors(app, services),
        settings.maximum_body_bytes,
        {
            **dict.fromkeys((INGEST_PATH, JOBS_PATH, CATALOGUE_PATH), settings.maximum_ingest_bytes),
            BATCHES_PATH: settings.maximum_batch_bytes,
            **dict.fromkeys(UPLOAD_PATHS, max(LONGEST_UPLOAD, settings.maximum_body_bytes)),
        },
    )
    return door


class Floors:
    """Hands each request to the application that the first part of its path names; anything else to the root.

    What mounting would do, without a walk through the root application's own layers first.
    """

    def __init__(self, root: ASGIApp, services: Mapping[str, ASGIApp]) -> None:
        self.root = root
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] == "http":
            name = scope["path"].split("/", 2)[1]
            service = self.services.get(name)
            if service is not None:
                scope["root_path"] = scope["app_root_path"] = f"{scope.get('root_path', '')}/{name}"
                await service(scope, receive, send)
                return
        await self.root(scope, receive, send)
