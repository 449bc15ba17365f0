"""Scrubbing: every object is read and compared with its digest, so that what was altered or lost is found in time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.hashes import SM3, Hash

from foundation.identity.principals import Principal, Role
from foundation.sensitive import SealBroken
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.ports import Registry
from license_registry.store.objects import ObjectMissing
from license_registry.tables import Event

SCRUBBER = Principal("zhengtong-scrub", "", frozenset({Role.OPERATOR}))
BATCH = 500
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """An object that the database knows.

    Args:
        identifier: of the licence that it is of; None: an archive package.
        sha256, sm3: of what is inside; the object lies sealed under its key.
    """

    identifier: str | None
    key: str
    sha256: bytes
    sm3: bytes | None


@dataclass(frozen=True, slots=True)
class Finding:
    """An object that is not what was put into the store; `kind`: `object-missing` or `object-altered`."""

    identifier: str | None
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """How many objects were read, and what is wrong."""

    read: int
    findings: tuple[Finding, ...]


async def scrub(registry: Registry, now: datetime) -> Scrubbed:
    """Read every object and compare its digests.

    Each finding is an event, of its licence where it is one's, and so in the log, for auditors; the run itself is one
    too. Dying in between, what was found until then stands; the next run begins anew.

    Raises:
        StoreUnavailable: the store cannot be read; that says nothing of what is in it.
    """
    read = 0
    findings: list[Finding] = []
    async for batch in _kept(registry.pool):
        for start in range(0, len(batch), AT_ONCE):
            part = batch[start : start + AT_ONCE]
            read += len(part)
            found = await asyncio.gather(*(asyncio.to_thread(_compare, registry, one) for one in part))
            for finding in found:
                if finding is not None:
                    findings.append(finding)
                    await _record(
                        registry,
                        happened(finding.kind, finding.identifier, SCRUBBER, now, object_key=finding.key),
                    )
    await _record(
        registry, happened("store-scrubbed", None, SCRUBBER, now, objects=read, findings=len(findings))
    )
    return Scrubbed(read, tuple(findings))


def _compare(registry: Registry, kept: Kept) -> Finding | None:
    try:
        data = registry.vault.open(registry.store.get(kept.key), kept.key.encode())
    except ObjectMissing:
        return Finding(kept.identifier, kept.key, "object-missing")
    except SealBroken:
        return Finding(kept.identifier, kept.key, "object-altered")
    sm3 = Hash(SM3())
    sm3.update(data)
    if hashlib.sha256(data).digest() != kept.sha256 or kept.sm3 not in {None, sm3.finalize()}:
        return Finding(kept.identifier, kept.key, "object-altered")
    return None


async def _record(registry: Registry, event: Event) -> None:
    async with registry.pool.acquire() as connection:
        await tables.add_event(connection, event)


async def _kept(pool: Any) -> AsyncIterator[list[Kept]]:
    for statement, ordered_by in (
        (_LICENCES, "identifier"),
        (_COPIES, "key"),
        (_ARCHIVES, "key"),
        (_DOCUMENTS, "key"),
    ):
        after = ""
        while rows := await pool.fetch(statement, after, BATCH):
            yield [Kept(**row) for row in rows]
            after = rows[-1][ordered_by]


_LICENCES = """
SELECT identifier, object_key AS key, object_sha256 AS sha256, object_sm3 AS sm3
FROM license_registry.licence WHERE identifier > $1 ORDER BY identifier LIMIT $2
"""
_COPIES = """
SELECT identifier, object_key AS key, sha256, NULL::bytea AS sm3
FROM license_registry.marked_copy WHERE object_key > $1 ORDER BY object_key LIMIT $2
"""
_ARCHIVES = """
SELECT NULL::text AS identifier, object_key AS key, sha256, sm3
FROM license_registry.archive WHERE object_key > $1 ORDER BY object_key LIMIT $2
"""
_DOCUMENTS = """
SELECT identifier, object_key AS key, sha256, sm3
FROM license_registry.document WHERE object_key > $1 ORDER BY object_key LIMIT $2
"""
