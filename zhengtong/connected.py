"""What commands need that look into the database and change a little: one connection, one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from foundation import database
from foundation.identity.principals import Principal, Role
from foundation.settings import Settings

Result = TypeVar("Result")

OPERATOR = Principal("operator-command", "", frozenset({Role.OPERATOR}))
"""As whom such commands act."""


def with_connection(settings: Settings, work: Callable[[Any], Awaitable[Result]]) -> Result:
    """Return what work brings on a connection (asyncpg) to the database of the settings, in a transaction.

    Raises:
        DatabaseError: there is none, or of another version.
    """

    async def opened(address: str) -> Result:
        async with (
            database.pool(address, 1) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            return await work(connection)

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(opened(address))
