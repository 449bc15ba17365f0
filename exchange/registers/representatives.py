"""Who represents an entity, by the credentials that name the representative with their citizen ID."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from exchange.registers.schemas import load_registers, opened
from foundation.sensitive import Vault

STATEMENT = """
SELECT subject, content, sealed, source FROM exchange.credential
WHERE content ->> 'holder_code' = $1 AND content ->> 'state' = '01' LIMIT 200
"""


@dataclass(frozen=True, slots=True)
class Named:
    """A representative as a credential in force names them: blind index of their citizen ID, and its source."""

    subject: bytes
    source: str


async def representatives(pool: Any, vault: Vault, code: str, day: date) -> list[Named]:
    """Return whom the credentials of an entity name as its representative that are in force on a day.

    A credential that names somebody without a citizen ID is passed over: a name alone is not a person.

    Args:
        code: USCC of the entity.
    """
    register = load_registers()["credentials"]
    found = []
    for subject, content, sealed, source in await pool.fetch(STATEMENT, code):
        ends = content.get("valid_to")
        if ends is not None and date.fromisoformat(ends) < day:
            continue
        person = opened(vault, register, subject, content, sealed).get("representative_id")
        if person:
            found.append(Named(vault.blind_index("citizen-id", person), source))
    return found
