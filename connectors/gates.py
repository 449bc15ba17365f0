"""Quality gates: what a file must be as a whole before anything of it is brought in.

A source that has gates is read twice: first only looked at, then loaded. The look knows what the checks of single
rows find; that two rows contradict each other shows only when they meet in the register, so for the look such a row
is a good one, and `uniqueness` is the gate for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.mapping import Gates
from connectors.quality import Checked, count_reasons
from exchange.registers.schemas import RegisterSchema
from foundation.errors import DomainError


class GateClosed(DomainError):
    """A file fell short of a gate of its source: nothing of it was brought in."""

    code = "gate-closed"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate measured in a file.

    Args:
        name: of the gate; for completeness with its field, `completeness.name`.
        measured: a share, a number of rows or of days; None where there is nothing to measure by.
        threshold: as the mapping has it.
    """

    name: str
    measured: float | None
    threshold: float
    passed: bool

    def __str__(self) -> str:
        if self.measured is None:
            return f"{self.name} ? ({self.threshold:.6g})"
        sign = ">" if self.measured > self.threshold else "<" if self.measured < self.threshold else "="
        return f"{self.name} {self.measured:.6g} {sign} {self.threshold:.6g}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a look at a whole file found.

    Args:
        rows: all rows, good and bad.
        bad: rows that would go to quarantine, by reason.
        findings: about the good rows, by code.
        present: good rows that have a value, by field.
        latest: latest day, by field; absent where there is none.
        uniqueness: different keys per good row; 1.0 where there is no row.
    """

    rows: int
    bad: Mapping[str, int]
    findings: Mapping[str, int]
    present: Mapping[str, int]
    latest: Mapping[str, str]
    uniqueness: float


def look(checked: Iterable[Checked], gates: Gates, register: RegisterSchema) -> Figures:
    """Measure what the gates ask for in the batches of a file, in constant memory."""
    good = rows = 0
    bad: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    present: dict[str, int] = dict.fromkeys(gates.completeness, 0)
    latest: dict[str, str] = {}
    keys = _Keys()
    for batch in checked:
        good += len(batch.records)
        rows += len(batch.records) + len(batch.bad)
        bad += count_reasons(batch.bad)
        findings.update(finding.code for finding in batch.findings)
        for name in present:
            present[name] += sum(name in shown or name in hidden for shown, hidden in batch.records)
        for name in gates.freshness:
            days = (shown.get(name) or hidden.get(name) or "" for shown, hidden in batch.records)
            latest[name] = max(latest.get(name, ""), max(days, default=""))
        if gates.uniqueness is not None:
            keys.add([hash(_key(shown | hidden, register)) for shown, hidden in batch.records])
    latest = {name: day for name, day in latest.items() if day}
    return Figures(rows, dict(bad), dict(findings), present, latest, keys.uniqueness() if good else 1.0)


def judge(figures: Figures, gates: Gates, last_rows: int | None, today: date) -> list[GateVerdict]:
    """Hold the figures of a file against the gates of its source.

    Args:
        last_rows: rows of the last run of this source that came to its end; None if there was none.
    """
    verdicts: list[GateVerdict] = []
    few = figures.rows < gates.shares_from_rows
    bad = sum(figures.bad.values())
    good = figures.rows - bad
    if gates.rows_at_least is not None:
        passed = figures.rows >= gates.rows_at_least
        verdicts.append(GateVerdict("rows_at_least", figures.rows, gates.rows_at_least, passed))
    if gates.rows_change is not None:
        change = abs(figures.rows - last_rows) / last_rows if last_rows else None
        verdicts.append(_at_most("rows_change", change, gates.rows_change, few=False))
    if gates.quarantined_share is not None:
        share = bad / figures.rows if figures.rows else 0.0
        verdicts.append(_at_most("quarantined_share", share, gates.quarantined_share, few=few))
    for name, threshold in sorted(gates.completeness.items()):
        share = figures.present[name] / good if good else 1.0
        verdicts.append(_at_least(f"completeness.{name}", share, threshold, few=few))
    for name, threshold in sorted(gates.freshness.items()):
        day = figures.latest.get(name)
        age = None if day is None else (today - date.fromisoformat(day)).days
        verdicts.append(
            GateVerdict(f"freshness.{name}", age, threshold, age is not None and age <= threshold)
        )
    if gates.uniqueness is not None:
        verdicts.append(_at_least("uniqueness", figures.uniqueness, gates.uniqueness, few=few))
    return verdicts


def _at_most(name: str, measured: float | None, threshold: float, *, few: bool) -> GateVerdict:
    if measured is None:
        return GateVerdict(name, None, threshold, True)
    return GateVerdict(name, measured, threshold, few or measured <= threshold)


def _at_least(name: str, measured: float, threshold: float, *, few: bool) -> GateVerdict:
    return GateVerdict(name, measured, threshold, few or measured >= threshold)


def _key(record: Mapping[str, Any], register: RegisterSchema) -> tuple[Any, ...]:
    for kind, fields in register.keys:
        values = (kind, *(record.get(name) for name in fields))
        if None not in values:
            return values
    raise AssertionError("the schema lets no record without a key through")


_MOST_KEYS = 1 << 20


@dataclass(slots=True)
class _Keys:
    """Counts of keys by their hash: exact up to a million different ones.

    Beyond that only the keys in an ever smaller part of the hashes are followed, but those in all their rows: a fair
    sample of half a million keys or more, in constant memory.
    """

    most: int = _MOST_KEYS
    _hashes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _waiting: list[NDArray[np.int64]] = field(default_factory=list)
    _held: int = 0
    _mask: int = 0

    def add(self, hashes: list[int]) -> None:
        batch = np.array(hashes, np.int64)
        batch = batch[batch & self._mask == 0]
        self._waiting.append(batch)
        self._held += len(batch)
        if self._held >= self.most:
            self._fold()

    def uniqueness(self) -> float:
        """Return different keys per row."""
        self._fold()
        rows = int(self._counts.sum())
        return len(self._hashes) / rows if rows else 1.0

    def _fold(self) -> None:
        ones = [np.ones(len(batch), np.int64) for batch in self._waiting]
        hashes, where = np.unique(np.concatenate((self._hashes, *self._waiting)), return_inverse=True)
        counts = np.zeros(len(hashes), np.int64)
        np.add.at(counts, where, np.concatenate((self._counts, *ones)))
        while len(hashes) > self.most:
            self._mask = self._mask << 1 | 1
            kept = hashes & self._mask == 0
            hashes, counts = hashes[kept], counts[kept]
        self._hashes, self._counts, self._waiting, self._held = hashes, counts, [], 0
