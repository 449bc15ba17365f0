"""Preview: what a mapping would make of a sample, before anything is written anywhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.gates import GateVerdict, Tally, judge, measured
from connectors.mapping import Gates, SourceMapping
from connectors.pipeline import BATCH_ROWS
from connectors.quality import Checked, Checker
from connectors.quarantine import shape
from connectors.sources.raw import RawBatch, Source
from exchange.registers.schemas import RegisterSchema, load_registers
from foundation.civil import civil_date


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """What becomes of one row.

    Args:
        record: field → value as it would stand in the register, sensitive ones by their shape; empty for a bad row.
        reason: why it would go to quarantine, with the field at fault; both None for a good row.
        raw: shape of the original of a bad row.
        findings: field and code of what should be known of it.
    """

    part: str
    row: int
    record: Mapping[str, Any]
    reason: str | None
    field: str | None
    raw: str | None
    findings: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Preview:
    """A sample as its mapping sees it: the first rows one by one, all of them in numbers.

    Args:
        read: rows of the sample, of which `bad` would go to quarantine. Conflicts between rows are not looked for.
        faults: field (empty: the row as a whole) → reason → rows.
        findings: field → code → rows.
        gates: verdicts as if the sample were a delivery; with no run before it, the change of rows is not measured.
    """

    source: str
    register: str
    read: int
    bad: int
    faults: Mapping[str, Mapping[str, int]]
    findings: Mapping[str, Mapping[str, int]]
    gates: list[GateVerdict]
    rows: list[PreviewedRow]


def preview(mapping: SourceMapping, origin: Source, *, rows: int, reveal: bool = False) -> Preview:
    """Read a sample to its end and say what would become of it.

    Args:
        rows: so many are shown one by one.
        reveal: show sensitive values as they are.

    Raises:
        SourceError: the sample cannot be read (further).
    """
    register = load_registers()[mapping.register_name]
    checker = Checker(mapping, register, civil_date(datetime.now(UTC)))
    gates = mapping.gates or Gates()
    tally = Tally(gates)
    read = bad = 0
    faults: Counter[tuple[str, str]] = Counter()
    findings: Counter[tuple[str, str]] = Counter()
    shown: list[PreviewedRow] = []
    for batch in origin.batches(BATCH_ROWS, None):
        checked = checker.check(batch)
        read += len(checked.origins) + len(checked.bad)
        bad += len(checked.bad)
        faults.update((row.field or "", row.reason) for row in checked.bad)
        findings.update((finding.field, finding.code) for finding in checked.findings)
        tally.add(measured(gates, checked, list(_subjects(checked, register))))
        if len(shown) < rows:
            shown += _rows(batch, checked, mapping, register, reveal=reveal)[: rows - len(shown)]
    verdicts = judge(tally.figures(read, bad), gates, None, checker.today)
    return Preview(
        mapping.source, register.name, read, bad, _by_field(faults), _by_field(findings), verdicts, shown
    )


def _rows(
    batch: RawBatch, checked: Checked, mapping: SourceMapping, register: RegisterSchema, *, reveal: bool
) -> list[PreviewedRow]:
    of_row: dict[int, list[tuple[str, str]]] = {}
    for finding in checked.findings:
        of_row.setdefault(finding.origin_row, []).append((finding.field, finding.code))
    found = [
        PreviewedRow(
            batch.part,
            origin,
            _shown(record, register, reveal=reveal),
            None,
            None,
            None,
            of_row.get(origin, []),
        )
        for origin, record in zip(checked.origins, checked.records(), strict=True)
    ]
    encoding = (batch.layout.encoding if batch.layout is not None else None) or mapping.encoding.replace(
        "detect", "utf-8"
    )
    found += [
        PreviewedRow(
            batch.part,
            row.origin_row,
            {},
            row.reason,
            row.field,
            row.raw.decode(encoding, "replace") if reveal else shape(row.raw, encoding),
            [],
        )
        for row in checked.bad
    ]
    return sorted(found, key=lambda row: row.row)


def _shown(record: Mapping[str, str], register: RegisterSchema, *, reveal: bool) -> dict[str, Any]:
    def seen(name: str) -> str:
        hidden = name in register.sensitive and not reveal
        return shape(record[name].encode(), "utf-8") if hidden else record[name]

    return {name: seen(name) for name in register.fields if name in record}


def _subjects(checked: Checked, register: RegisterSchema) -> Iterator[bytes]:
    """Yield for each good row what tells its subject from others; it never leaves this process."""
    for record in checked.records():
        key = next([kind, *v] for kind, v in _keys(record, register) if None not in v)
        yield hashlib.sha256(orjson.dumps(key)).digest()[:16]


def _keys(record: Mapping[str, Any], register: RegisterSchema) -> Iterator[tuple[str, list[Any]]]:
    for kind, fields in register.keys:
        yield kind, [record.get(name) for name in fields]


def _by_field(counted: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (field, code), count in sorted(counted.items()):
        found.setdefault(field, {})[code] = count
    return found
