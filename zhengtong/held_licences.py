"""Licences that somebody holds, looked up in the registry of licences: the exchange knows nothing of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import orjson

from exchange.ports import HeldLicence
from exchange.registers.aliases import decided_with
from foundation.sensitive import Vault
from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.states import State

_VALID = "l.state = {state} AND l.valid_from <= {day} AND (l.valid_until IS NULL OR l.valid_until >= {day})"
_SHARED = "license_registry.co_holder c JOIN license_registry.licence l ON l.identifier = c.identifier"
_COLUMNS = (
    "l.identifier, l.division, l.issued_at, l.sealed, l.number, l.issuer_name, l.issued_on, l.valid_from,"
    " l.valid_until"
)

# Who holds alone and who holds with others are looked up apart: one condition for both could use no index.
_OF_CODE = f"l.type_code = q.code AND {_VALID.format(state='$4', day='$5')}"
# Somebody holds what stands under any identifier that was decided to be theirs.
_IN_FORCE = (
    "WITH asked AS (SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[]) AS asked (turn, code, holder)),"  # noqa: S608
    " q AS (SELECT * FROM asked UNION ALL SELECT asked.turn, asked.code, a.alias FROM asked"
    f" JOIN {decided_with('asked.holder')}) SELECT DISTINCT q.turn FROM q"
    f" WHERE EXISTS (SELECT FROM license_registry.licence l WHERE l.holder = q.holder AND {_OF_CODE})"
    f" OR EXISTS (SELECT FROM {_SHARED} WHERE c.holder = q.holder AND {_OF_CODE})"
)
_OF_CODES = f"l.type_code = ANY($2) AND {_VALID.format(state='$3', day='$4')}"
_NEWEST = (
    "WITH asked AS (SELECT * FROM unnest($1::bytea[]) AS asked (holder)),"  # noqa: S608
    " q AS (SELECT holder AS asked, holder, false AS merged FROM asked"
    f" UNION ALL SELECT asked.holder, a.alias, true FROM asked JOIN {decided_with('asked.holder')})"
    " SELECT DISTINCT ON (q.asked) q.asked, q.merged, newest.* FROM q CROSS JOIN LATERAL"
    f" (SELECT {_COLUMNS} FROM license_registry.licence l WHERE l.holder = q.holder AND {_OF_CODES}"
    f" UNION ALL SELECT {_COLUMNS} FROM {_SHARED} WHERE c.holder = q.holder AND {_OF_CODES}"
    " ORDER BY issued_on DESC, issued_at DESC LIMIT 1) newest"
    " ORDER BY q.asked, newest.issued_on DESC, newest.issued_at DESC, q.merged"
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

    async def in_force(self, questions: Sequence[tuple[str, bytes]], day: date) -> list[bool]:
        """Tell in step whether somebody, alone or with others, holds a licence of a type that is valid on a day."""
        asked = [
            (turn, code, holder)
            for turn, (licence_type, holder) in enumerate(questions)
            for code in self._codes[licence_type]
        ]
        turns, codes, holders = ([each[column] for each in asked] for column in range(3))
        rows = await self._pool.fetch(_IN_FORCE, turns, codes, holders, State.VALID.value, day)
        held = {turn for (turn,) in rows}
        return [turn in held for turn in range(len(questions))]

    async def of_holders(
        self, licence_type: str, holders: Sequence[bytes], day: date
    ) -> dict[bytes, HeldLicence]:
        """Return holder → the newest licence of a type that they hold and that is valid on a day."""
        rows = await self._pool.fetch(
            _NEWEST, list(holders), self._codes[licence_type], State.VALID.value, day
        )
        return {
            row["asked"]: HeldLicence(
                row["division"], row["issued_at"], partial(self._opened, row), row["merged"]
            )
            for row in rows
        }

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
