"""A table cut into ranges of keys that are brought in apart from each other, on whatever machine (decision 12)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from connectors.mapping import SourceMapping
from connectors.mapping.origins import Connections, SqlOrigin
from connectors.sources.databases import DatabaseSource
from connectors.sources.raw import SourceError
from foundation.language import _
from foundation.sensitive import Vault


def cut(
    mapping: SourceMapping, connections: Connections, now: datetime, vault: Vault
) -> list[dict[str, Any]]:
    """Return the ranges as JSON values: `name`, such as `2/8`, and `keys`, sealed, since a key may say who somebody is.

    Raises:
        SourceError: see `DatabaseSource.key_ranges`.
    """
    origin = _origin(mapping)
    found = DatabaseSource(mapping, origin, connections, now).key_ranges(origin.ranges)
    names = [f"{number}/{len(found)}" for number in range(1, len(found) + 1)]
    return [
        {
            "name": name,
            "keys": base64.b64encode(vault.seal(orjson.dumps(keys), _place(mapping, name))).decode(),
        }
        for name, keys in zip(names, found, strict=True)
    ]


def open_range(
    mapping: SourceMapping,
    connections: Connections,
    now: datetime,
    vault: Vault,
    key_range: Mapping[str, Any],
) -> DatabaseSource:
    """Return one of the ranges that `cut` made as a source.

    Raises:
        SealBroken: it is not as it was made, or was made for another source.
    """
    name = str(key_range["name"])
    low, high = orjson.loads(vault.open(base64.b64decode(key_range["keys"]), _place(mapping, name)))
    return DatabaseSource(mapping, _origin(mapping), connections, now, (low, high), name)


def _origin(mapping: SourceMapping) -> SqlOrigin:
    if not isinstance(mapping.origin, SqlOrigin):
        raise SourceError(_("{source} is no table that could be cut into ranges"), source=mapping.source)
    return mapping.origin


def _place(mapping: SourceMapping, name: str) -> bytes:
    return f"key range\0{mapping.source}\0{name}".encode()
