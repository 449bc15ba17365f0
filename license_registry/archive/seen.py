"""What a department was shown of licences in a case, and the copies that it got, for the archive of that case."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from foundation.language import _
from foundation.sensitive import SealBroken
from license_registry.archive import tables
from license_registry.archive.tables import Seen
from license_registry.ports import Registry
from license_registry.store.objects import ObjectAltered

KINDS = ("presentation-verified", "copy-made", "seen-by-grant", "file-verified")
"""Events by which a department learnt something of a licence, for a case that the event names."""


@dataclass(frozen=True, slots=True)
class SeenInCase:
    """An event, and the marked copy that it is of, if it is of one."""

    seen: Seen
    copy: bytes | None


async def seen_in_case(
    registry: Registry,
    subjects: Collection[bytes],
    department: str,
    matter: str,
    case: str,
    upto: datetime,
) -> list[SeenInCase]:
    """Return what was shown of licences that these subjects (blind indexes) hold or present, the earliest first.

    An event that names no matter counts by its case alone.

    Raises:
        ObjectMissing, ObjectAltered: a copy is not what was put into the store. StoreUnavailable.
    """
    found = await tables.seen_in_case(registry.pool, subjects, KINDS, department, matter, case, upto)
    return [SeenInCase(each, await _copy(registry, each)) for each in found]


async def _copy(registry: Registry, seen: Seen) -> bytes | None:
    if seen.kind != "copy-made":
        return None
    key = f"copies/{seen.content['copy']}.jws"
    sealed = await asyncio.to_thread(registry.store.get, key)
    try:
        data = registry.vault.open(sealed, key.encode())
    except SealBroken as error:
        raise ObjectAltered(_("the stored copy is not the one that was made")) from error
    if hashlib.sha256(data).hexdigest() != seen.content["copy_sha256"]:
        raise ObjectAltered(_("the stored copy is not the one that was made"))
    return data
