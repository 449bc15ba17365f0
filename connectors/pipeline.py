"""One connector run: the same code for the command line, the demonstration and Airflow."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
import psycopg

from connectors import cursors, quarantine
from connectors.comparison import compare
from connectors.gates import GateClosed, GateVerdict, Tally, judge
from connectors.mapping import Snapshot, SourceMapping
from connectors.mapping.ranks import lead_ranks
from connectors.measures import Measures
from connectors.normalise import TRANSFORMS
from connectors.quality import Finding, count_reasons
from connectors.ready import Preparer, Ready
from connectors.sources.raw import BadRow, Layout, Slice, SlicedSource, Source
from connectors.workers import making_ready
from exchange.registers import aliases
from exchange.registers.contributions import end_missing, find_missing, spare
from exchange.registers.joining import JoinReport, join, leave
from exchange.registers.lead import Rank
from exchange.registers.schemas import RegisterSchema, load_registers
from exchange.registers.tables import Merged, bring_in, changed_subjects, lock_register, prepare_staging
from foundation.civil import civil_date
from foundation.language import _
from foundation.memory import keep_freed_memory
from foundation.sensitive import Vault

BATCH_ROWS = 10_000
AHEAD = 2
"""Batches that may wait for the database while the next is prepared: bounds the memory."""
MOST_LAYOUTS = 1000

Settle = Callable[[psycopg.Connection, uuid.UUID, int, list[BadRow]], None]
"""What else belongs to the transaction of a batch: given the run, `RawBatch.end`, and its rows that stay behind."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. read = inserted + changed + unchanged + quarantined, always; `seconds` is wall time.

    Always but one: a run that a gate stopped wrote nothing. Its `read`, `reasons` and `findings` say what it found.

    Args:
        gates: verdicts of the gates of the source; empty if it has none.
        stopped: a gate closed, and nothing came in.
        ended: subjects that a snapshot no longer named.
        content: SHA-256 of the content, where it has one; with `rules` it tells whether the same came again.
        rules: SHA-256 of the mapping, the register's schema and this program's version.
        fields: field → what was measured of it (`measures.py`); the empty name is the row as a whole.
        same_as: the run that brought in this very content before: nothing had to be read again.
        layouts: per part how it was read: `part`, `format`, `encoding`, `delimiter`, and what of that was `detected`.
    """

    source: str
    run_id: str
    read: int
    inserted: int
    changed: int
    unchanged: int
    quarantined: int
    reasons: dict[str, int]
    findings: dict[str, int]
    seconds: float
    gates: list[GateVerdict] = field(default_factory=list)
    stopped: bool = False
    ended: int = 0
    layouts: list[dict[str, Any]] = field(default_factory=list)
    content: str = ""
    rules: str = ""
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    same_as: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def run(
    mapping: SourceMapping,
    origin: Source,
    *,
    database: str,
    vault: Vault,
    progress: Callable[[int], None] | None = None,
    batch_rows: int = BATCH_ROWS,
    sources_folder: Path | None = None,
    settle: Settle | None = None,
    workers: int = 0,
    beside: bool = False,
) -> Report:
    """Bring what a source has into its register.

    1. Note the run. If the last run of the source brought in this very content, there is nothing to do.
    2. Read a batch; decode, normalise and check it; blind its subjects and seal its sensitive fields.
    3. In one transaction: bad rows to quarantine, good rows to staging by COPY, merge, findings, cursor. The next
       batch is prepared meanwhile.
    4. After a snapshot: end the subjects that it no longer names, in one transaction, if they are few enough.
    5. Note the report.

    If the source has gates, 2 to 4 are one transaction: only what passes them is ever to be seen. Else dying in any
    step leaves the batches before it, whole. Running it again brings in the rest and finds the others unchanged, so a
    retry is always safe.

    Args:
        sources_folder: mappings of this city, which say who leads where another source speaks of the same subject.
        settle: called within the transaction of each batch, once its rows are merged or in quarantine.
        workers: processes that make rows ready beside this one, copies of it as it is now (`making_ready`); 0: none.
        beside: the origin is a range of the source; others are brought in at the same time.

    Raises:
        GateClosed: the file fell short of a gate of its source; says of which and by how much.
        SourceError: the file as a whole cannot be read (further), or changed after it was judged.
        WorkerDied: a worker came to an end, as by a system short of memory.
        psycopg.Error: the database went away; what was committed stays.
    """
    started = time.perf_counter()
    register = load_registers()[mapping.register_name]
    run_id = uuid.uuid4()
    today = civil_date(datetime.now(UTC))
    content = origin.digest()
    total = Report(
        mapping.source,
        str(run_id),
        0,
        0,
        0,
        0,
        0,
        {},
        {},
        0.0,
        content=content,
        rules=_rules(mapping, register),
    )
    preparer = Preparer(mapping, register, vault, run_id, today)
    with (
        making_ready(preparer, workers) as make_ready,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        cursors.begin_run(connection, run_id, mapping.source, origin.name, datetime.now(UTC), beside)
        same = _same(connection, mapping, total)
        if same is not None:
            same = replace(same, seconds=round(time.perf_counter() - started, 3))
            with connection.transaction():
                earlier = uuid.UUID(same.same_as)
                quarantine.put_again(connection, mapping.source, earlier, run_id, datetime.now(UTC))
                cursors.finish_run(connection, run_id, same.as_json(), datetime.now(UTC))
            return same
        prepare_staging(connection)
        aliases.prepare(connection)
        rank = lead_ranks(mapping, sources_folder)
        write = _Writer(connection, mapping, register, vault, run_id, content, rank, settle)
        tally = None if mapping.gates is None else Tally(mapping.gates)
        try:
            with contextlib.nullcontext() if tally is None else connection.transaction():
                if tally is not None:
                    lock_register(connection, register.table)
                after = cursors.where(connection, mapping.source)
                slices: Iterable[Slice] = (
                    origin.slices(batch_rows, after)
                    if isinstance(origin, SlicedSource)
                    else origin.batches(batch_rows, after)
                )
                total = _bring_in(make_ready(slices), write, tally, progress, total)
                if mapping.gates is not None and tally is not None:
                    figures = tally.figures(total.read, total.quarantined)
                    last = cursors.last_rows(connection, mapping.source)
                    total = _judged(total, judge(figures, mapping.gates, last, today), origin.name)
        except _Stopped as stopped:
            report = replace(stopped.report, seconds=round(time.perf_counter() - started, 3))
            cursors.finish_run(connection, run_id, report.as_json(), datetime.now(UTC))
            raise stopped.reason from None
        total = replace(total, seconds=round(time.perf_counter() - started, 3))
        cursors.finish_run(connection, run_id, total.as_json(), datetime.now(UTC))
    return total


def _rules(mapping: SourceMapping, register: RegisterSchema) -> str:
    parts = (mapping.model_dump(mode="json"), dict(register.schema), metadata.version("zhengtong"))
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _same(connection: psycopg.Connection, mapping: SourceMapping, total: Report) -> Report | None:
    """Return the report of bringing in again what the last run brought in, if there is nothing else to look at.

    What other registers say, and how old the data is, may have changed meanwhile: a source that asks is read again.
    """
    asks = mapping.compare or (mapping.gates is not None and mapping.gates.freshness)
    if not total.content or asks:
        return None
    last = cursors.run_of_same(connection, mapping.source, total.content, total.rules)
    if last is None:
        return None
    return replace(
        total,
        read=last["read"],
        unchanged=last["read"] - last["quarantined"],
        quarantined=last["quarantined"],
        reasons=last["reasons"],
        findings=last["findings"],
        gates=[GateVerdict(**verdict) for verdict in last["gates"]],
        layouts=last["layouts"],
        fields=last.get("fields", {}),
        same_as=last["run_id"],
    )


def _bring_in(
    batches: Iterable[tuple[Slice, Ready]],
    write: _Writer,
    tally: Tally | None,
    progress: Callable[[int], None] | None,
    total: Report,
) -> Report:
    """Write all batches, the next one being made ready while the database has the one before."""
    layouts: dict[str, Layout] = {}
    measures = Measures()
    unnamed = 0
    with _loading(), ThreadPoolExecutor(max_workers=1) as database_thread:
        waiting: deque[Future[Report]] = deque()
        for piece, ready in batches:
            if tally is not None:
                tally.add(ready.measured)
            measures.merge(ready.measures)
            unnamed += ready.unnamed
            if ready.layout is not None and len(layouts) < MOST_LAYOUTS:
                layouts.setdefault(ready.part, ready.layout)
            if len(waiting) >= AHEAD:
                total = _sum(total, waiting.popleft().result(), progress)
            waiting.append(database_thread.submit(write.batch, piece, ready))
        while waiting:
            total = _sum(total, waiting.popleft().result(), progress)
        if write.mapping.snapshot is not None:
            ending = database_thread.submit(write.end_missing, write.mapping.snapshot, unnamed).result()
            total = replace(total, ended=ending.ended, gates=ending.verdicts)
    return replace(
        total,
        layouts=[_told(part, layout) for part, layout in layouts.items()],
        fields=measures.by_field(total.reasons),
    )


def _judged(total: Report, verdicts: list[GateVerdict], file: str) -> Report:
    """Return the report with its verdicts.

    Raises:
        _Stopped: a gate closed.
    """
    closed = [str(verdict) for verdict in verdicts if not verdict.passed]
    if not closed:
        return replace(total, gates=verdicts + total.gates)
    reason = GateClosed(
        _("nothing of {file} was brought in; closed gates: {gates}"), file=file, gates=", ".join(closed)
    )
    nothing = replace(
        total, gates=verdicts, stopped=True, inserted=0, changed=0, unchanged=0, quarantined=0, ended=0
    )
    raise _Stopped(nothing, reason)


class _Stopped(Exception):
    """Ends the transaction of a run that a gate stopped."""

    def __init__(self, report: Report, reason: GateClosed) -> None:
        super().__init__()
        self.report = report
        self.reason = reason


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Fit the process for a load: no collector of cycles, and memory that was freed is kept for the next batch.

    A run makes no cycles, and looking for them costs it a tenth of its time. Giving each batch's memory back to the
    system and taking it again page by page costs a third.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    keep_freed_memory()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Ending:
    """How many subjects ended with a snapshot, and what was asked before."""

    ended: int
    verdicts: list[GateVerdict]


@dataclass(slots=True)
class _Writer:
    """Writes prepared batches, each in one transaction, always from the same thread.

    Args:
        all_new: the register knew no subject of the batch before: likely it knows none of the next.
    """

    connection: psycopg.Connection
    mapping: SourceMapping
    register: RegisterSchema
    vault: Vault
    run_id: uuid.UUID
    origin_digest: str
    rank: Rank
    settle: Settle | None
    all_new: bool = False

    def batch(self, piece: Slice, ready: Ready) -> Report:
        try:
            with self._transaction():
                return self._batch(piece, ready)
        except BaseException:
            # The next batch waits already, and nothing behind a failed one may come in.
            self.connection.close()
            raise

    def _transaction(self) -> contextlib.AbstractContextManager[object]:
        """Return a transaction of its own; within that of a run with gates there is nothing to add."""
        return contextlib.nullcontext() if self.mapping.gates is not None else self.connection.transaction()

    def _batch(self, piece: Slice, ready: Ready) -> Report:
        """Write a batch: rows, quarantine, findings, cursor."""
        connection, source, part, now = self.connection, self.mapping.source, ready.part, ready.now
        lock_register(connection, self.register.table)
        merged, joined = self._rows(ready)
        ambiguous = self._keep_aliases(ready, merged, joined)
        if ready.spared:
            spare(connection, ready.spared)
        bad = ready.bad + [
            BadRow(row, None, "conflict-within-source", piece.original(row)) for row in merged.conflicts
        ]
        if bad:
            quarantine.put(connection, self.vault, source, self.run_id, bad, now, part, ready.layout)
        if self.settle is not None:
            self.settle(connection, self.run_id, ready.end, bad)
        found = self._findings(ready, joined, ambiguous, frozenset(row.origin_row for row in bad))
        cursors.move(connection, source, self.run_id, self.origin_digest, ready.end, ready.cursor, now)
        return Report(
            source=source,
            run_id=str(self.run_id),
            read=len(ready.rows) + len(ready.bad) + ready.duplicates,
            inserted=merged.inserted,
            changed=merged.changed + joined.changed,
            unchanged=merged.unchanged + joined.unchanged + ready.duplicates,
            quarantined=len(bad),
            reasons=dict(count_reasons(bad)),
            findings=dict(Counter(finding.code for finding in found)),
            seconds=0.0,
        )

    def _rows(self, ready: Ready) -> tuple[Merged, JoinReport]:
        """Bring the rows into the register, and join those of whom other sources speak, too."""
        merged = bring_in(
            self.connection,
            self.register.table,
            ready.rows,
            source=self.mapping.source,
            run_id=self.run_id,
            now=ready.now,
            part=ready.part,
            expect_new=self.all_new,
        )
        self.all_new = merged.inserted == len(ready.rows)
        if not merged.shared:
            return merged, JoinReport(0, 0, ())
        joined = join(
            self.connection,
            self.vault,
            self.register,
            merged.shared,
            source=self.mapping.source,
            run_id=self.run_id,
            part=ready.part,
            rank=self.rank,
            now=ready.now,
        )
        return merged, joined

    def _keep_aliases(self, ready: Ready, merged: Merged, joined: JoinReport) -> list[int]:
        """Keep what other identifiers the rows name; return the rows whose other identifier is not theirs alone."""
        register = self.register
        if len(register.keys) == 1:
            return []
        namings = [*ready.namings, *joined.namings]
        changed = changed_subjects(self.connection) if merged.changed or merged.shared else []
        aliases.keep(self.connection, register, namings, changed, ready.now)
        if not namings:
            return []
        return aliases.ambiguous_rows(self.connection, register, self.run_id, ready.part)

    def _findings(
        self, ready: Ready, joined: JoinReport, ambiguous: list[int], left_out: frozenset[int]
    ) -> list[Finding]:
        """Store what a steward should know of the rows that came in; return that and what was transformed."""
        found = ready.findings + compare(self.connection, self.vault, self.mapping.compare, ready.compared)
        found += [Finding(row, name, "differs-from-lead-source") for row, name in joined.differing]
        other_key = self.register.keys[-1][1][0]
        found += [Finding(row, other_key, "identifier-of-several") for row in ambiguous]
        found = [finding for finding in found if finding.origin_row not in left_out]
        if found:
            rows = sorted({(f.origin_row, f.field, f.code) for f in found if f.code not in TRANSFORMS})
            cursors.add_findings(self.connection, self.run_id, ready.part, rows)
        return found

    def end_missing(self, snapshot: Snapshot, unnamed: int) -> _Ending:
        """End whom the snapshot does not name, unless these are too many or a row does not say whose it is."""
        now = datetime.now(UTC)
        table = self.register.table
        with self._transaction():
            lock_register(self.connection, table)
            gone, known = find_missing(self.connection, table, self.mapping.source, self.run_id)
            share = gone / known if known else 0.0
            verdicts = [
                GateVerdict("snapshot.unnamed_rows", unnamed, 0, unnamed == 0),
                GateVerdict(
                    "snapshot.ended_share", share, snapshot.ended_share, share <= snapshot.ended_share
                ),
            ]
            if not all(verdict.passed for verdict in verdicts):
                return _Ending(0, verdicts)
            left, namings = leave(
                self.connection, self.vault, self.register, self.mapping.source, self.rank, now
            )
            aliases.keep(self.connection, self.register, namings, left, now)
            aliases.end_of_gone(self.connection, self.register, now)
            return _Ending(end_missing(self.connection, table, now), verdicts)


def _told(part: str, layout: Layout) -> dict[str, Any]:
    told = asdict(layout)
    del told["columns"]
    return {"part": part, **told}


def _sum(total: Report, part: Report, progress: Callable[[int], None] | None) -> Report:
    if progress is not None:
        progress(part.read)
    return replace(
        total,
        read=total.read + part.read,
        inserted=total.inserted + part.inserted,
        changed=total.changed + part.changed,
        unchanged=total.unchanged + part.unchanged,
        quarantined=total.quarantined + part.quarantined,
        reasons=dict(Counter(total.reasons) + Counter(part.reasons)),
        findings=dict(Counter(total.findings) + Counter(part.findings)),
    )
