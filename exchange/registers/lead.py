"""One lead source per data item (一数一源): what a record is when several sources speak of its subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Rank = Callable[[str, str], int]
"""Rank of a source (first) for a field (second): of two that have a value, the one with the lower rank leads."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says of a subject, where it stood, and since when it says so.

    Args:
        transforms: field → codes of what normalising changed in it.
    """

    source: str
    record: Mapping[str, Any]
    run_id: str
    part: str
    row: int
    transforms: Mapping[str, Sequence[str]]
    since: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """The record that several sources make together.

    Args:
        lead: field → the source whose value stands.
        differing: (source, field) that has another value than the lead.
    """

    record: dict[str, Any]
    lead: dict[str, Said]
    differing: frozenset[tuple[str, str]]


def combine(said: Sequence[Said], rank: Rank) -> Joined:
    """Take each field from the source that leads it; of equal rank, from the one that spoke last.

    A source that has no value for a field leaves it to the others.
    """
    record: dict[str, Any] = {}
    lead: dict[str, Said] = {}
    differing = set()
    for name in sorted({name for each in said for name in each.record}):
        having = [each for each in said if each.record.get(name) is not None]
        if not having:
            continue
        first = min(having, key=lambda each: (rank(each.source, name), -each.since.timestamp(), each.source))
        record[name], lead[name] = first.record[name], first
        differing |= {(each.source, name) for each in having if each.record[name] != record[name]}
    return Joined(record, lead, frozenset(differing))


def provenance(joined: Joined) -> dict[str, Any]:
    """Return what a register keeps of where the fields of a joined record come from."""
    fields = {
        name: {"source": each.source, "run": each.run_id, "part": each.part, "row": each.row}
        for name, each in joined.lead.items()
    }
    transforms = {
        name: list(each.transforms[name]) for name, each in joined.lead.items() if each.transforms.get(name)
    }
    return {"fields": fields} | ({"transforms": transforms} if transforms else {})
