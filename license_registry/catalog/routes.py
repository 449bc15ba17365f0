"""HTTP of licence types."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundation.identity.guard import PUBLIC, audited
from license_registry.ports import Registry

router = APIRouter(prefix="/v1/licence-types", tags=["licence types"])


@router.get("", dependencies=PUBLIC, openapi_extra=audited("none"), summary="Licence types 证照类型")
async def licence_types(request: Request) -> dict[str, Any]:
    """List licence types with their codes and schemas."""
    registry: Registry = request.app.state.registry
    return {
        "licence_types": [
            {
                "id": t.id,
                "version": t.version,
                "type_code": t.type_code,
                "type_code_confidence": t.type_code_confidence,
                "name": t.name,
                "name_en": t.name_en,
                "vct": t.vct,
                "always_disclosed": list(t.always_disclosed),
                "schema": t.schema,
            }
            for t in registry.types.values()
        ]
    }
