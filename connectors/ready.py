"""Making rows ready: from the bytes of a source to what the database takes, without asking it anything.

All that costs time on the way in is here, in one value that several processes can hold (`workers.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson

from connectors.contents import contents
from connectors.fitting import record_of
from connectors.gates import Measured, measured, merged
from connectors.mapping import SourceMapping
from connectors.measures import Measures
from connectors.normalise import TRANSFORMS, Texts
from connectors.quality import Checked, Checker, Finding
from connectors.sources.raw import BadRow, Layout, RawBatch, Slice
from exchange.registers.aliases import Naming
from exchange.registers.schemas import RegisterSchema, place_in
from exchange.registers.spelling import Spelled, Speller
from foundation.sensitive import Vault

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch ready for the database: nothing in it is still to be computed.

    Args:
        now: when it was made ready; its rows are valid from then.
        duplicates: rows that say again what another row of the batch says.
        spared: subjects of bad rows that say whom they are about.
        unnamed: bad rows that do not even say that.
        compared: row and record, where the mapping has something to compare them with.
        namings: other identifiers that rows name beside their own.
    """

    now: datetime
    part: str
    layout: Layout | None
    end: int
    cursor: str | None
    rows: Spelled
    bad: list[BadRow]
    findings: list[Finding]
    duplicates: int
    spared: list[bytes]
    unnamed: int
    measured: Measured
    measures: Measures
    compared: list[tuple[int, Record]]
    namings: list[Naming] = field(default_factory=list)


CHUNK_ROWS = 1000
"""Rows that are worked on together: so many and what is made of them fit the cache of a core."""


class Preparer:
    """Makes slices of one run ready: decodes, normalises, checks, blinds, fingerprints and seals."""

    def __init__(
        self,
        mapping: SourceMapping,
        register: RegisterSchema,
        vault: Vault,
        run_id: uuid.UUID,
        today: date,
    ) -> None:
        self._mapping = mapping
        self._register = register
        self._vault = vault
        self._run_id = run_id
        self._checker = Checker(mapping, register, today)

    def make_ready(self, piece: Slice) -> Ready:
        """Make a slice ready; rows of one subject within it become one, a duplicate or a conflict."""
        now = datetime.now(UTC)
        gathered = _Gathered()
        for part in piece.cut(CHUNK_ROWS):
            batch = part.taken_apart()
            self._gather(batch, self._checker.check(batch), now, gathered)
        return Ready(
            now=now,
            part=batch.part,
            layout=batch.layout,
            end=batch.end,
            cursor=batch.cursor,
            rows=Spelled.of(list(gathered.staged), list(gathered.staged.values()), gathered.spelled),
            bad=gathered.bad,
            findings=gathered.findings,
            duplicates=gathered.duplicates,
            spared=gathered.spared,
            unnamed=gathered.unnamed,
            measured=merged(gathered.measured),
            measures=gathered.measures,
            compared=gathered.compared,
            namings=gathered.namings,
        )

    def _gather(self, batch: RawBatch, checked: Checked, now: datetime, into: _Gathered) -> None:
        """Blind, fingerprint, seal and spell the good rows of a chunk."""
        vault, register, columns, rows = self._vault, self._register, checked.columns, len(checked.origins)
        prefix = place_in(register.table)
        subjects = _subjects(register, vault, columns, rows)
        clear = [name for name in columns if name not in register.sensitive]
        secret_names = [name for name in columns if name in register.sensitive]
        shown = contents(columns, checked.missing, clear, rows)
        hidden = contents(columns, checked.missing, secret_names, rows)
        marks = vault.fingerprints(map(b"%b\0%b".__mod__, zip(shown, hidden, strict=True)))
        fresh = self._fresh(checked, subjects, marks, into)
        others = _others(register, vault, columns, checked.missing, subjects)
        into.namings += [Naming(subjects[row], marks[row], others[row]) for row in fresh if row in others]
        if self._mapping.compare:
            into.compared += [(checked.origins[row], record_of(columns, list(columns), row)) for row in fresh]
        into.measured.append(measured(self._mapping.gates, checked, subjects))
        origins: Sequence[int] = checked.origins
        if len(fresh) < rows:
            subjects, shown, hidden, marks = (_at(fresh, each) for each in (subjects, shown, hidden, marks))
            origins = [origins[row] for row in fresh]
        secret = [row for row, text in enumerate(hidden) if len(text) > 2]
        texts, of = (
            (hidden, subjects) if len(secret) == len(hidden) else (_at(secret, hidden), _at(secret, subjects))
        )
        sealed: list[bytes | None] = [*vault.seal_all(texts, [prefix + subject for subject in of])]
        if len(secret) < len(hidden):
            by_row = dict(zip(secret, sealed, strict=True))
            sealed = [by_row.get(row) for row in range(len(hidden))]
        transforms = {row: orjson.dumps(done) for row, done in _transforms(checked.findings).items()}
        spell = Speller(self._mapping.source, self._run_id, batch.part, now).spell
        into.spelled += spell(subjects, shown, sealed, marks, origins, transforms)
        into.bad += checked.bad
        into.findings += checked.findings
        into.unnamed += checked.unnamed
        into.spared += [vault.blind_index(kind, "\0".join(values)) for kind, values in checked.spared]
        into.measures.add(checked)

    def _fresh(
        self, checked: Checked, subjects: Sequence[bytes], marks: Sequence[bytes], into: _Gathered
    ) -> Sequence[int]:
        """Note the rows by their subjects; return those whose subject no row before them has.

        The others say the same again, or contradict and go to the bad rows.
        """
        staged, rows = into.staged, len(subjects)
        before = len(staged)
        if staged.keys().isdisjoint(subjects):
            staged.update(zip(subjects, marks, strict=True))
            if len(staged) == before + rows:
                return range(rows)
            for subject in subjects:
                staged.pop(subject, None)
        fresh: list[int] = []
        for row, (subject, mark) in enumerate(zip(subjects, marks, strict=True)):
            earlier = staged.setdefault(subject, mark)
            if len(staged) > before + len(fresh):
                fresh.append(row)
            elif earlier == mark:
                into.duplicates += 1
            else:
                checked.bad.append(
                    BadRow(checked.origins[row], None, "conflict-within-source", checked.raw[row])
                )
        return fresh


