"""HTTP of the catalogue."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from exchange.ports import Exchange
from foundation.identity.guard import PUBLIC, audited

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])


@router.get("/resources", dependencies=PUBLIC, openapi_extra=audited("none"))
async def resources(request: Request) -> dict[str, Any]:
    """List the data resources that can be asked about, with their fields and sharing class."""
    exchange: Exchange = request.app.state.exchange
    return {
        "resources": [
            {
                "id": r.id,
                "version": r.version,
                "title": r.title,
                "title_en": r.title_en,
                "owner": r.owner,
                "sharing_class": r.sharing_class,
                "lead_source": r.lead_source,
                "subject_kind": r.subject_kind,
                "fields": {
                    name: {
                        "title": r.register.schema["properties"][name]["title"],
                        "sensitive": name in r.register.sensitive,
                    }
                    for name in r.fields
                },
            }
            for r in exchange.catalogue.values()
        ]
    }
