"""The catalogue in force, held in memory and followed: what is published takes effect in every process within 2 s."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from exchange.catalog import tables
from exchange.catalog.document import Document, document_of, resource_of
from exchange.catalog.resource import Resource
from exchange.catalog.tables import StoredVersion
from foundation.unavailable import UNAVAILABLE

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class FollowedCatalogue(Mapping[str, Resource]):
    """The version in force of each resource. One per process; a look costs one number while nothing changed.

    Args:
        pool: asyncpg pool.
        fixed: resources that this process holds by itself, such as licence types, in all their versions.
    """

    def __init__(self, pool: Any, fixed: Iterable[Resource] = ()) -> None:
        self._pool = pool
        self._fixed: dict[str, list[Resource]] = {}
        for resource in sorted(fixed, key=lambda each: -each.version):
            self._fixed.setdefault(resource.id, []).append(resource)
        self._published: dict[str, list[StoredVersion]] = {}
        self._current: dict[str, Resource] = {name: each[0] for name, each in self._fixed.items()}
        self._due: datetime | None = None
        self._refreshing = asyncio.Lock()
        self.change = 0

    def __getitem__(self, resource_id: str) -> Resource:
        return self._current[resource_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)

    def snapshot(self) -> Mapping[str, Resource]:
        """Return what is in force now; the mapping is replaced and never altered."""
        return self._current

    def fixed_versions(self, resource_id: str) -> list[Resource]:
        """Return all versions of a resource that this process holds by itself, newest first."""
        return self._fixed.get(resource_id, [])

    def published(self, resource_id: str) -> list[StoredVersion]:
        """Return all versions of a resource that were ever published, newest first."""
        return self._published.get(resource_id, [])

    def documents(self) -> list[Document]:
        """Return the documents of all resources in force, by id; those of licence types are made."""
        found = []
        for name, resource in sorted(self._current.items()):
            stored = next((v for v in self.published(name) if v.version == resource.version), None)
            found.append(document_of(resource) if stored is None else stored.document)
        return found

    async def refresh(self, now: datetime) -> None:
        """Take over what was published since, and what applies by now."""
        async with self._refreshing:
            latest = await tables.latest_change(self._pool)
            if latest != self.change:
                await self._read(latest)
            elif self._due is None or now < self._due:
                return
            self._decide(now)

    async def follow(self) -> None:
        """Look again and again, until cancelled; while the database is away, what was in force stays so."""
        away = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.refresh(datetime.now(UTC))
                away = False
            except UNAVAILABLE as error:
                if not away:
                    logger.warning("the catalogue cannot be followed", extra={"error": type(error).__name__})
                away = True

    async def _read(self, latest: int) -> None:
        changed: dict[str, list[StoredVersion]] = {}
        for version in await tables.published_since(self._pool, self.change):
            changed.setdefault(version.resource, []).append(version)
        self._published |= changed
        # What was published between the two statements is read again at the next look, which does no harm.
        self.change = latest

    def _decide(self, now: datetime) -> None:
        current = {name: each[0] for name, each in self._fixed.items()}
        due: list[datetime] = []
        for name, versions in self._published.items():
            for each in versions:
                due += [at for at in (each.applies_from, each.applies_until) if at is not None and at > now]
            found = in_force(versions, now)
            if found is not None:
                known = self._current.get(name)
                current[name] = (
                    known
                    if known is not None and known.version == found.version
                    else resource_of(found.document)
                )
        self._current, self._due = current, min(due, default=None)


def in_force(versions: Iterable[StoredVersion], now: datetime) -> StoredVersion | None:
    """Return the version in force among those of one resource: the newest that applies; None where it is retired."""
    applying = [each for each in versions if each.applies(now)]
    return max(applying, key=lambda each: each.version, default=None)