@dataclass(slots=True)
class _Gathered:
    """What the chunks of a slice have given so far; `staged` is subject → fingerprint, in step with `spelled`."""

    staged: dict[bytes, bytes] = field(default_factory=dict)
    spelled: list[bytes] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    duplicates: int = 0
    unnamed: int = 0
    spared: list[bytes] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    measures: Measures = field(default_factory=Measures)
    compared: list[tuple[int, Record]] = field(default_factory=list)
    namings: list[Naming] = field(default_factory=list)


def _at(rows: Sequence[int], values: Sequence[bytes]) -> list[bytes]:
    return [values[row] for row in rows]


def _transforms(findings: Iterable[Finding]) -> dict[int, dict[str, list[str]]]:
    """Return what normalising changed: row → field → codes."""
    found: dict[int, dict[str, list[str]]] = {}
    for finding in findings:
        if finding.code in TRANSFORMS:
            found.setdefault(finding.origin_row, {}).setdefault(finding.field, []).append(finding.code)
    return found


def _subjects(register: RegisterSchema, vault: Vault, columns: Mapping[str, Texts], rows: int) -> list[bytes]:
    """Return what names the subject of each row: the first of the register's keys that it has."""
    kind, fields = register.keys[0]
    first = [columns.get(name, [None] * rows) for name in fields]
    if all(None not in texts for texts in first):
        return list(map(vault.blinder(kind), map("\0".join, zip(*first, strict=True))))
    found: list[bytes] = []
    for row in range(rows):
        for kind, fields in register.keys:
            values = [columns[name][row] for name in fields if name in columns]
            given = [value for value in values if value is not None]
            if len(given) == len(fields):
                found.append(vault.blind_index(kind, "\0".join(given)))
                break
        else:
            raise AssertionError("the schema lets no record without a key through")
    return found


def _others(
    register: RegisterSchema,
    vault: Vault,
    columns: Mapping[str, Texts],
    missing: Mapping[str, int],
    subjects: Sequence[bytes],
) -> dict[int, bytes]:
    """Return row → what would also name its subject: a key of the register beside the one that does.

    A register has two kinds of keys at most, so a row has one at most.
    """
    rows = len(subjects)
    found: dict[int, bytes] = {}
    for kind, fields in register.keys[1:]:
        if any(name not in columns or missing[name] == rows for name in fields):
            continue
        blind = vault.blinder(kind)
        for row, values in enumerate(zip(*(columns[name] for name in fields), strict=True)):
            if None not in values:
                other = blind("\0".join(values))
                if other != subjects[row]:
                    found[row] = other
    return found
