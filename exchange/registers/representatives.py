"""Who represents an entity, by the credentials that name the representative with their citizen ID."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from exchange.registers.schemas import load_registers, opened
from foundation.sensitive import Vault

STATEMENT = """
SELECT q.code, found.* FROM unnest($1::text[]) AS q (code) CROSS JOIN LATERAL (
    SELECT subject, content, sealed, source FROM exchange.credential
    WHERE content ->> 'holder_code' = q.code AND content ->> 'state' = '01' LIMIT 200
) found
"""
ENTITIES_AT_ONCE = 50
"""Their credentials are opened while nothing else goes on."""


@dataclass(frozen=True, slots=True)
class Named:
    """A representative as a credential in force names them: blind index of their citizen ID, and its source."""

    subject: bytes
    source: str


async def representatives(pool: Any, vault: Vault, codes: Sequence[str], day: date) -> dict[str, list[Named]]:
    """Return entity → whom its credentials name as its representative that are in force on a day.

    A credential that names somebody without a citizen ID is passed over: a name alone is not a person.

    Args:
        codes: USCC of the entities, each once; who has no representative that is known stands there with none.
    """
    register = load_registers()["credentials"]
    named: dict[str, list[Named]] = {code: [] for code in codes}
    for first in range(0, len(codes), ENTITIES_AT_ONCE):
        rows = await pool.fetch(STATEMENT, codes[first : first + ENTITIES_AT_ONCE])
        for code, subject, content, sealed, source in rows:
            ends = content.get("valid_to")
            if ends is not None and date.fromisoformat(ends) < day:
                continue
            person = opened(vault, register, subject, content, sealed).get("representative_id")
            if person:
                named[code].append(Named(vault.blind_index("citizen-id", person), source))
    return named
