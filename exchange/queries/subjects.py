"""What is known of a subject, wherever the resource reads from: still closed, until a decision allows opening it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from exchange.catalog.document import LICENCE_PREFIX
from exchange.catalog.resource import ReadsFrom
from exchange.grants.scope import division_of
from exchange.ports import Exchange
from exchange.queries.authorise import Prepared
from exchange.registers.schemas import opened
from foundation.civil import civil_date


@dataclass(frozen=True, slots=True)
class Known:
    """A subject that is known.

    Args:
        division: where it is (6 digits), for grants that are limited to divisions.
        as_of: since when what is known of it stands so.
        values: opens it and returns all fields in clear.
        sources: returns the source that the values of some fields come from; if several, all.
        subject: blind index of its own identifier.
        merged: it was asked about by another, and an alias was followed.
    """

    division: str | None
    as_of: datetime
    values: Callable[[], Mapping[str, Any]]
    sources: Callable[[Iterable[str]], str]
    subject: bytes
    merged: bool = False


async def find(exchange: Exchange, prepared: Prepared, now: datetime) -> Known | None:
    """Return what is known of the subject of a question; None for nothing.

    Of a licence type that is the newest licence that the subject holds and that is in force today.
    """
    resource = prepared.resource
    if resource.reads_from == ReadsFrom.LICENCES:
        kind = resource.id.removeprefix(LICENCE_PREFIX)
        found = await exchange.licences.of_holders(kind, [prepared.subject], civil_date(now))
        held = found.get(prepared.subject)
        if held is None:
            return None
        return Known(
            held.division,
            held.issued_at,
            held.values,
            lambda _names: resource.lead_source,
            prepared.subject,
            held.merged,
        )
    register = resource.register
    row = await exchange.lookups.find(register, prepared.subject)
    if row is None:
        return None
    values = partial(opened, exchange.vault, register, row.subject, row.content, row.sealed)
    division = division_of(register.name, row.content)
    return Known(division, row.valid_from, values, row.sources, row.subject, row.merged)
