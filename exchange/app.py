"""The exchange as an ASGI application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

import exchange.archives.routes
import exchange.audit.routes
import exchange.batches.routes
import exchange.catalog.drafts.routes
import exchange.catalog.formats.routes
import exchange.catalog.replies
import exchange.catalog.routes
import exchange.commitments.routes
import exchange.consents.routes
import exchange.corrections.notices.routes
import exchange.corrections.replies
import exchange.corrections.routes
import exchange.entitlements.routes
import exchange.entries.routes
import exchange.grants.routes
import exchange.matters.replies
import exchange.matters.routes
import exchange.outbox.routes
import exchange.outcomes.routes
import exchange.plans.routes
import exchange.queries.routes
import exchange.relaying.routes
import exchange.requests.replies
import exchange.requests.routes
import exchange.statistics.routes
import exchange.subscriptions.replies
import exchange.subscriptions.routes
from exchange.plans.plan import Planning
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from foundation.identity.guard import Guard
from foundation.openapi import complete, operation_id
from foundation.problems import ProblemTable, install
from foundation.shortcut import Shortcut
from foundation.unavailable import UNAVAILABLE

AUDIENCE = "urn:zhengtong:exchange"

DESCRIPTION = """Departments ask questions instead of asking people for papers. Every answer is a signed statement
(compact JWS) with a receipt in the transparency log; refusals are problems by RFC 9457 with a stable `type`."""

TAGS = {
    "catalogue": "Data resources that can be asked about 数据资源目录",
    "grants": "Who may ask what, for which matters, until when 授权",
    "queries": "Questions about subjects 核验、查询",
    "batches": "Questions about many subjects 批量",
    "audit": "Who asked whom about what, and the proof of it 访问记录",
    "live sources": "Resources that are asked at their department or a higher-level exchange 实时接口、级联",
    "requests": "Share requests from asking to the grant 共享申请",
    "corrections": "Wrong values, reported and set right 校核",
    "subscriptions": "Changes of subjects, delivered or read 订阅",
    "matters": "Service matters and what can take the place of their papers 政务服务事项",
    "plans": "What of a case's papers is settled, and how the rest can be 办件计划",
    "consents": "Evidence that goes out only with the applicant's consent 授权同意",
    "commitments": "Statements in the place of papers, verified later 告知承诺",
    "archives": "Closed cases as packages that are verified alone 办件归档",
    "statistics": "What was counted, each number traceable to its records 统计",
    "outcomes": "What was decided, who supervises it, and what they found 办理结果、审管联动",
    "entitlements": "Benefits that are found without being asked for 免申即享",
    "entries": "Lists that departments keep, such as of penalties 名单",
    "outbox": "What other systems are told 外发",
    "ingest": "Data that departments send 推送",
}
"""Tags of the routes with their descriptions; a room that has a tag of its own adds it here."""

REPLIES = {
    **exchange.catalog.replies.REPLIES,
    **exchange.corrections.replies.REPLIES,
    **exchange.matters.replies.REPLIES,
    **exchange.requests.replies.REPLIES,
    **exchange.subscriptions.replies.REPLIES,
}


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
    app = FastAPI(
        title="证通 数据共享交换 · Zhengtong exchange",
        version="1",
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    app.state.exchange = ports
    app.state.guard = guard
    app.state.planning = Planning(ports)
    included = [
        exchange.catalog.routes.router,
        exchange.catalog.drafts.routes.router,
        exchange.catalog.formats.routes.router,
        exchange.grants.routes.router,
        exchange.queries.routes.router,
        exchange.batches.routes.router,
        exchange.audit.routes.router,
        exchange.requests.routes.router,
        exchange.subscriptions.routes.router,
        exchange.matters.routes.router,
        exchange.corrections.notices.routes.router,
        exchange.corrections.routes.router,
        exchange.relaying.routes.router,
        exchange.plans.routes.router,
        exchange.consents.routes.router,
        exchange.commitments.routes.router,
        exchange.statistics.routes.router,
        exchange.outbox.routes.router,
        exchange.outcomes.routes.router,
        exchange.archives.routes.router,
        exchange.entitlements.routes.router,
        exchange.entries.routes.router,
        *routers,
    ]
    for router in included:
        app.include_router(router)
    for name, value in (state or {}).items():
        setattr(app.state, name, value)
    table = {**EXCHANGE_PROBLEMS, **(problems or {})}
    install(app, table, UNAVAILABLE)
    complete(app, included, table, TAGS, DESCRIPTION, AUDIENCE, REPLIES)
    return Shortcut(
        app,
        {
            "/v1/verifications": exchange.queries.routes.verifications_directly,
            "/v1/queries": exchange.queries.routes.queries_directly,
        },
    )
