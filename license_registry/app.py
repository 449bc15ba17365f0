"""The licence registry as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

import license_registry.annual_reports.routes
import license_registry.audit.routes
import license_registry.catalog.routes
import license_registry.disclosing.routes
import license_registry.issuing.bulk.routes
import license_registry.issuing.routes
import license_registry.lifecycle.routes
import license_registry.linked_change.routes
import license_registry.notices.routes
import license_registry.presenting.routes
import license_registry.wallets.routes
from foundation.identity.guard import Guard
from foundation.problems import install
from foundation.shortcut import Shortcut
from foundation.unavailable import UNAVAILABLE
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

AUDIENCE = "urn:zhengtong:license-registry"


def create_app(ports: Registry, guard: Guard) -> ASGIApp:
    """Return the application; its ports stay owned, and are closed, by the caller."""
    app = FastAPI(title="证通 电子证照库 · Zhengtong licence registry", version="1", redirect_slashes=False)
    app.state.registry = ports
    app.state.guard = guard
    for room in (
        license_registry.catalog.routes,
        license_registry.issuing.routes,
        license_registry.issuing.bulk.routes,
        license_registry.lifecycle.routes,
        license_registry.annual_reports.routes,
        license_registry.linked_change.routes,
        license_registry.notices.routes,
        license_registry.presenting.routes,
        license_registry.wallets.routes,
        license_registry.disclosing.routes,
        license_registry.audit.routes,
    ):
        app.include_router(room.router)
    install(app, REGISTRY_PROBLEMS, UNAVAILABLE)
    return Shortcut(app, {"/v1/presentations/verify": license_registry.presenting.routes.verify_directly})
