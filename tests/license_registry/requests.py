"""Requests that fit, and the registry's ports to put them to without HTTP: a process that is to die needs no more."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from foundation import database
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Principal, Role
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from license_registry.catalog.types import load_types
from license_registry.issuing.issue import IssueRequest
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.ports import Registry
from license_registry.store.objects import FileStore, ObjectStore
from tests.departments import MARKET
from zhengtong.holders import RegisteredHolders
from zhengtong.house_keys import open_keys

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
HOLDER = str(Uscc.compute("91990101MA0000001"))
NOW = datetime(2025, 6, 30, 4, 0, tzinfo=UTC)
AUTHORITY = Principal("market-regulator", MARKET, frozenset({Role.ISSUING_AUTHORITY}))

_numbers = itertools.count(1)


def body(**changes: Any) -> dict[str, Any]:
    """A request that is issued; each call has a number of its own unless one is given."""
    return {
        "licence_type": "business-licence",
        "number": f"TEST{next(_numbers):06d}",
        "fields": {
            "holder_name": "示范市东湖茶业有限公司",
            "holder_code": HOLDER,
            "representative_name": "张三丰",
            "registered_capital": "壹佰万元整",
            "established_on": "2001-05-06",
            "business_scope": "茶叶种植",
        },
        "valid_from": "2020-01-01",
        "valid_until": "2099-12-31",
        "presenter": PERSON,
        **changes,
    }


def request(**changes: Any) -> IssueRequest:
    """The same as a request inside the process."""
    made = body(**changes)
    made["valid_from"] = date.fromisoformat(made["valid_from"])
    made["valid_until"] = date.fromisoformat(made["valid_until"]) if made["valid_until"] else None
    return IssueRequest(**made)


@asynccontextmanager
async def registry(
    settings: Settings, address: str, store: ObjectStore | None = None
) -> AsyncIterator[Registry]:
    """The registry's ports without HTTP, for what cannot be brought about from outside."""
    keys = open_keys(settings, NOW)
    async with database.pool(address, 4) as pool:
        yield Registry(
            settings,
            pool,
            open_vault(settings, NOW),
            keys,
            store or FileStore(settings.objects_folder),
            load_types(),
            StatusLists(pool, keys, f"{settings.base_url}/registry"),
            RegisteredHolders(pool, open_vault(settings, NOW)),
        )


def personal(ports: Registry) -> Registry:
    """The same registry with one more type, whose holder is a citizen and shown always."""
    model = ports.types["business-licence"]
    schema = {
        "type": "object",
        "required": ["holder_name", "holder_code"],
        "properties": {
            "holder_name": {"type": "string"},
            "holder_code": {"type": "string"},
            "issued_on": {"type": "string", "format": "date"},
        },
    }
    made = replace(
        model, id="personal", type_code="11100000MB0143028R002", holder_code_type="111", schema=schema
    )
    return replace(ports, types={**ports.types, "personal": made})
