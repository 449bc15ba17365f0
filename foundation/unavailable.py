"""What tells that there is no database to talk to."""

from __future__ import annotations

import asyncpg
import sqlalchemy.exc

UNAVAILABLE: tuple[type[Exception], ...] = (
    ConnectionError,
    FileNotFoundError,
    TimeoutError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # shut down, starting up
    asyncpg.InsufficientResourcesError,  # no connection left, disk full
    asyncpg.ObjectNotInPrerequisiteStateError,  # closed to connections
    asyncpg.ReadOnlySQLTransactionError,  # a standby
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""Exceptions that mean: no database to talk to, try again later."""
