"""Holders of licences, looked up in the registers of the exchange: the registry itself knows nothing of those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from exchange.registers.schemas import load_registers, place
from foundation.sensitive import Vault
from license_registry.ports import KnownHolder

# People who died stay in their register with that status; entities leave it, and stand in its history only.
_PEOPLE = "SELECT subject, content, sealed, false AS ended FROM exchange.person WHERE subject = ANY($1)"
_ENTITIES = (
    "SELECT subject, content, sealed, false AS ended FROM exchange.legal_entity WHERE subject = ANY($1)"
    " UNION ALL SELECT * FROM (SELECT DISTINCT ON (h.subject) h.subject, h.content, h.sealed, true"
    " FROM exchange.legal_entity_history h WHERE h.subject = ANY($1)"
    " AND NOT EXISTS (SELECT FROM exchange.legal_entity c WHERE c.subject = h.subject)"
    " ORDER BY h.subject, h.version DESC) gone"
)
_BY_CODE_TYPE = {"111": ("persons", _PEOPLE), "001": ("legal_entities", _ENTITIES)}


class RegisteredHolders:
    """People and legal entities of the registers, by the blind indexes that both sides share."""

    def __init__(self, pool: Any, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def find(self, code_type: str, subjects: Sequence[bytes]) -> list[KnownHolder | None]:
        """Return in step who is behind these blind indexes, None for nobody.

        Raises:
            SealBroken: a row of the register was altered.
        """
        register, statement = _BY_CODE_TYPE[code_type]
        schema = load_registers()[register]
        found: dict[bytes, KnownHolder] = {}
        for row in await self._pool.fetch(statement, subjects):
            record: dict[str, Any] = dict(row["content"])
            if "name" not in record and row["sealed"] is not None:
                record |= orjson.loads(self._vault.open(row["sealed"], place(schema.table, row["subject"])))
            dead = record.get("status") == "dead"
            found[row["subject"]] = KnownHolder(
                record["name"], "dead" if dead else "ended" if row["ended"] else "living"
            )
        return [found.get(subject) for subject in subjects]
