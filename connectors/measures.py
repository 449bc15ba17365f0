"""What a run measures field by field: how many rows have a value, what normalising changed, and why rows stayed behind.

Counted by batch, off what the checks have found anyway; a trend over many runs is made of it (`trend.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.normalise import TRANSFORMS
from connectors.quality import Checked

WHOLE_ROW = ""
"""Stands for the field where it is the row as a whole that stayed behind."""


@dataclass(slots=True)
class Measures:
    """Counts of a run, batch by batch.

    Args:
        good: rows that passed the checks.
        present: field → good rows that have it.
        transformed: field and code → good rows in which normalising changed it so.
        quarantined: field and reason → rows that stayed behind.
    """

    good: int = 0
    present: Counter[str] = field(default_factory=Counter)
    transformed: Counter[tuple[str, str]] = field(default_factory=Counter)
    quarantined: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, checked: Checked) -> None:
        """Take in a batch, once its rows were held against each other."""
        self.good += len(checked.origins)
        for name in checked.columns:
            self.present[name] += checked.having(name)
        self.transformed.update((f.field, f.code) for f in checked.findings if f.code in TRANSFORMS)
        self.quarantined.update((bad.field or WHOLE_ROW, bad.reason) for bad in checked.bad)

    def merge(self, other: Measures) -> None:
        """Take in what was measured of other rows."""
        self.good += other.good
        self.present.update(other.present)
        self.transformed.update(other.transformed)
        self.quarantined.update(other.quarantined)

    def by_field(self, reasons: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """Return the counts as they stand in the report of a run.

        Args:
            reasons: of all rows that stayed behind, also those of which the database said so.
        """
        known: Counter[str] = Counter()
        for (_, reason), count in self.quarantined.items():
            known[reason] += count
        for reason, count in (Counter(reasons) - known).items():
            self.quarantined[WHOLE_ROW, reason] += count
        names = {name for name, _ in self.quarantined} | self.present.keys()
        return {
            name: {
                "good": self.good,
                "present": self.present[name],
                "transformed": _of(self.transformed, name),
                "quarantined": _of(self.quarantined, name),
            }
            for name in sorted(names)
        }


def _of(counts: Mapping[tuple[str, str], int], name: str) -> dict[str, int]:
    return {code: count for (of, code), count in sorted(counts.items()) if of == name}
