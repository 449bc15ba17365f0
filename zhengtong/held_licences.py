"""Licences that somebody holds, looked up in the registry of licences: the exchange knows nothing of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import orjson

from exchange.ports import HeldLicence
from exchange.registers.aliases import DECIDED
from foundation.sensitive import Vault
from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.states import State

# Somebody holds what stands under any identifier that was decided to be theirs.
_WHO = f"WITH who AS (SELECT $1::bytea AS holder UNION {DECIDED})"
_IN_FORCE = """
l.identifier IN (
    SELECT identifier FROM license_registry.licence WHERE holder IN (SELECT holder FROM who)
    UNION ALL SELECT identifier FROM license_registry.co_holder WHERE holder IN (SELECT holder FROM who)
)
AND l.type_code = ANY($2) AND l.state = $3 AND l.valid_from <= $4 AND (l.valid_until IS NULL OR l.valid_until >= $4)
"""
_EXISTS = f"{_WHO} SELECT EXISTS (SELECT FROM license_registry.licence l WHERE {_IN_FORCE})"  # noqa: S608 -- constants
_OWN = (
    "(l.holder = $1 OR EXISTS (SELECT FROM license_registry.co_holder c"
    " WHERE c.identifier = l.identifier AND c.holder = $1))"
)
_NEWEST = (
    f"{_WHO} SELECT NOT {_OWN} AS merged, l.identifier,"  # noqa: S608 -- constants
    " l.division, l.issued_at, l.sealed, l.number, l.issuer_name, l.issued_on, l.valid_from,"
    " l.valid_until FROM license_registry.licence l"
    f" WHERE {_IN_FORCE} ORDER BY l.issued_on DESC, l.issued_at DESC LIMIT 1"
)


class RegisteredLicences:
    """Licences of the registry, by the blind indexes of holders that both sides share.

    Args:
        pool: of asyncpg.
    """

    def __init__(self, pool: Any, vault: Vault, types: LicenceTypes) -> None:
        self._pool = pool
        self._vault = vault
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
            _EXISTS, holder, self._codes[licence_type], State.VALID.value, day
        )
        return found

    async def of_holder(self, licence_type: str, holder: bytes, day: date) -> HeldLicence | None:
        """Return the newest licence of a type that somebody holds, alone or with others, and that is valid on a day."""
        row = await self._pool.fetchrow(_NEWEST, holder, self._codes[licence_type], State.VALID.value, day)
        if row is None:
            return None
        return HeldLicence(row["division"], row["issued_at"], partial(self._opened, row), row["merged"])

    def _opened(self, row: Any) -> Mapping[str, Any]:
        until = row["valid_until"]
        return {
            "licence_number": row["number"],
            "issuer_name": row["issuer_name"],
            "issued_on": row["issued_on"].isoformat(),
            "valid_from": row["valid_from"].isoformat(),
            "valid_to": None if until is None else until.isoformat(),
            **orjson.loads(self._vault.open(row["sealed"], row["identifier"].encode())),
        }
