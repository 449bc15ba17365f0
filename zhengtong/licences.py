"""The command group `licence`, and the registry as its commands work with it: without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import click

from foundation import database
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from license_registry.catalog.types import load_types
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.ports import Registry
from license_registry.store.objects import open_store
from zhengtong.holders import RegisteredHolders
from zhengtong.house_keys import open_keys

CONNECTIONS = 4

Result = TypeVar("Result")


@click.group(help="证照 · Licences")
def licence() -> None:
    """Hold the commands on licences."""


@asynccontextmanager
async def open_registry(settings: Settings, address: str, now: datetime) -> AsyncIterator[Registry]:
    """Open the registry's ports on a database whose schema the caller has checked."""
    keys, vault = open_keys(settings, now), open_vault(settings, now)
    async with database.pool(address, CONNECTIONS) as pool:
        yield Registry(
            settings=settings,
            pool=pool,
            vault=vault,
            keys=keys,
            store=await asyncio.to_thread(open_store, settings),
            types=load_types(settings.licence_types_folder),
            status_lists=StatusLists(pool, keys, f"{settings.base_url}/registry"),
            holders=RegisteredHolders(pool, vault),
        )


def with_registry(settings: Settings, now: datetime, work: Callable[[Registry], Awaitable[Result]]) -> Result:
    """Do some work with the registry on the configured database, and return what comes of it."""

    async def opened(address: str) -> Result:
        async with open_registry(settings, address, now) as registry:
            return await work(registry)

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(opened(address))
