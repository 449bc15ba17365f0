"""The licence registry as an ASGI application."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

import license_registry.annual_reports.routes
import license_registry.archive.routes
import license_registry.audit.routes
import license_registry.catalog.routes
import license_registry.disclosing.routes
import license_registry.documents.routes
import license_registry.issuing.bulk.routes
import license_registry.issuing.routes
import license_registry.lifecycle.routes
import license_registry.linked_change.routes
import license_registry.notices.routes
import license_registry.presenting.routes
import license_registry.seals.routes
import license_registry.sharing.routes
import license_registry.wallets.authorising.routes
import license_registry.wallets.routes
from foundation.identity.guard import Guard
from foundation.openapi import complete, operation_id
from foundation.problems import install
from foundation.shortcut import Shortcut
from foundation.unavailable import UNAVAILABLE
from license_registry.ports import Registry
from license_registry.problems import REGISTRY_PROBLEMS

AUDIENCE = "urn:zhengtong:license-registry"

DESCRIPTION = """Signed e-licences: authorities issue them, people present them, counters verify them. A verification
answers with a result code: 0 valid, 1 not active, 2 suspended, 3 void, 4 insufficient data, 5 none,
6 parameters differ."""

TAGS = {
    "licence types": "What can be issued, as data 证照类型",
    "issuing": "One licence or many 签发",
    "life of a licence": "States, versions, history and status lists 生命周期",
    "annual reports": "Which are due, and filing one 年度报告",
    "linked changes": "Tasks that follow from changes of holders 联动变更",
    "notices": "What is on its way to a department 通知",
    "documents": "Licences as PDF and OFD 证照文件",
    "presenting": "Codes that show a licence, and their verification 亮证、验证",
    "wallets": "OpenID4VCI and OpenID4VP 卡包",
    "disclosing": "What is shown without a code: by number, file or grant 核验、依职权",
    "sharing": "Licence interfaces in the manner of GB/T 36906 证照共享服务接口",
    "seals": "Making, registering and using electronic seals 电子印章",
    "archives": "What closed matters rest on, in packages 归档",
    "audit": "Events for auditors 审计",
}


def create_app(ports: Registry, guard: Guard) -> ASGIApp:
    """Return the application; its ports stay owned, and are closed, by the caller."""
    app = FastAPI(
        title="证通 电子证照库 · Zhengtong licence registry",
        version="1",
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    app.state.registry = ports
    app.state.guard = guard
    included = [
        license_registry.catalog.routes.router,
        license_registry.issuing.routes.router,
        license_registry.documents.routes.router,
        license_registry.issuing.bulk.routes.router,
        license_registry.lifecycle.routes.router,
        license_registry.annual_reports.routes.router,
        license_registry.linked_change.routes.router,
        license_registry.notices.routes.router,
        license_registry.presenting.routes.router,
        license_registry.wallets.routes.router,
        license_registry.wallets.authorising.routes.router,
        license_registry.disclosing.routes.router,
        license_registry.sharing.routes.router,
        license_registry.seals.routes.router,
        license_registry.archive.routes.router,
        license_registry.audit.routes.router,
    ]
    for router in included:
        app.include_router(router)
    install(app, REGISTRY_PROBLEMS, UNAVAILABLE)
    complete(app, included, REGISTRY_PROBLEMS, TAGS, DESCRIPTION, AUDIENCE)
    return Shortcut(app, {"/v1/presentations/verify": license_registry.presenting.routes.verify_directly})
