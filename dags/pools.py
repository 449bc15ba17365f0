"""A pool per department, so that one that sends much does not take the workers of the others.

`python -m dags.pools > pools.json && airflow pools import pools.json`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from connectors.mapping import SourceMapping, load_mapping, mapping_names
from connectors.mapping.origins import SqlOrigin
from foundation.settings import Settings

DEFAULT = "default_pool"
SLOTS = 2
"""Files of one department that are brought in at once, or as many as the ranges that one of its sources asks for.

Of one source it is always one file.
"""


def pool(mapping: SourceMapping) -> str:
    """Return the name of the pool that a source's files are brought in by."""
    return DEFAULT if mapping.department is None else f"zhengtong-{mapping.department}"


def pools(mappings: Iterable[SourceMapping]) -> dict[str, dict[str, object]]:
    """Return the pools that the sources need, as `airflow pools import` reads them."""
    slots: dict[str, int] = {}
    for mapping in mappings:
        ranges = mapping.origin.ranges if isinstance(mapping.origin, SqlOrigin) else 1
        slots[pool(mapping)] = max(SLOTS, ranges, slots.get(pool(mapping), 0))
    slots.pop(DEFAULT, None)
    return {
        name: {"slots": count, "description": "Zhengtong 证通", "include_deferred": False}
        for name, count in sorted(slots.items())
    }


if __name__ == "__main__":
    folder = Settings().sources_folder
    json.dump(pools(load_mapping(name, folder) for name in mapping_names(folder)), sys.stdout)
