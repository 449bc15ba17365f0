"""One connector run: the same code for the command line, the demonstration and Airflow."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from connectors.normalise import TRANSFORMS
from connectors.quality import Checked, Checker, Finding, count_reasons
from connectors.sources.raw import BadRow, Layout, RawBatch, Source
from exchange.registers.contributions import end_missing, find_missing, spare
from exchange.registers.joining import JoinReport, join, leave
from exchange.registers.lead import Rank
from exchange.registers.schemas import RegisterSchema, load_registers, place
from exchange.registers.tables import StagedRow, lock_register, merge, prepare_staging, stage
from foundation.civil import civil_date
from foundation.language import _
from foundation.memory import keep_freed_memory
from foundation.sensitive import Vault

BATCH_ROWS = 10_000
AHEAD = 2
"""Batches that may wait for the database while the next is prepared: bounds the memory."""
MOST_LAYOUTS = 1000

Settle = Callable[[psycopg.Connection, uuid.UUID, RawBatch, list[BadRow]], None]
"""What else belongs to the transaction of a batch: given the run, the batch, and its rows that stay behind."""


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
    same_as: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch ready for the database: nothing in it is still to be computed."""

    staged: list[StagedRow]
    raw_by_row: dict[int, bytes]
    bad: list[BadRow]
    findings: list[Finding]
    duplicates: int
    subjects: list[bytes]
    spared: list[bytes]
    batch: RawBatch


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
        beside: the origin is a range of the source; others are brought in at the same time.

    Raises:
        GateClosed: the file fell short of a gate of its source; says of which and by how much.
        SourceError: the file as a whole cannot be read (further), or changed after it was judged.
        psycopg.Error: the database went away; what was committed stays.
    """
    started = time.perf_counter()
    register = load_registers()[mapping.register_name]
    run_id = uuid.uuid4()
    checker = Checker(mapping, register, civil_date(datetime.now(UTC)))
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
    with psycopg.connect(database, autocommit=True) as connection:
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
        rank = lead_ranks(mapping, sources_folder)
        write = _Writer(connection, mapping, register, vault, run_id, content, rank, settle)
        tally = None if mapping.gates is None else Tally(mapping.gates)
        try:
            with contextlib.nullcontext() if tally is None else connection.transaction():
                if tally is not None:
                    lock_register(connection, register.table)
                after = cursors.where(connection, mapping.source)
                total = _bring_in(origin.batches(batch_rows, after), checker, write, tally, progress, total)
                if mapping.gates is not None and tally is not None:
                    figures = tally.figures(total.read, total.quarantined)
                    last = cursors.last_rows(connection, mapping.source)
                    total = _judged(total, judge(figures, mapping.gates, last, checker.today), origin.name)
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
        same_as=last["run_id"],
    )


def _bring_in(
    batches: Iterator[RawBatch],
    checker: Checker,
    write: _Writer,
    tally: Tally | None,
    progress: Callable[[int], None] | None,
    total: Report,
) -> Report:
    """Check and write all batches, the next one while the database has the one before."""
    layouts: dict[str, Layout] = {}
    unnamed = 0
    with _loading(), ThreadPoolExecutor(max_workers=1) as database_thread:
        waiting: deque[Future[Report]] = deque()
        for batch in batches:
            checked = checker.check(batch)
            prepared = _prepare(checked, write.register, write.vault, batch)
            if tally is not None:
                tally.add(checked, prepared.subjects)
            unnamed += checked.unnamed
            if batch.layout is not None and len(layouts) < MOST_LAYOUTS:
                layouts.setdefault(batch.part, batch.layout)
            if len(waiting) >= AHEAD:
                total = _sum(total, waiting.popleft().result(), progress)
            waiting.append(database_thread.submit(write.batch, prepared))
        while waiting:
            total = _sum(total, waiting.popleft().result(), progress)
        if write.mapping.snapshot is not None:
            ending = database_thread.submit(write.end_missing, write.mapping.snapshot, unnamed).result()
            total = replace(total, ended=ending.ended, gates=ending.verdicts)
    return replace(total, layouts=[_told(part, layout) for part, layout in layouts.items()])


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


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes prepared batches, each in one transaction, always from the same thread."""

    connection: psycopg.Connection
    mapping: SourceMapping
    register: RegisterSchema
    vault: Vault
    run_id: uuid.UUID
    origin_digest: str
    rank: Rank
    settle: Settle | None

    def batch(self, prepared: _Prepared) -> Report:
        try:
            return self._batch(prepared)
        except BaseException:
            # The next batch waits already, and nothing behind a failed one may come in.
            self.connection.close()
            raise

    def _transaction(self) -> contextlib.AbstractContextManager[object]:
        """Return a transaction of its own; within that of a run with gates there is nothing to add."""
        return contextlib.nullcontext() if self.mapping.gates is not None else self.connection.transaction()

    def _batch(self, prepared: _Prepared) -> Report:
        now = datetime.now(UTC)
        source, part = self.mapping.source, prepared.batch.part
        with self._transaction():
            lock_register(self.connection, self.register.table)
            stage(self.connection, prepared.staged)
            merged = merge(
                self.connection, self.register.table, source, self.run_id, len(prepared.staged), now, part
            )
            joined = JoinReport(0, 0, ())
            if merged.shared:
                joined = join(
                    self.connection,
                    self.vault,
                    self.register,
                    merged.shared,
                    source=source,
                    run_id=self.run_id,
                    part=part,
                    rank=self.rank,
                    now=now,
                )
            if prepared.spared:
                spare(self.connection, prepared.spared)
            bad = prepared.bad + [
                BadRow(row, None, "conflict-within-source", prepared.raw_by_row[row])
                for row in merged.conflicts
            ]
            if bad:
                layout = prepared.batch.layout
                quarantine.put(self.connection, self.vault, source, self.run_id, bad, now, part, layout)
            if self.settle is not None:
                self.settle(self.connection, self.run_id, prepared.batch, bad)
            left_out = frozenset(row.origin_row for row in bad)
            found = prepared.findings + compare(
                self.connection, self.vault, self.mapping.compare, prepared.staged, self.register
            )
            found += [Finding(row, name, "differs-from-lead-source") for row, name in joined.differing]
            found = [finding for finding in found if finding.origin_row not in left_out]
            if found:
                rows = sorted({(f.origin_row, f.field, f.code) for f in found if f.code not in TRANSFORMS})
                cursors.add_findings(self.connection, self.run_id, part, rows)
            cursors.move(
                self.connection,
                source,
                self.run_id,
                self.origin_digest,
                prepared.batch.end,
                prepared.batch.cursor,
                now,
            )
        return Report(
            source=source,
            run_id=str(self.run_id),
            read=len(prepared.staged) + len(prepared.bad) + prepared.duplicates,
            inserted=merged.inserted,
            changed=merged.changed + joined.changed,
            unchanged=merged.unchanged + joined.unchanged + prepared.duplicates,
            quarantined=len(bad),
            reasons=dict(count_reasons(bad)),
            findings=dict(Counter(f.code for f in found)),
            seconds=0.0,
        )

    def end_missing(self, snapshot: Snapshot, unnamed: int) -> _Ending:
        """End whom the snapshot does not name, unless these are too many or a row does not say whose it is."""
        now = datetime.now(UTC)
        table = self.register.table
        with self._transaction():
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
            leave(self.connection, self.vault, self.register, self.mapping.source, self.rank, now)
            return _Ending(end_missing(self.connection, table, now), verdicts)


