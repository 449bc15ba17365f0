"""One statement for the decision and the lookup: grants of the caller and the row of the subject together."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from exchange.registers.schemas import RegisterSchema
from foundation.grouping import Grouped


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant that names the caller and the resource, as found; whether it covers the request is decided later."""

    id: uuid.UUID
    fields: frozenset[str]
    matters: frozenset[str]
    purpose: str
    valid_from: datetime
    valid_until: datetime


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


@dataclass(frozen=True, slots=True)
class Found:
    """What one statement brings: the caller's grants for the resource and, if there is one, the subject's row."""

    grants: tuple[GrantRow, ...]
    row: RegisterRow | None


def statement(register: RegisterSchema) -> str:
    """Return the SQL for one register; $1 clients, $2 resources, $3 subjects, in step. A test checks its plan."""
    return (
        "SELECT q.turn, g.id, g.fields, g.matters, g.purpose, g.valid_from, g.valid_until,"
        " r.content, r.sealed, r.source, r.valid_from AS row_valid_from, r.version, r.provenance -> 'fields'"
        " FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY"
        " AS q (client_id, resource, subject, turn)"
        " LEFT JOIN exchange.share_grant g"
        " ON g.client_id = q.client_id AND g.resource = q.resource AND g.ended_at IS NULL"
        f" LEFT JOIN exchange.{register.table} r ON r.subject = q.subject"
    )


class Lookups:
    """Looks up grants and subjects; questions that run at the same moment share one round trip (`Grouped`).

    Args:
        pool: asyncpg pool; its connections keep the statements prepared.
    """

    def __init__(self, pool: Any, registers: Iterable[RegisterSchema]) -> None:
        self._by_register = {
            register.name: Grouped(partial(_find, pool, statement(register))) for register in registers
        }

    async def find(self, register: RegisterSchema, client_id: str, resource: str, subject: bytes) -> Found:
        """Return what there is for one question; `subject` is the blind index of the identifier."""
        return await self._by_register[register.name]((client_id, resource, subject))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the tasks that do the work."""
        async with contextlib.AsyncExitStack() as stack:
            for grouped in self._by_register.values():
                await stack.enter_async_context(grouped.running())
            yield


async def _find(pool: Any, sql: str, questions: list[tuple[str, str, bytes]]) -> list[Found]:
    clients, resources, subjects = zip(*questions, strict=True)
    grants: list[list[GrantRow]] = [[] for _ in questions]
    found: list[RegisterRow | None] = [None] * len(questions)
    for (
        turn, id_, fields, matters, purpose, valid_from, valid_until,
        content, sealed, source, row_valid_from, version, origins,
    ) in await pool.fetch(sql, clients, resources, subjects):  # fmt: skip
        if id_ is not None:
            grants[turn - 1].append(
                GrantRow(id_, frozenset(fields), frozenset(matters), purpose, valid_from, valid_until)
            )
        if version is not None:
            found[turn - 1] = RegisterRow(content, sealed, source, row_valid_from, version, origins)
    return [Found(tuple(given), row) for given, row in zip(grants, found, strict=True)]
