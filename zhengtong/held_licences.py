"""Licences that somebody holds, looked up in the registry of licences: the exchange knows nothing of its tables."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson

from exchange.catalog.document import LICENCE_PREFIX
from exchange.registers.lookup import RegisterRow
from foundation.civil import civil_date
from foundation.sensitive import Vault
from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.states import State

_HELD = """
    FROM license_registry.licence l
    WHERE (l.holder = $1 OR l.identifier IN (SELECT identifier FROM license_registry.co_holder WHERE holder = $1))
      AND l.type_code = ANY($2) AND l.state = $3 AND l.valid_from <= $4
      AND (l.valid_until IS NULL OR l.valid_until >= $4)
"""
_IN_FORCE = f"SELECT EXISTS (SELECT {_HELD})"
_ROWS = (
    "SELECT l.identifier, l.number, l.issuer_name, l.issued_on, l.valid_from, l.valid_until, l.division,"
    f" l.issued_at, l.type_version, l.sealed {_HELD} LIMIT 2"
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
            _IN_FORCE, holder, self._codes[licence_type], State.VALID.value, day
        )
        return found

    async def row(self, resource: str, holder: bytes) -> RegisterRow | None:
        """Return the licence that somebody holds in force today, all of it in the clear part; None unless it is one.

        Raises:
            SealBroken: the licence was altered.
        """
        codes = self._codes.get(resource.removeprefix(LICENCE_PREFIX))
        if codes is None:
            return None
        today = civil_date(datetime.now(UTC))
        found = await self._pool.fetch(_ROWS, holder, codes, State.VALID.value, today)
        if len(found) != 1:
            return None
        (licence,) = found
        until = licence["valid_until"]
        content: dict[str, Any] = {
            "licence_number": licence["number"],
            "issuer_name": licence["issuer_name"],
            "issued_on": licence["issued_on"].isoformat(),
            "valid_from": licence["valid_from"].isoformat(),
            "valid_to": None if until is None else until.isoformat(),
            **orjson.loads(self._vault.open(licence["sealed"], licence["identifier"].encode())),
            # Where the licence is at home, for grants that are for some divisions.
            "division": licence["division"],
        }
        return RegisterRow(content, None, resource, licence["issued_at"], licence["type_version"])
