"""Licences that somebody holds, looked up in the registry of licences: the exchange knows nothing of its tables."""

from __future__ import annotations

from datetime import date
from typing import Any

from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.states import State

_IN_FORCE = """
SELECT EXISTS (
    SELECT FROM license_registry.licence l
    WHERE (l.holder = $1 OR l.identifier IN (SELECT identifier FROM license_registry.co_holder WHERE holder = $1))
      AND l.type_code = ANY($2) AND l.state = $3 AND l.valid_from <= $4
      AND (l.valid_until IS NULL OR l.valid_until >= $4)
)
"""


class RegisteredLicences:
    """Licences of the registry, by the blind indexes of holders that both sides share.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any, types: LicenceTypes) -> None:
        self._pool = pool
        self._codes = {
            name: sorted({found.type_code, *(older.type_code for older in found.older)})
            for name, found in types.items()
        }

    def knows(self, licence_type: str) -> bool:
        """True when there is a licence type of this id."""
        return licence_type in self._codes

    async def in_force(self, licence_type: str, holder: bytes, day: date) -> bool:
        """Tell whether somebody, alone or with others, holds a licence of a type that is valid on a day."""
        found: bool = await self._pool.fetchval(
            _IN_FORCE, holder, self._codes[licence_type], State.VALID.value, day
        )
        return found
