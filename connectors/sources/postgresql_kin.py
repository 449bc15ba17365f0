"""PostgreSQL, and what speaks as PostgreSQL does without being it: Kingbase, openGauss."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

NAME = "postgresql+kin"
"""As SQLAlchemy knows it in a URL."""


class PostgresqlKin(PGDialect_psycopg):
    """Takes from the server what its protocol says, and asks for nothing that a copy of PostgreSQL may not have."""

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"use_native_hstore": False, **options})  # type: ignore[no-untyped-call]

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        # By `version()` they call themselves by their own names and numbers.
        driver = connection.connection.driver_connection
        assert driver is not None
        number = int(driver.info.server_version)
        return (number // 10_000, number % 10_000) if number >= 100_000 else _three(number)


def _three(number: int) -> tuple[int, int, int]:
    """Return the version of a server before PostgreSQL 10: 90204 is 9.2.4."""
    return number // 10_000, number // 100 % 100, number % 100


registry.register("postgresql.kin", __name__, "PostgresqlKin")
