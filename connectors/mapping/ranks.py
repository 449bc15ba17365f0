"""Which source leads for which field: the ranks in the mappings of all sources of a register."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from connectors.mapping.mapping import SourceMapping, load_mapping, mapping_names
from exchange.registers.lead import Rank

LAST = 1000
"""Rank of a source whose mapping is gone: what it said stands only where nobody else says anything."""


def lead_ranks(mapping: SourceMapping, folder: Path | None) -> Rank:
    """Return the ranks of all sources that feed the register of `mapping`.

    The other mappings are read when the first rank is asked for: most runs meet no second source.

    Raises (when asked):
        SourceError: one of the other mappings is wrong.
    """

    @cache
    def ranks() -> dict[str, tuple[int, dict[str, int]]]:
        others = (load_mapping(name, folder) for name in mapping_names(folder) if name != mapping.source)
        return {
            each.source: (
                each.lead_rank,
                {c.field: c.lead_rank for c in each.columns if c.lead_rank is not None},
            )
            for each in (mapping, *others)
            if each.register_name == mapping.register_name
        }

    def rank(source: str, field: str) -> int:
        found = ranks().get(source)
        return LAST if found is None else found[1].get(field, found[0])

    return rank
