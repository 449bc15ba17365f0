"""Holders of licences through time, by the registers of the exchange and their history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from exchange.registers.schemas import RegisterSchema, load_registers, place
from foundation.sensitive import Vault
from license_registry.linked_change.follow import HolderFacts

_REGISTERS = {"111": "persons", "001": "legal_entities"}


class FollowedRegisters:
    """Versions and facts of people and legal entities, by the blind indexes that both sides share."""

    def __init__(self, pool: Any, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def versions(self, code_type: str, subjects: Sequence[bytes]) -> list[int | None]:
        """Return in step the version at which somebody stands now, None for who is not in the register."""
        register = load_registers()[_REGISTERS[code_type]]
        rows = await self._pool.fetch(
            f"SELECT subject, version FROM exchange.{register.table} WHERE subject = ANY($1)",  # noqa: S608
            list(subjects),
        )
        found: dict[bytes, int] = {row["subject"]: row["version"] for row in rows}
        return [found.get(subject) for subject in subjects]

    async def facts(
        self, code_type: str, asked: Sequence[tuple[bytes, datetime | None]]
    ) -> list[HolderFacts | None]:
        """Return in step what the register held of somebody at a moment (None: holds now), None for nothing.

        Raises:
            SealBroken: a row of the register was altered.
        """
        if not asked:
            return []
        register = load_registers()[_REGISTERS[code_type]]
        subjects, moments = zip(*asked, strict=True)
        found: list[HolderFacts | None] = [None] * len(asked)
        for row in await self._pool.fetch(_at(register.table), subjects, moments):
            found[row["turn"] - 1] = self._facts(register, row)
        return found

    def _facts(self, register: RegisterSchema, row: Any) -> HolderFacts:
        record: dict[str, Any] = dict(row["content"])
        if row["sealed"] is not None:
            record |= orjson.loads(self._vault.open(row["sealed"], place(register.table, row["subject"])))
        return HolderFacts(
            version=row["version"],
            since=row["valid_from"],
            name=record.get("name"),
            address=record.get("address"),
            representative=record.get("representative_name"),
            dead=record.get("status") == "dead",
        )


def _at(table: str) -> str:
    columns = "content, sealed, version, valid_from"
    return (
        "SELECT q.turn, q.subject, v.content, v.sealed, v.version, v.valid_from"  # noqa: S608 -- names of our own tables
        " FROM unnest($1::bytea[], $2::timestamptz[]) WITH ORDINALITY AS q (subject, moment, turn)"
        f" CROSS JOIN LATERAL (SELECT {columns} FROM exchange.{table} r"
        " WHERE r.subject = q.subject AND r.valid_from <= coalesce(q.moment, 'infinity')"
        f" UNION ALL SELECT {columns} FROM exchange.{table}_history h"
        " WHERE h.subject = q.subject AND h.valid_from <= q.moment AND q.moment < h.valid_until) AS v"
    )
