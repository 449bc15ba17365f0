"""How real files are spoilt: kinds and rates."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

POPULATION = {
    "wrong-check-character": 0.003,
    "fifteen-digits": 0.01,
    "twice-in-two-forms": 0.0005,
    "duplicate": 0.005,
    "conflict-within-source": 0.001,
    "not-available": 0.01,
    "impossible-date": 0.001,
    "wrong-column-count": 0.001,
    "birth-date-contradicts-id": 0.0005,
    "undecodable-bytes": 0.0002,
    "control-character": 0.0002,
}
LEGAL_ENTITIES = {
    "old-registration-number": 0.01,
    "wrong-check-character": 0.002,
    "duplicate": 0.005,
    "conflict-within-source": 0.002,
    "wrong-column-count": 0.002,
}
CREDENTIALS = {
    "other-name": 0.005,
    "unknown-holder": 0.002,
    "missing-field": 0.002,
    "impossible-date": 0.002,
    "not-an-object": 0.0005,
}

QUARANTINED = frozenset(
    {
        "wrong-check-character",
        "conflict-within-source",
        "impossible-date",
        "wrong-column-count",
        "birth-date-contradicts-id",
        "undecodable-bytes",
        "control-character",
        "missing-field",
        "not-an-object",
    }
)
"""Kinds for which a correct importer puts one row into quarantine, under the same name."""

DUPLICATES = frozenset({"duplicate", "twice-in-two-forms"})
"""Kinds that add a row which changes nothing."""


@dataclass(frozen=True, slots=True)
class Mess:
    """Rates by kind, for each file; a row has at most one kind."""

    population: Mapping[str, float] = field(default_factory=lambda: POPULATION)
    legal_entities: Mapping[str, float] = field(default_factory=lambda: LEGAL_ENTITIES)
    credentials: Mapping[str, float] = field(default_factory=lambda: CREDENTIALS)

    @classmethod
    def none(cls) -> Mess:
        """Return clean files."""
        return cls({}, {}, {})


def draw(rng: random.Random, rates: Mapping[str, float]) -> str | None:
    """Return the kind of mess of one row, None for most."""
    number = rng.random()
    for kind, rate in rates.items():
        number -= rate
        if number < 0:
            return kind
    return None
