"""Following what becomes of licences: the events that issue one or change its state, in the order of the log.

An event has its place in the log once the sequencer gave it one, half a second after it happened, and keeps it: who has
read up to a place has read all before it, whatever transactions were under way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from license_registry.catalog.licence_type import type_of
from license_registry.catalog.types import CO_HOLDERS
from license_registry.issuing.request import holder_subject
from license_registry.lifecycle.states import VERSIONING, Operation, State
from license_registry.ports import Registry

KINDS = ("issued", "state-changed")


@dataclass(frozen=True, slots=True)
class Befallen:
    """What befell a licence.

    Args:
        operation: None: what the event said has been erased by law.
        replaces: it is the new version of another.
        holders: blind index → code of the holder, None where it was not asked for.
    """

    type_code: str
    operation: Operation | None
    state: State | None
    replaces: bool
    holders: Mapping[bytes, str | None]
    division: str | None
    happened_at: datetime


_BETWEEN = """
SELECT v.kind, v.content, v.recorded_at, l.type_code, l.division, l.holder, l.related_identifier, l.identifier,
    l.type_version, l.sealed,
    ARRAY(SELECT c.holder FROM license_registry.co_holder c WHERE c.identifier = l.identifier) AS co_holders
FROM ledger.entry e
JOIN license_registry.event v ON v.entry = e.entry AND v.kind IN ('issued', 'state-changed')
JOIN license_registry.licence l ON l.identifier = v.identifier
WHERE e.leaf_index > $1 AND e.leaf_index <= $2 AND l.type_code = ANY($3)
ORDER BY e.leaf_index
"""


async def head(registry: Registry) -> int:
    """Return the place of the last entry of the log; -1 for an empty log."""
    found: int = await registry.pool.fetchval("SELECT coalesce(max(leaf_index), -1) FROM ledger.entry")
    return found


async def between(
    registry: Registry, position: int, upto: int, type_codes: Collection[str], *, identified: bool
) -> list[Befallen]:
    """Return what befell licences of these types at places above `position` up to `upto`, in their order.

    Args:
        identified: with the code of each holder.

    Raises:
        SealBroken: a licence's fields were altered.
    """
    rows = await registry.pool.fetch(_BETWEEN, position, upto, list(type_codes))
    return [_befallen(registry, row, identified=identified) for row in rows]


def _befallen(registry: Registry, row: Any, *, identified: bool) -> Befallen:
    told: dict[str, Any] = {} if row["content"] is None else orjson.loads(row["content"])
    operation: Operation | None
    state: State | None
    if row["kind"] == "issued":
        operation, state = Operation.ISSUE, State.VALID
    else:
        operation = Operation(told["operation"]) if "operation" in told else None
        state = State(told["state_after"]) if "state_after" in told else None
    holders: dict[bytes, str | None] = dict.fromkeys((row["holder"], *row["co_holders"]))
    if identified:
        holders |= _codes(registry, row, holders.keys())
    return Befallen(
        type_code=row["type_code"],
        operation=operation,
        state=state,
        replaces=row["related_identifier"] is not None,
        holders=holders,
        division=row["division"],
        happened_at=row["recorded_at"],
    )


def _codes(registry: Registry, row: Any, holders: Collection[bytes]) -> dict[bytes, str]:
    fields = orjson.loads(registry.vault.open(row["sealed"], row["identifier"].encode()))
    code_type = type_of(registry.types, row["type_code"], row["type_version"]).holder_code_type
    found = {}
    for each in (fields, *(fields.get(CO_HOLDERS) or ())):
        code = each.get("holder_code")
        if code is not None:
            subject, _born = holder_subject(registry.vault, code_type, str(code))
            # The fields may name somebody whom the index does not: nobody is told of them.
            if subject in holders:
                found[subject] = str(code)
    return found


def is_end_of_version(befallen: Befallen) -> bool:
    """Tell whether it is only that a new version took the place: the new one's issue tells of the licence."""
    return befallen.operation in VERSIONING
