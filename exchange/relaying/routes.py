"""HTTP of live sources: the sharing authority says which resources are asked where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from exchange.audit.record import prepare
from exchange.catalog.resources import require_resource
from exchange.ports import Exchange
from exchange.problems import EXCHANGE_PROBLEMS
from exchange.relaying import tables
from exchange.relaying.relays import CASCADE_PURPOSE, QUESTION_PURPOSE
from exchange.relaying.source import Kind, LiveSource, read_keys, require_address
from foundation.errors import NotFound
from foundation.identity.guard import audited, requires
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.problems import documented
from foundation.text import Code

router = APIRouter(prefix="/v1/live-sources", tags=["live sources"])

_CALLER = ("token-missing", "role-missing")


class LiveSourceRequest(BaseModel):
    """Where a resource is asked, and by which keys its answers are signed.

    `department`: a department's own service, which gets signed questions at `address`. `cascade`: a higher-level
    exchange at `address`, where this one is registered as `client_id`; its keys are those of its `/jwks.json`.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "department",
                    "department": "11990100MB2A00001X",
                    "address": "https://hukou.example.gov.cn/questions",
                    "jwks": {"keys": [{"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "…"}]},
                    "timeout_ms": 2000,
                }
            ]
        },
    )

    kind: Kind
    department: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$")]
    address: Annotated[str, StringConstraints(min_length=8, max_length=500)]
    jwks: dict[str, Any]
    timeout_ms: Annotated[int, Field(ge=100, le=30_000)] = 3000
    client_id: Code | None = None
    remote_resource: Code | None = None

    @model_validator(mode="after")
    def _whoever_cascades_is_registered(self) -> LiveSourceRequest:
        if (self.kind is Kind.CASCADE) != (self.client_id is not None):
            raise ValueError("client_id belongs to a cascade, and only to one")
        return self


class LiveSourceReply(TypedDict):
    """A live source. `circuit`: whether questions go through, in the process that was asked."""

    resource: str
    kind: Kind
    department: str
    address: str
    keys: list[str]
    timeout_ms: int
    client_id: str | None
    remote_resource: str | None
    circuit: str


class LiveSourcesReply(TypedDict):
    """All live sources, and this exchange's own public keys (JWK Sets) for the other end to register."""

    sources: list[LiveSourceReply]
    question_keys: dict[str, Any]
    cascade_keys: dict[str, Any]


@router.put(
    "/{resource}",
    openapi_extra=audited("live-source-set"),
    responses=documented(
        EXCHANGE_PROBLEMS, [*_CALLER, "invalid-request", "resource-unknown", "live-source-invalid"]
    ),
    summary="Let a resource be asked at its department, or at a higher-level exchange 实时接口、级联",
)
async def register(
    resource: Code,
    body: LiveSourceRequest,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> LiveSourceReply:
    """Register a source; in effect within two seconds. Sent again it changes nothing."""
    exchange: Exchange = request.app.state.exchange
    require_resource(exchange.catalogue, resource)
    now = datetime.now(UTC)
    source = LiveSource(
        resource=resource,
        kind=body.kind,
        department=body.department,
        address=require_address(body.address, body.kind),
        keys=read_keys(body.jwks),
        timeout_ms=body.timeout_ms,
        client_id=body.client_id,
        remote_resource=body.remote_resource,
    )
    facts: dict[str, Any] = {
        "resource": resource,
        "kind": source.kind.value,
        "source_department": source.department,
        "address": source.address,
        "keys": sorted(source.keys),
    }
    await exchange.recorder.record(prepare("live-source-set", "set", caller, now, **facts))
    await tables.put(exchange.pool, source, body.jwks, caller.id, now)
    await exchange.relays.load()
    return _shown(exchange, source)


@router.get(
    "",
    openapi_extra=audited("none"),
    responses=documented(EXCHANGE_PROBLEMS, _CALLER),
    summary="Live sources, and the keys by which this exchange asks",
)
async def listed(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY, Role.OPERATOR))],
) -> LiveSourcesReply:
    """List the sources with the state of their circuits."""
    exchange: Exchange = request.app.state.exchange
    found = await tables.all_sources(exchange.pool)
    return {
        "sources": [_shown(exchange, each) for each in found.values()],
        "question_keys": _key_set(exchange, QUESTION_PURPOSE),
        "cascade_keys": _key_set(exchange, CASCADE_PURPOSE),
    }


@router.delete(
    "/{resource}",
    status_code=204,
    openapi_extra=audited("live-source-ended"),
    responses=documented(EXCHANGE_PROBLEMS, [*_CALLER, "invalid-request", "not-found"]),
    summary="Let a resource be looked up here again",
)
async def end(
    resource: Code,
    request: Request,
    caller: Annotated[Principal, Depends(requires(Role.SHARING_AUTHORITY))],
) -> Response:
    """End a live source; in effect within two seconds."""
    exchange: Exchange = request.app.state.exchange
    if resource not in await tables.all_sources(exchange.pool):
        raise NotFound(_("the resource is not live"))
    await exchange.recorder.record(
        prepare("live-source-ended", "ended", caller, datetime.now(UTC), resource=resource)
    )
    await tables.end(exchange.pool, resource)
    await exchange.relays.load()
    return Response(status_code=204)


def _shown(exchange: Exchange, source: LiveSource) -> LiveSourceReply:
    return {
        "resource": source.resource,
        "kind": source.kind,
        "department": source.department,
        "address": source.address,
        "keys": sorted(source.keys),
        "timeout_ms": source.timeout_ms,
        "client_id": source.client_id,
        "remote_resource": source.remote_resource,
        "circuit": exchange.relays.circuit(source.resource).value,
    }


def _key_set(exchange: Exchange, purpose: str) -> dict[str, Any]:
    wanted = exchange.keys.verification_keys(purpose)
    return {"keys": [key for key in exchange.keys.jwks()["keys"] if key["kid"] in wanted]}
