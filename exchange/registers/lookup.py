"""The row of a subject, by its blind index: one indexed statement for all requests of the same moment."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from exchange.registers.schemas import RegisterSchema
from foundation.grouping import Grouped


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """A subject's current row: still sealed, until a decision allows opening it.

    Args:
        fields: where several sources speak of the subject: field → the source it comes from; else None.
    """

    content: dict[str, Any]
    sealed: bytes | None
    source: str
    valid_from: datetime
    version: int
    fields: dict[str, Any] | None = None

    def sources(self, names: Iterable[str]) -> str:
        """Return the source that the values of these fields come from; if several, all, in order of their names."""
        if self.fields is None:
            return self.source
        found = {self.fields[name]["source"] for name in names if name in self.fields}
        return ", ".join(sorted(found)) or self.source


def statement(register: RegisterSchema) -> str:
    """Return the SQL for one register; $1 subjects. A test checks its plan."""
    return (
        "SELECT r.subject, r.content, r.sealed, r.source, r.valid_from, r.version, r.provenance -> 'fields'"
        f" FROM exchange.{register.table} r WHERE r.subject = ANY($1::bytea[])"
    )


class Lookups:
    """Looks up subjects; questions that run at the same moment share one round trip (`Grouped`).

    Args:
        pool: asyncpg pool; its connections keep the statements prepared.
    """

    def __init__(self, pool: Any, registers: Iterable[RegisterSchema]) -> None:
        self._by_register = {
            register.name: Grouped(partial(_find, pool, statement(register))) for register in registers
        }

    async def find(self, register: RegisterSchema, subject: bytes) -> RegisterRow | None:
        """Return the row of a subject, None if the register has none; `subject` is the blind index.

        What describes fields that stand in no register here has no table, and no rows.
        """
        if not register.table:
            return None
        return await self._by_register[register.name](subject)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks that do the work."""
        async with contextlib.AsyncExitStack() as stack:
            for grouped in self._by_register.values():
                await stack.enter_async_context(grouped.running())
            yield


async def _find(pool: Any, sql: str, subjects: list[bytes]) -> list[RegisterRow | None]:
    found = {
        subject: RegisterRow(content, sealed, source, valid_from, version, origins)
        for subject, content, sealed, source, valid_from, version, origins in await pool.fetch(sql, subjects)
    }
    return [found.get(subject) for subject in subjects]