def _told(part: str, layout: Layout) -> dict[str, Any]:
    told = asdict(layout)
    del told["columns"]
    return {"part": part, **told}


def _prepare(checked: Checked, register: RegisterSchema, vault: Vault, batch: RawBatch) -> _Prepared:
    """Blind, fingerprint and seal; rows of one subject within the batch become one, a duplicate or a conflict."""
    dumps, fingerprint, seal = orjson.dumps, vault.fingerprint, vault.seal
    subject_of = _subjects(register, vault)
    staged: list[StagedRow] = []
    known: dict[bytes, bytes] = {}
    raw_by_row: dict[int, bytes] = {}
    bad = checked.bad
    duplicates = 0
    subjects: list[bytes] = []
    transforms = _transforms(checked.findings)
    for origin, (shown, hidden), raw in zip(checked.origins, checked.records, checked.raw, strict=True):
        subject = subject_of(shown, hidden)
        subjects.append(subject)
        content, secret = dumps(shown), dumps(hidden)
        mark = fingerprint(content + b"\0" + secret)
        earlier = known.get(subject)
        if earlier is None:
            known[subject] = mark
            sealed = seal(secret, place(register.table, subject)) if len(secret) > 2 else None
            done = transforms.get(origin)
            staged.append(
                StagedRow(subject, content, sealed, mark, origin, None if done is None else dumps(done))
            )
            raw_by_row[origin] = raw
        elif earlier == mark:
            duplicates += 1
        else:
            bad.append(BadRow(origin, None, "conflict-within-source", raw))
    # In the order of the index, the merge touches each page of it once.
    staged.sort(key=_by_subject)
    spared = [vault.blind_index(kind, "\0".join(values)) for kind, values in checked.spared]
    return _Prepared(staged, raw_by_row, bad, checked.findings, duplicates, subjects, spared, batch)


def _transforms(findings: Iterable[Finding]) -> dict[int, dict[str, list[str]]]:
    """Return what normalising changed: row → field → codes."""
    found: dict[int, dict[str, list[str]]] = {}
    for finding in findings:
        if finding.code in TRANSFORMS:
            found.setdefault(finding.origin_row, {}).setdefault(finding.field, []).append(finding.code)
    return found


def _by_subject(row: StagedRow) -> bytes:
    return row.subject


def _subjects(
    register: RegisterSchema, vault: Vault
) -> Callable[[Mapping[str, Any], Mapping[str, Any]], bytes]:
    """Return what names the subject of a record, given its clear and its sensitive fields."""

    def subject(shown: Mapping[str, Any], hidden: Mapping[str, Any]) -> bytes:
        for kind, fields in register.keys:
            values = [hidden.get(name, shown.get(name)) for name in fields]
            if None not in values:
                return vault.blind_index(kind, "\0".join(map(str, values)))
        raise AssertionError("the schema lets no record without a key through")

    return subject


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
