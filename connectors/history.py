"""How the deliveries of a source were over time: from the reports of its runs, its findings and what still waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from connectors.cursors import REPLAY


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a source.

    Args:
        read: None for a run that did not come to its end; so are the shares.
        quarantined_share: of the rows read, those that could not be brought in; also where a gate stopped the run.
        replay: it read rows in quarantine again, and was no delivery.
        stopped: a gate closed, and nothing came in.
        closed: names of the gates that closed.
    """

    run_id: str
    origin: str
    started_at: datetime
    finished_at: datetime | None
    read: int | None
    quarantined_share: float | None
    reasons: Mapping[str, int]
    replay: bool
    stopped: bool
    closed: list[str]


@dataclass(frozen=True, slots=True)
class History:
    """Runs of a source, the latest first, and what was found in them field by field.

    Args:
        faults: field (empty: the row as a whole) → reason → rows that wait now.
        findings: field → code → rows of the runs named.
    """

    source: str
    runs: list[RunSummary]
    faults: Mapping[str, Mapping[str, int]]
    findings: Mapping[str, Mapping[str, int]]


def history(connection: Connection, source: str, runs: int) -> History:
    """Return the last `runs` runs of a source; none where it never ran."""
    rows = connection.execute(
        "SELECT id, origin, started_at, finished_at, report FROM exchange.ingest_run WHERE source = %s"
        " ORDER BY started_at DESC LIMIT %s",
        [source, runs],
    ).fetchall()
    faults = connection.execute(
        "SELECT coalesce(field, ''), reason, count(*) FROM exchange.quarantine WHERE source = %s"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [source],
    )
    findings = connection.execute(
        "SELECT field, code, count(*) FROM exchange.finding WHERE run_id = ANY(%s) GROUP BY 1, 2 ORDER BY 1, 2",
        [[row[0] for row in rows]],
    )
    return History(source, [_summary(*row) for row in rows], _by_field(faults), _by_field(findings))


def _summary(
    run_id: Any, origin: str, started: datetime, finished: datetime | None, report: dict[str, Any] | None
) -> RunSummary:
    report = report or {}
    read = report.get("read")
    reasons: dict[str, int] = report.get("reasons", {})
    return RunSummary(
        run_id=str(run_id),
        origin=origin,
        started_at=started,
        finished_at=finished,
        read=read,
        quarantined_share=sum(reasons.values()) / read if read else None,
        reasons=reasons,
        replay=origin.startswith(REPLAY),
        stopped=bool(report.get("stopped")),
        closed=[gate["name"] for gate in report.get("gates", []) if not gate["passed"]],
    )


def _by_field(rows: Iterable[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for field, code, count in rows:
        found.setdefault(field, {})[code] = count
    return found
