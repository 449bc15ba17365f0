"""Whom to turn to at a source, as its mapping says: the exchange itself knows no mappings."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from connectors.mapping import load_mapping, mapping_names


class MappedContacts:
    """Contacts of sources that have a mapping, read anew each time: a city adds sources while we serve.

    Args:
        folder: mappings of this city, beside those that come along.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def contacts(self, sources: Collection[str]) -> Mapping[str, str]:
        """Return source → whom to turn to, of those that are known."""
        return await asyncio.to_thread(self._read, frozenset(sources))

    def _read(self, sources: frozenset[str]) -> Mapping[str, str]:
        known = sources.intersection(mapping_names(self._folder))
        return {source: load_mapping(source, self._folder).contact for source in known}
