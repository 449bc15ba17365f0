"""Identifiers that a person decided to be one subject's: what the registry of licences is told of them.

Only decisions count here. That a row names another identifier lets the exchange find that row (decision 27), but a
mistyped number must not let anybody present the licences of another.
"""

from __future__ import annotations

from typing import Any

from exchange.registers.aliases import decided_identities


class DecidedIdentities:
    """Blind indexes that stand for one subject, by the decisions on links.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def of(self, subject: bytes) -> list[bytes]:
        """Return all that stand for the one behind this one, which comes first."""
        return await decided_identities(self._pool, subject)
