"""Quality gates: what a file must be as a whole before anything of it is to be seen.

A run whose source has gates is one transaction (`docs/decisions/0011`): what it measured on the way decides at its end
whether it is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from connectors.mapping import Gates
from connectors.quality import Checked
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
    """What a run found in all its rows.

    Args:
        rows: all rows, good and bad.
        quarantined: rows that could not be brought in; those that contradict another row are among them.
        good: rows that passed the checks of single rows.
        present: good rows that have a value, by field.
        latest: latest day, by field; absent where there is none.
        uniqueness: different subjects per good row; 1.0 where there is no row.
    """

    rows: int
    quarantined: int
    good: int
    present: Mapping[str, int]
    latest: Mapping[str, str]
    uniqueness: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What the gates ask for, of one batch; see `Figures`.

    Args:
        keys: eight bytes of the blind index of each good row; None where nobody asks how many differ.
    """

    good: int
    present: Mapping[str, int]
    latest: Mapping[str, str]
    keys: NDArray[np.int64] | None


def measured(gates: Gates | None, checked: Checked, subjects: Sequence[bytes]) -> Measured:
    """Measure a batch; `subjects` are the blind indexes of its good rows, the same for rows of one subject."""
    if gates is None:
        return Measured(len(subjects), {}, {}, None)
    columns = checked.columns
    latest = {name: max(filter(None, columns.get(name, ())), default="") for name in gates.freshness}
    present = {name: checked.having(name) for name in gates.completeness}
    keys = None if gates.uniqueness is None else np.frombuffer(b"".join(subjects), np.int64)[::2].copy()
    return Measured(len(subjects), present, latest, keys)


def merged(parts: Sequence[Measured]) -> Measured:
    """Return what was measured of several batches as of one."""
    present: Counter[str] = Counter()
    latest: dict[str, str] = {}
    for part in parts:
        present.update(part.present)
        latest |= {name: max(latest.get(name, ""), day) for name, day in part.latest.items()}
    keys = [part.keys for part in parts if part.keys is not None]
    return Measured(sum(part.good for part in parts), present, latest, np.concatenate(keys) if keys else None)


class Tally:
    """Sums up what was measured, batch by batch, in constant memory."""

    def __init__(self, gates: Gates) -> None:
        self._present = dict.fromkeys(gates.completeness, 0)
        self._latest: dict[str, str] = {}
        self._keys = _Keys() if gates.uniqueness is not None else None
        self._good = 0

    def add(self, batch: Measured) -> None:
        """Take in a batch."""
        self._good += batch.good
        for name, count in batch.present.items():
            self._present[name] += count
        for name, day in batch.latest.items():
            self._latest[name] = max(self._latest.get(name, ""), day)
        if self._keys is not None and batch.keys is not None:
            self._keys.add(batch.keys)

    def figures(self, rows: int, quarantined: int) -> Figures:
        """Return what was found in a run that read `rows` and could not bring in `quarantined` of them."""
        latest = {name: day for name, day in self._latest.items() if day}
        uniqueness = self._keys.uniqueness() if self._keys is not None else 1.0
        return Figures(rows, quarantined, self._good, self._present, latest, uniqueness)


def judge(figures: Figures, gates: Gates, last_rows: int | None, today: date) -> list[GateVerdict]:
    """Hold the figures of a file against the gates of its source.

    Args:
        last_rows: rows of the last run of this source that came to its end; None if there was none.
    """
    verdicts: list[GateVerdict] = []
    few, good = figures.rows < gates.shares_from_rows, figures.good
    if gates.rows_at_least is not None:
        passed = figures.rows >= gates.rows_at_least
        verdicts.append(GateVerdict("rows_at_least", figures.rows, gates.rows_at_least, passed))
    if gates.rows_change is not None:
        change = abs(figures.rows - last_rows) / last_rows if last_rows else None
        verdicts.append(_at_most("rows_change", change, gates.rows_change, few=False))
    if gates.quarantined_share is not None:
        share = figures.quarantined / figures.rows if figures.rows else 0.0
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


_MOST_KEYS = 1 << 18


@dataclass(slots=True)
class _Keys:
    """Counts of subjects by eight bytes of their blind index, which is as good as random: exact up to 262,144.

    Beyond that only the subjects in an ever smaller part of these are followed, but those in all their rows: a fair
    sample of half as many keys or more, in constant memory. Its share is within some tenths of a percent.
    """

    most: int = _MOST_KEYS
    _hashes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _waiting: list[NDArray[np.int64]] = field(default_factory=list)
    _held: int = 0
    _mask: int = 0

    def add(self, batch: NDArray[np.int64]) -> None:
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
