"""How the quality of a source changed: its deliveries of some days, field by field, beside those of the days before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from connectors.cursors import REPLAY
from connectors.deadlines import missed


@dataclass(frozen=True, slots=True)
class Change:
    """A share before and now; None where there was nothing to measure it by.

    Args:
        difference: now less before.
    """

    previous: float | None
    now: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class FieldTrend:
    """A field, or the row as a whole.

    Args:
        completeness: share of the good rows that have it; None for the row as a whole.
        valid: share of the rows read that did not stay behind because of it.
        transformed: code → share of the good rows in which normalising changed it so.
        quarantined: reason → share of the rows read that stayed behind because of it.
        findings: code → share of the good rows with that finding.
    """

    completeness: Change | None
    valid: Change
    transformed: Mapping[str, Change]
    quarantined: Mapping[str, Change]
    findings: Mapping[str, Change]


@dataclass(frozen=True, slots=True)
class Period:
    """The deliveries that began from `since` on and before `until`: how many, rows read, and how many were late."""

    since: datetime
    until: datetime
    runs: int
    read: int
    late: int


@dataclass(frozen=True, slots=True)
class Trend:
    """A source over some days and over as many before; the empty name among the fields is the row as a whole."""

    source: str
    previous: Period
    now: Period
    fields: Mapping[str, FieldTrend]


def trend(connection: Connection, source: str, over: timedelta, until: datetime) -> Trend:
    """Return how a source changed over a span of time that ends at `until`.

    Counted are deliveries that were read to their end and measured, also those that a gate stopped: not replays of
    rows that wait, nor content that was known already.
    """
    middle = until - over
    before = _counts(connection, source, middle - over, middle)
    now = _counts(connection, source, middle, until)
    names = sorted(
        before.present.keys() | now.present.keys() | {name for name, _ in _all(before) | _all(now)}
    )
    earlier, later = (
        len(missed(connection, source, since, since + over)) for since in (middle - over, middle)
    )
    return Trend(
        source,
        Period(middle - over, middle, before.runs, before.read, earlier),
        Period(middle, until, now.runs, now.read, later),
        {name: _field(before, now, name) for name in names},
    )


@dataclass(slots=True)
class _Counts:
    """Sums over the runs of a period; the last three by field and code."""

    runs: int = 0
    read: int = 0
    good: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    transformed: Counter[tuple[str, str]] = field(default_factory=Counter)
    quarantined: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)


def _counts(connection: Connection, source: str, since: datetime, until: datetime) -> _Counts:
    counts = _Counts()
    runs = connection.execute(
        "SELECT id, (report->>'read')::bigint, report->'fields' FROM exchange.ingest_run WHERE source = %s"
        " AND started_at >= %s AND started_at < %s AND report ? 'fields' AND report->>'same_as' IS NULL"
        " AND NOT starts_with(origin, %s)",
        [source, since, until, REPLAY],
    ).fetchall()
    for _id, read, fields in runs:
        counts.runs += 1
        counts.read += read
        for name, measured in fields.items():
            counts.good[name] += measured["good"]
            counts.present[name] += measured["present"]
            _add(counts.transformed, name, measured["transformed"])
            _add(counts.quarantined, name, measured["quarantined"])
    for name, code, count in connection.execute(
        "SELECT field, code, count(*) FROM exchange.finding WHERE run_id = ANY(%s) GROUP BY field, code",
        [[run[0] for run in runs]],
    ):
        counts.findings[name, code] += count
    return counts


def _add(sums: Counter[tuple[str, str]], name: str, codes: Mapping[str, Any]) -> None:
    for code, count in codes.items():
        sums[name, code] += count


def _all(counts: _Counts) -> set[tuple[str, str]]:
    return counts.transformed.keys() | counts.quarantined.keys() | counts.findings.keys()


def _field(before: _Counts, now: _Counts, name: str) -> FieldTrend:
    good = (before.good[name], now.good[name])
    read = (before.read, now.read)
    complete = _change((before.present[name], now.present[name]), good)
    stayed = [sum(_of(counts.quarantined, name).values()) for counts in (before, now)]
    return FieldTrend(
        completeness=complete if name else None,
        valid=_change((before.read - stayed[0], now.read - stayed[1]), read),
        transformed=_changes(_of(before.transformed, name), _of(now.transformed, name), good),
        quarantined=_changes(_of(before.quarantined, name), _of(now.quarantined, name), read),
        findings=_changes(_of(before.findings, name), _of(now.findings, name), good),
    )


def _of(sums: Mapping[tuple[str, str], int], name: str) -> Counter[str]:
    return Counter({code: count for (of, code), count in sums.items() if of == name})


def _changes(first: Counter[str], second: Counter[str], rows: tuple[int, int]) -> dict[str, Change]:
    return {code: _change((first[code], second[code]), rows) for code in sorted(first.keys() | second.keys())}


def _change(counts: tuple[int, int], rows: tuple[int, int]) -> Change:
    previous, now = (count / of if of else None for count, of in zip(counts, rows, strict=True))
    return Change(previous, now, None if previous is None or now is None else now - previous)
