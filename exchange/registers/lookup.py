"""The row of a subject, by its blind index: one indexed statement for all requests of the same moment.

A subject that the register has no row of may be another identifier of one that it has (`aliases.py`): the same
statement finds both.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from exchange.registers.schemas import RegisterSchema
from foundation.grouping import Grouped


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """A subject's current row: still sealed, until a decision allows opening it.

    Args:
        subject: that the row stands under, and opens under.
        fields: where several sources speak of the subject: field → the source it comes from; else None.
        merged: it was asked for by another identifier than its own, and an alias was followed.
    """

    subject: bytes
    content: dict[str, Any]
    sealed: bytes | None
    source: str
    valid_from: datetime
    version: int
    fields: dict[str, Any] | None = None
    merged: bool = False

    def sources(self, names: Iterable[str]) -> str:
        """Return the source that the values of these fields come from; if several, all, in order of their names."""
        if self.fields is None:
            return self.source
        found = {self.fields[name]["source"] for name in names if name in self.fields}
        return ", ".join(sorted(found)) or self.source


_REST = "r.sealed, r.source, r.valid_from, r.version, r.provenance -> 'fields'"
# Hidden from the planner, the subjects cannot tempt it to plan anew for each question: that costs more than looking.
_ALIASES = (
    "a AS MATERIALIZED (SELECT alias, subject FROM exchange.alias"
    " WHERE alias = ANY((SELECT $1::bytea[])::bytea[]))"
)
_LEADS = "UNION ALL SELECT subject, NULL, NULL, NULL, NULL, NULL, NULL, alias FROM a"


def statement(register: RegisterSchema) -> str:
    """Return the SQL for one register; $1 subjects. A test checks its plan.

    Rows, those that aliases lead to among them, and which alias leads to which.
    """
    return (
        f"WITH {_ALIASES} SELECT r.subject, r.content, {_REST}, NULL::bytea AS alias"
        f" FROM exchange.{register.table} r WHERE r.subject = ANY($1::bytea[] || ARRAY(SELECT subject FROM a)) {_LEADS}"
    )


def statement_for_many(register: RegisterSchema) -> str:
    """Return the same for thousands of subjects, $1, each once; $2: with their clear part.

    The clear part costs as much to read as all else.
    A join, row by row: each subject walks the index of its own partition, not those of all.
    """
    return (
        f"WITH {_ALIASES} SELECT r.subject, CASE WHEN $2::boolean THEN r.content END, {_REST},"
        " NULL::bytea AS alias FROM (SELECT unnest($1::bytea[]) UNION SELECT subject FROM a) AS q (subject)"
        f" JOIN exchange.{register.table} r ON r.subject = q.subject {_LEADS}"
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


async def find_many(
    pool: Any, register: RegisterSchema, subjects: Iterable[bytes], *, in_clear: bool = True
) -> dict[bytes, RegisterRow]:
    """Return subject → row of those of many subjects that a register knows, by these or other identifiers.

    Args:
        in_clear: with the clear part of each row; else it is empty.
    """
    asked = list(dict.fromkeys(subjects))
    if not asked:
        return {}
    rows = await pool.fetch(statement_for_many(register), asked, in_clear)
    return {
        subject: row for subject, row in zip(asked, _resolved(rows, asked), strict=True) if row is not None
    }


async def _find(pool: Any, sql: str, subjects: list[bytes]) -> list[RegisterRow | None]:
    return _resolved(await pool.fetch(sql, subjects), subjects)


def _resolved(rows: Iterable[Any], subjects: Sequence[bytes]) -> list[RegisterRow | None]:
    """Return the row of each subject: its own, or else the only one that its aliases lead to."""
    own: dict[bytes, RegisterRow] = {}
    leads: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for subject, content, sealed, source, valid_from, version, origins, alias in rows:
        if alias is None:
            own[subject] = RegisterRow(subject, content or {}, sealed, source, valid_from, version, origins)
        else:
            leads[alias].add(subject)
    if not leads:
        return [own.get(subject) for subject in subjects]
    found: list[RegisterRow | None] = []
    for subject in subjects:
        row = own.get(subject)
        if row is None:
            others = [own[other] for other in leads.get(subject, ()) if other in own]
            row = replace(others[0], merged=True) if len(others) == 1 else None
        found.append(row)
    return found
