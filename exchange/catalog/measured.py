"""How fresh and how good a resource is, measured: from the reports of the connector runs of its lead sources.

A query module: it reads `exchange.ingest_run`, which the connectors write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.catalog.changes import duration
from exchange.catalog.resource import ReadsFrom, Resource

# A delivery: read to its end, not stopped by a gate, and no rows of the quarantine read again.
_DELIVERIES = (
    " FROM exchange.ingest_run WHERE source = ANY($1) AND finished_at IS NOT NULL AND report IS NOT NULL"
    " AND NOT starts_with(origin, 'quarantine/') AND NOT coalesce((report->>'stopped')::boolean, false)"
)
_LATEST = f"SELECT DISTINCT ON (source) source, finished_at{_DELIVERIES} ORDER BY source, finished_at DESC"
_MEASURED = (
    "SELECT DISTINCT ON (source) source, (report->>'read')::bigint AS read,"
    f" (report->>'quarantined')::bigint AS quarantined, report->'fields' AS fields{_DELIVERIES}"
    " AND report->'fields' <> '{}'::jsonb ORDER BY source, finished_at DESC"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The last delivery of a source.

    Args:
        at: when it was brought in to its end.
        read, quarantined: rows of the last delivery that was measured; None where none was.
        fields: field → `good` and `present` rows of it.
    """

    at: datetime
    read: int | None
    quarantined: int | None
    fields: Mapping[str, Mapping[str, Any]]


async def deliveries(pool: Any, sources: Iterable[str]) -> dict[str, Delivery]:
    """Return the last delivery of each source that ever delivered."""
    wanted = sorted(set(sources))
    measured = {row["source"]: row for row in await pool.fetch(_MEASURED, wanted)}
    found = {}
    for row in await pool.fetch(_LATEST, wanted):
        of = measured.get(row["source"])
        found[row["source"]] = Delivery(
            row["finished_at"],
            None if of is None else of["read"],
            None if of is None else of["quarantined"],
            {} if of is None else of["fields"],
        )
    return found


def sources_of(resource: Resource) -> frozenset[str]:
    """Return the sources that lead a field of a resource which is read from a register."""
    if resource.reads_from != ReadsFrom.REGISTER:
        return frozenset()
    return frozenset(each.lead_source for each in resource.details.values())


@dataclass(frozen=True, slots=True)
class Freshness:
    """What was promised, and when each lead source last delivered.

    Args:
        kept: every lead source delivered within what was promised; None where nothing was promised, or the values
            are read where they arise.
    """

    promised: str | None
    delivered: Mapping[str, datetime | None]
    kept: bool | None


def freshness(resource: Resource, found: Mapping[str, Delivery], now: datetime) -> Freshness:
    """Hold the promise of a resource against the deliveries of its lead sources."""
    delivered = {name: found[name].at if name in found else None for name in sorted(sources_of(resource))}
    if resource.freshness is None or not delivered:
        return Freshness(resource.freshness, delivered, None)
    oldest = now - duration(resource.freshness)
    kept = all(at is not None and at >= oldest for at in delivered.values())
    return Freshness(resource.freshness, delivered, kept)


def quality(resource: Resource, found: Mapping[str, Delivery]) -> dict[str, Any]:
    """Return the rows of the last delivery per lead source, read and left behind, and per field how complete it was.

    Completeness is the share of good rows that have a value; None where it was not measured.
    """
    sources = {
        name: {"read": found[name].read, "quarantined": found[name].quarantined}
        for name in sorted(sources_of(resource) & found.keys())
    }
    completeness: dict[str, float | None] = {}
    for each in resource.details.values():
        counts = found[each.lead_source].fields.get(each.name) if each.lead_source in found else None
        good = 0 if counts is None else counts["good"]
        completeness[each.name] = None if counts is None or not good else round(counts["present"] / good, 6)
    return {"sources": sources, "completeness": completeness}
